"""The study of a cell: how the variance spreads over dimensions, what the top ones encode."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.datasets.index import Index
from patchlens.features.cell import IMAGES, Cell
from patchlens.features.moments import Moments, rank_by_variance, top_count
from patchlens.features.store import FeatureFile
from patchlens.features.variants import pruned_count
from patchlens.progress import log, track
from patchlens.protocol import DIGITS
from patchlens.tasks.result import Result
from patchlens.tasks.variance.study import Study, cues, overlaps, spread_with_cues, study


def run(cell: Cell) -> Result:
    """Study every extracted layer.

    The metrics are the numbers of the headline layer, and the mean overlap of top dimensions over
    pairs of seeds and pairs of layers. The curves are the spectrum and the numbers of each layer,
    the dimensions of the headline layer, and all overlaps. The records are sums of each image.
    """
    m, shots = cell.settings.prune.m, cell.settings.shots
    files, index = cell.files, cell.index
    layers = files[0].header.layers
    beside = _cues(index, files, str(cell))
    studies = {
        layer: study(spread_with_cues(_batches(files, layer, beside, str(cell))))
        for layer in layers
    }
    headline = studies[layers[0]]
    moments, ids = cell.moments()
    width = moments.total.shape[1]
    sizes = {
        "top_1pct": top_count(width, 100),
        "top_10pct": top_count(width, 10),
        "prune_m": max(1, pruned_count(m, width)),
    }
    # On each seed's support, although `prune.fit_on: dataset` gives all seeds the same ranking.
    rows = {image_id: row for row, image_id in enumerate(ids)}
    seeds = {}
    for seed in index.seeds:
        of_seed = [rows[image_id] for image_id in index.support_ids(seed, shots)]
        seeds[str(seed)] = rank_by_variance(moments.mean_and_variance(of_seed)[1])
    by_layer = {str(n): s.dimensions["dimension"].to_numpy() for n, s in studies.items()}
    shared = {
        kind: overlaps(rankings, sorted(set(sizes.values())))
        for kind, rankings in (("seeds", seeds), ("layers", by_layer))
    }
    numbers = [{"layer": n} | s.numbers for n, s in sorted(studies.items())]
    pairs = [table.assign(between=kind) for kind, table in shared.items() if len(table)]
    curves = {
        "spectrum": _spectra(studies),
        "dimensions": _dimensions(headline),
        "layers": pd.DataFrame(numbers).round(DIGITS),
        "overlap": pd.concat(pairs)[["between", "a", "b", "m", "overlap", "chance"]].round(DIGITS),
    }
    header = files[0].header
    images = sum(len(file.header.image_ids) for file in files)
    protocol = cell.about_features() | {
        "images": images,
        "patches": images * header.grid[0] * header.grid[1],
        "seeds": len(seeds),
        "shots": shots,
        "prune_m": m,
    }
    metrics: dict[str, Any] = {key: round(v, DIGITS) for key, v in headline.numbers.items()}
    metrics["overlap"] = {
        kind: _means(table, sizes) for kind, table in shared.items() if len(table)
    } | {"chance": {key: round(count / width, DIGITS) for key, count in sizes.items()}}
    log.info("%s: studied %d dimensions in %d layers", cell, width, len(layers))
    return Result(metrics, protocol, curves, _records(moments, ids))


def _cues(index: Index, files: list[FeatureFile], what: str) -> dict[str, NDArray[np.float32]]:
    ids = [image_id for file in files for image_id in file.header.image_ids]
    grid = files[0].header.grid
    shown = track(ids, total=len(ids), what=f"cues {what}")
    return {i: cues(np.asarray(index.image(i)), grid) for i in shown}


def _batches(
    files: list[FeatureFile], layer: int, beside: Mapping[str, NDArray[np.float32]], what: str
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    parts = [
        (file, file.header.image_ids[i : i + IMAGES])
        for file in files
        for i in range(0, len(file.header.image_ids), IMAGES)
    ]
    for file, ids in track(parts, total=len(parts), what=f"variance {what}", unit="batch"):
        features = file.images(ids, layer)
        shown = np.stack([beside[i] for i in ids])
        yield features.reshape(-1, features.shape[-1]), shown.reshape(-1, shown.shape[-1])


def _spectra(studies: Mapping[int, Study]) -> pd.DataFrame:
    tables = [s.spectrum.assign(layer=layer) for layer, s in sorted(studies.items())]
    table = pd.concat(tables, ignore_index=True)
    return table[["layer", *table.columns.drop("layer")]].round(6)


def _dimensions(headline: Study) -> pd.DataFrame:
    table = headline.dimensions.copy()
    # Any scale: significant digits instead of decimal places.
    for column in ("mean", "variance"):
        table[column] = [float(f"{value:.4g}") for value in table[column]]
    table["share"] = table["share"].round(6)
    return table.round(dict.fromkeys(["kurtosis", *table.filter(like="r_")], DIGITS))


def _means(table: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, float]:
    mean = table.groupby("m")["overlap"].mean()
    return {key: round(float(mean[m]), DIGITS) for key, m in sizes.items()}


def _records(moments: Moments, ids: list[str]) -> pd.DataFrame:
    """Patches, Σx and Σx² of each image and dimension at the headline layer."""
    images, width = moments.total.shape
    return pd.DataFrame(
        {
            "image_id": pd.Categorical(np.repeat(ids, width)),
            "dimension": np.tile(np.arange(width, dtype=np.int32), images),
            "count": np.repeat(moments.count, width),
            "total": moments.total.ravel(),
            "squares": moments.squares.ravel(),
        }
    )
