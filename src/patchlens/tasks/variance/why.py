"""`patchlens why`: what the cells of one model say about the variance of its features."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from tabulate import tabulate

from patchlens.features.cell import Cell
from patchlens.features.moments import top_count
from patchlens.features.variants import WITH_M
from patchlens.names import ModelName
from patchlens.stored import read_csv, read_json
from patchlens.tasks.table import TASKS
from patchlens.tasks.variance.metrics import CUES

Scores = Mapping[str, Any]
NO_RIVALS = ("raw", "auto", *WITH_M)  # of the entries of sweep.json; all others are rivals
SHOWN = 5  # dimensions


def text(cell: Cell, untrained: ModelName | None) -> str:
    """How the variance of a model's features spreads, what it encodes, and its effect on scores.

    Args:
        cell: the model on a dataset.
        untrained: the model to show as the floor, if any.

    Raises:
        DataError: a file of a cell is missing.
    """
    variance, sweep = _studies(cell)
    dimensions = read_csv(cell.folder / "variance_dimensions.csv", "dimension", "share")
    beside, other, swept = None, None, None
    if untrained and untrained != cell.model:
        beside, (other, swept) = untrained, _studies(replace(cell, model=untrained))
    parts = [
        f"# {cell.model} on {cell.dataset}: feature variance and its effect on scores",
        *_spectrum(cell.model, variance, beside, other),
        *_encoded(variance, dimensions.head(SHOWN)),
        *_removed(sweep, best_rivals(sweep), beside, swept),
    ]
    return "\n\n".join(parts)


def _studies(cell: Cell) -> tuple[Any, Any]:
    return read_json(cell.folder / "variance.json"), read_json(cell.folder / "sweep.json")


def best_rivals(sweep: Scores) -> dict[str, str]:
    """The best rival of pruning for each head that was swept with rivals."""
    found = {}
    for head in (head for head in _heads() if head in sweep):
        scores = {name: sweep[head][name]["score"] for name in sweep[head] if name not in NO_RIVALS}
        if scores:
            found[head] = max(scores, key=lambda name: scores[name])
    return found


def _spectrum(model: str, own: Scores, floor: str | None, other: Scores | None) -> list[str]:
    def sentence(name: str, cell: Scores) -> str:
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
        f"{about['patches']} patches of {about['images']} images, layer {about['layer']} "
        f"(0-based), final norm {about['norm']}.",
    ]


def _encoded(own: Scores, top: pd.DataFrame) -> list[str]:
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
    ]


def _removed(
    sweep: Scores, rivals: Mapping[str, str], floor: str | None, other: Scores | None
) -> list[str]:
    about = sweep["protocol"]
    rows = []
    for head in (head for head in _heads() if head in sweep):
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
                _heads()[head],
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
        f"k = {about['k']}, {about['distance']}, {about['shots']} support images, {about['seeds']} "
        f"seeds (±: standard deviation over seeds), {about['query_images']} query images"
        + (f"; retrieval: {about['retrieval_queries']} queries" if "retrieval" in sweep else "")
        + '. "Best m" is the best on the query and an upper bound: it cannot be known in advance. '
        "The m chosen on the support can.",
    ]


def _percent(score: Mapping[str, float]) -> str:
    spread = f" ± {100 * score['score_std']:.1f}" if score["score_std"] else ""
    return f"{100 * score['score']:.1f}{spread}"


def _heads() -> Mapping[str, str]:
    """The heads of the sweep in words."""
    return TASKS["sweep"].words.heads
