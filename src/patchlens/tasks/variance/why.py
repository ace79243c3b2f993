"""`patchlens why`: reads the cells, features and images of one model and writes a page on it.

This is not a stage of the graph: the page is made on request, from the results of `dvc repro`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from patchlens import paths
from patchlens.features.cell import Cell
from patchlens.features.moments import top_count
from patchlens.features.variants import WITH_M
from patchlens.files import existing, read_json, whole_folder, write_text
from patchlens.names import ModelName
from patchlens.tasks.table import TASKS
from patchlens.tasks.variance import why_figures
from patchlens.tasks.variance.metrics import CUES

Scores = Mapping[str, Any]
NO_RIVALS = ("raw", "auto", *WITH_M)  # of the entries of sweep.json; all others are rivals
REMEDY = (
    "`patchlens why` needs the results of `dvc repro`: run it with the dataset in "
    "segmentation.datasets and sweep.datasets"
)
SHOWN = 3  # images and dimensions of the heat maps
PAGE = "README.md"


def write(cell: Cell, untrained: ModelName | None) -> Path:
    """Write reports/why/<dataset>-<model>/: README.md and its figures.

    Args:
        cell: the model on a dataset.
        untrained: the model to show as the floor, if any.

    Returns:
        The path of the page.

    Raises:
        DataError: a cell or the features are missing.
    """
    variance, sweep = _studies(cell)
    dimensions, floor = {cell.model: _dimensions(cell)}, None
    if untrained and untrained != cell.model:
        other = replace(cell, model=untrained)
        floor = (untrained, *_studies(other))
        dimensions[untrained] = _dimensions(other)
    top = dimensions[cell.model].head(5)
    out = paths.why(dataset=cell.dataset, model=cell.model)
    with whole_folder(out) as folder:
        curves = {m: table["share"].to_numpy(dtype=np.float64) for m, table in dimensions.items()}
        why_figures.spectra(curves, folder / "spectrum.png")
        _heat_maps(cell, top, folder / "dimensions.png")
        swept = pd.read_csv(existing(cell.folder / "sweep.csv", REMEDY))
        why_figures.sweeps(swept, _heads(), best_rivals(sweep), folder / "sweep.png")
        write_text(page(cell.dataset, cell.model, variance, sweep, top, floor), folder / PAGE)
    return out / PAGE


def _studies(cell: Cell) -> tuple[Any, Any]:
    return read_json(cell.folder / "variance.json", REMEDY), read_json(
        cell.folder / "sweep.json", REMEDY
    )


def _dimensions(cell: Cell) -> pd.DataFrame:
    return pd.read_csv(existing(cell.folder / "variance_dimensions.csv", REMEDY))


def _heat_maps(cell: Cell, top: pd.DataFrame, path: Path) -> None:
    every = cell.query.header.image_ids
    ids = every[:: max(1, len(every) // SHOWN)][:SHOWN]
    dimensions = top["dimension"].tolist()[:SHOWN]
    features = cell.query.images(ids, cell.layer)[..., dimensions]
    why_figures.activations(
        [np.asarray(cell.index.image(i)) for i in ids],
        features.transpose(0, 3, 1, 2),
        [f"dimension {d}" for d in dimensions],
        path,
    )


def page(
    name: str,
    model: str,
    variance: Scores,
    sweep: Scores,
    top: pd.DataFrame,
    floor: tuple[str, Scores, Scores] | None,
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
        "![Cumulative share of the variance by rank](spectrum.png)",
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
        "![Images beside maps of the top dimensions](dimensions.png)",
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


def _heads() -> Mapping[str, str]:
    """The heads of the sweep in words."""
    return TASKS["sweep"].words.heads
