"""The variance study of all models as one table, and the overlap of top sets between datasets."""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.display import grid
from patchlens.features.moments import top_count
from patchlens.features.variants import pruned_count
from patchlens.names import DatasetName, ModelName
from patchlens.stored import read_csv, read_json
from patchlens.tasks.variance.metrics import CUES

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

COLUMNS = {
    "top1": "top 1",
    "top5": "top 5",
    "top_1pct": "top ⌈D/100⌉",
    "top_10pct": "top ⌈D/10⌉",
    "participation": "particip.",
    "pca_participation": "particip. (PCA)",
    "kurtosis_top": "kurtosis",
}
EXPLAINED = (
    "top: share of the total variance (%) in the dimensions of highest variance. particip.: "
    "participation ratio (Σv)²/Σv² of the variances of the D dimensions, and of the eigenvalues of "
    "their covariance (PCA); it lies between 1 (one dimension has all the variance) and D. "
    "kurtosis: mean over the top ⌈D/100⌉ dimensions (3 for a normal distribution). r: mean |r| of "
    "the top ⌈D/100⌉ dimensions with the row, column, brightness and edge energy of the patch / "
    "the same for all other dimensions. seeds, layers: mean overlap of the prune_m top dimensions "
    "between support seeds and between extracted layers / the overlap of random sets."
)


def tables(
    datasets: Sequence[DatasetName], settings: "Settings"
) -> dict[str, tuple[pd.DataFrame, *tuple[str, ...]]]:
    """Name -> its rows, with its Markdown and LaTeX: all cells, and overlaps between datasets.

    Raises:
        DataError: a configured cell is missing.
    """
    pairs_of = [(d, model) for d in datasets for model in settings.models]
    folders = {(d, model): paths.cell(dataset=d, model=model) for d, model in pairs_of}
    studies = {c: read_json(f / "variance.json") | _marks(f) for c, f in folders.items()}
    rankings = {
        cell: read_csv(folder / "variance_dimensions.csv", "dimension")["dimension"].tolist()
        for cell, folder in folders.items()
    }
    found, pairs = rows(studies), between_datasets(rankings, settings.prune.m)
    return {
        "variance": (found, markdown(found, pairs), latex(found)),
        "variance_datasets": (pairs,),
    }


def _marks(folder: Path) -> dict[str, Any]:
    """Whether the files behind a cell are not the official ones, as the stage extract found."""
    found = read_json(folder / "extract.json")
    return {key: value for key, value in found.items() if key == "not_official"}


def rows(cells: dict[tuple[DatasetName, ModelName], dict[str, Any]]) -> pd.DataFrame:
    """One row per dataset and model from its variance.json, with its protocol and overlaps."""
    flat = []
    for (dataset, model), cell in cells.items():
        numbers = {key: v for key, v in cell.items() if key not in ("overlap", "protocol")}
        numbers |= cell["protocol"]
        for kind, shares in cell["overlap"].items():
            numbers |= {f"overlap_{kind}_{m}": share for m, share in shares.items()}
        flat.append({"dataset": dataset, "model": model} | numbers)
    return pd.DataFrame(flat, columns=None if flat else ["dataset"])


def between_datasets(
    rankings: dict[tuple[DatasetName, ModelName], list[int]], m: float
) -> pd.DataFrame:
    """Overlap of a model's top sets between datasets.

    Args:
        rankings: (dataset, model) -> dimensions from the highest variance to the lowest.
        m: the headline share of the width, beside ⌈D/100⌉ and ⌈D/10⌉.

    Returns:
        Columns model, a, b, m (dimensions), overlap, chance; one row per pair of datasets and m.
    """
    found = []
    for ((a, model), x), ((b, other), y) in combinations(rankings.items(), 2):
        if model != other or len(x) != len(y):
            continue
        width = len(x)
        pruned = max(1, pruned_count(m, width))
        for count in sorted({top_count(width, 100), top_count(width, 10), pruned}):
            shared = len(np.intersect1d(x[:count], y[:count])) / count
            found.append((model, a, b, count, round(shared, 4), round(count / width, 4)))
    return pd.DataFrame(found, columns=["model", "a", "b", "m", "overlap", "chance"])


def markdown(table_rows: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """One section per dataset, and one for overlaps if there are several datasets."""
    parts = [] if len(table_rows) else ["segmentation.datasets lists no datasets."]
    for dataset, of_dataset in table_rows.groupby("dataset", sort=False):
        parts.append(f"### {dataset}: how the variance spreads over the dimensions")
        parts.append(grid.markdown(*_grid(of_dataset)))
        parts.append(grid.plain(caption(of_dataset)))
    if len(pairs):
        parts.append("### Top dimensions shared between datasets")
        body = [[str(value) for value in line] for line in pairs.itertuples(index=False)]
        parts.append(grid.markdown(list(pairs.columns), body))
    return "\n\n".join(parts) + "\n"


def latex(table_rows: pd.DataFrame) -> str:
    """The same as LaTeX tables."""
    parts = [
        grid.latex(*_grid(of_dataset), f"{dataset}. {caption(of_dataset)}")
        for dataset, of_dataset in table_rows.groupby("dataset", sort=False)
    ]
    return "\n\n".join(parts) + "\n"


def caption(of_dataset: pd.DataFrame) -> str:
    """The protocol of one dataset's rows in words; values that differ between rows are listed."""
    of = partial(grid.values, of_dataset)
    return (
        f"Protocol {of('protocol_version')}. {of('patches')} patches of the {of('images')} "
        f"extracted support and query images, {of('view')}, layer {of('layer')} (0-based), final "
        f"norm {of('norm')}, {of('dtype')}; {of('seeds')} seeds; prune_m = {of('prune_m')}. "
        + EXPLAINED
        + grid.unofficial(of_dataset)
    )


def _grid(of_dataset: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    body = []
    for row in of_dataset.to_dict("records"):
        shares = [f"{100 * row[key]:.1f}" for key in list(COLUMNS)[:4]]
        sizes = [f"{row[key]:.1f}" for key in list(COLUMNS)[4:]]
        cues = [f"{row[f'{cue}_top']:.2f} / {row[f'{cue}_rest']:.2f}" for cue in CUES]
        chance = row["overlap_chance_prune_m"]
        shared = [
            _share(row.get(f"overlap_{kind}_prune_m"), chance) for kind in ("seeds", "layers")
        ]
        body.append([str(row["model"]), *shares, *sizes, *cues, *shared])
    return ["model", *COLUMNS.values(), *(f"r {cue}" for cue in CUES), "seeds", "layers"], body


def _share(value: float | None, chance: float) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.2f} / {chance:.2f}"
