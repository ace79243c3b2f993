"""The page of `patchlens why`: the variance of a model's features and its effect on scores."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from tabulate import tabulate

from patchlens.features.moments import top_count
from patchlens.report import why_figures
from patchlens.report.variance_table import CUES

Cell = Mapping[str, Any]
RIVALS = ("l2", "center", "zscore", "pca_drop_top", "pca_whiten")


def page(
    name: str,
    model: str,
    variance: Cell,
    sweep: Cell,
    top: pd.DataFrame,
    floor: tuple[str, Cell, Cell] | None,
) -> str:
    """The page in Markdown; its figures are spectrum.png, dimensions.png and sweep.png beside it.

    Args:
        name: the dataset.
        model: the model.
        variance: its variance.json.
        sweep: its sweep.json.
        top: the first rows of its variance_dimensions.csv.
        floor: the untrained model beside it with its variance.json and sweep.json.
    """
    beside, other, swept = floor or (None, None, None)
    parts = [
        f"# {model} on {name}: feature variance and its effect on scores",
        *_spectrum(model, variance, beside, other),
        *_encoded(variance, top),
        *_removed(sweep, best_rivals(sweep), beside, swept),
    ]
    return "\n\n".join(parts) + "\n"


def best_rivals(sweep: Cell) -> dict[str, str]:
    """The best rival of pruning for each head that was swept with rivals."""
    found = {}
    for head in (head for head in why_figures.HEADS if head in sweep):
        scores = {name: sweep[head][name]["score"] for name in RIVALS if name in sweep[head]}
        if scores:
            found[head] = max(scores, key=lambda name: scores[name])
    return found


def _spectrum(model: str, own: Cell, floor: str | None, other: Cell | None) -> list[str]:
    def sentence(name: str, cell: Cell) -> str:
        width = cell["protocol"]["width"]
        return (
            f"`{name}`: the top {top_count(width, 100)} of {width} dimensions hold "
            f"{100 * cell['top_1pct']:.1f} % of the variance, the top {top_count(width, 10)} hold "
            f"{100 * cell['top_10pct']:.1f} %; participation ratio {cell['participation']:.1f} "
            f"over dimensions, {cell['pca_participation']:.1f} over principal components."
        )

    about = own["protocol"]
    lines = [sentence(model, own)]
    lines += [sentence(floor, other)] if floor and other else []
    return [
        "## Variance spectrum",
        "\n".join(f"- {line}" for line in lines),
        "![Cumulative share of the variance by rank](spectrum.png)",
        f"{about['patches']} patches of {about['images']} images, layer {about['layer']} "
        f"(0-based), final norm {about['norm']}.",
    ]


def _encoded(own: Cell, top: pd.DataFrame) -> list[str]:
    columns = {
        "dimension": "dimension",
        "share": "share of variance",
        "kurtosis": "kurtosis",
    } | {f"r_{cue}": f"r {cue}" for cue in CUES}
    shown = top[list(columns)].rename(columns=columns)
    strongest = max(CUES, key=lambda cue: own[f"{cue}_top"])
    return [
        "## What the top dimensions encode",
        f"Among simple cues of the patch, they correlate most with {strongest}: mean |r| "
        f"{own[f'{strongest}_top']:.2f}, against {own[f'{strongest}_rest']:.2f} for all other "
        "dimensions.",
        tabulate(shown.to_numpy(dtype=object).tolist(), list(columns.values()), tablefmt="github"),
        "![Images beside maps of the top dimensions](dimensions.png)",
    ]


def _removed(
    sweep: Cell, rivals: Mapping[str, str], floor: str | None, other: Cell | None
) -> list[str]:
    about = sweep["protocol"]
    rows = []
    for head in (head for head in why_figures.HEADS if head in sweep):
        cell = sweep[head]
        entries = [
            ("raw", cell["raw"]),
            (f"prune, best m ({cell['prune']['oracle_m']:.3g})", cell["prune"]),
        ]
        if "auto" in cell:
            entries.append(
                (f"prune, m chosen on the support ({cell['auto']['chosen_m']:.3g})", cell["auto"])
            )
        control = cell["prune_random"]
        entries.append((f"prune_random, best m ({control['oracle_m']:.3g})", control))
        if rival := rivals.get(head):
            entries.append((f"best rival: {rival}", cell[rival]))
        if floor and other and head in other:
            entries.append((f"`{floor}` raw", other[head]["raw"]))
        rows += [
            (
                why_figures.HEADS[head],
                what,
                _percent(score),
                f"{100 * (score['score'] - cell['raw']['score']):+.1f}",
            )
            for what, score in entries
        ]
    return [
        "## The effect of removing them",
        tabulate(
            rows,
            ["metric", "variant", "score (%)", "gain over raw (points)"],
            tablefmt="github",
            disable_numparse=True,
        ),
        "![Scores by the number of dimensions dropped or kept](sweep.png)",
        f"k = {about['k']}, {about['distance']}, {about['shots']} support images, {about['seeds']} "
        f"seeds (±: standard deviation over seeds), {about['query_images']} query images"
        + (f"; retrieval: {about['retrieval_queries']} queries" if "retrieval" in sweep else "")
        + '. "Best m" is the best on the query and an upper bound: it cannot be known in advance. '
        "The m chosen on the support can.",
    ]


def _percent(score: Mapping[str, float]) -> str:
    spread = f" ± {100 * score['score_std']:.1f}" if score["score_std"] else ""
    return f"{100 * score['score']:.1f}{spread}"
