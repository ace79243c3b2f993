"""What a claim can be about: each metric resampled from the records of one cell.

A measure is a function (lottery, dataset, model, variant) -> `Score`. A new task adds its metrics
to `METRICS`; nothing else needs to know of it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens import paths
from patchlens.errors import DataError
from patchlens.features.moments import ROUNDING
from patchlens.report.draws import Floats, Lottery, NotRun, Score
from patchlens.report.paired import counts_from_records
from patchlens.tasks.scores import divide

Measure = Callable[[Lottery, str, str, str], Score]


def segmentation(
    lottery: Lottery,
    dataset: str,
    model: str,
    variant: str,
    *,
    head: str,
    level: str,
    chance: bool = False,
) -> Score:
    """MIoU of each support seed, the mean of its draws; unit = query image or sequence.

    With `chance` it is that of predictions which know nothing: as often each class, independent of
    the truth.
    """
    path = _existing(paths.cell(dataset, model) / "segmentation.records.parquet", dataset, model)
    wanted = [("head", "==", head), ("variant", "==", variant), ("level", "==", level)]
    records = pd.read_parquet(path, filters=wanted)
    if not len(records):
        raise NotRun(f"{model} on {dataset}: head {head} with variant {variant} was not scored")
    query = pd.read_parquet(paths.index(dataset) / "query.parquet")
    units = dict(zip(query["image_id"], query["unit"], strict=True))
    strangers = set(records["image_id"].unique()) - set(units)
    if strangers:
        raise DataError(
            f"{path}: holds image '{min(strangers)}', which is no query image of {dataset}; "
            "run `dvc repro segmentation`"
        )
    labels = records[["true", "predicted"]].to_numpy()
    counts = counts_from_records(records, units, int(labels.max()) + 1)
    runs = records[["seed", "draw"]].drop_duplicates().sort_values(["seed", "draw"])["seed"]
    seeds = sorted(runs.unique())
    of_seed = runs.to_numpy()[:, None] == np.array(seeds)
    names = sorted(set(units.values()))
    draws = lottery.draw(dataset, len(seeds), len(names))
    everything = np.ones((1, len(names)))
    point = seed_miou(counts, everything, of_seed, chance=chance)[0]
    samples = [seed_miou(counts, weights, of_seed, chance=chance) for weights in draws.chunks()]
    return Score([int(s) for s in seeds], names, point, np.concatenate(samples), draws)


def seed_miou(
    counts: Floats, weights: Floats, of_seed: NDArray[np.bool_], *, chance: bool = False
) -> Floats:
    """MIoU [b, S] of resampled units for each seed, the mean over its draws.

    With `chance`, hits are those expected of independent predictions with the same margins, true ×
    predicted / all, as in Cohen's kappa (1960).

    Args:
        counts: hits, true and predicted pixels [R, U, C, 3] of each run (seed and draw).
        weights: how often each unit counts [b, U].
        of_seed: whether a run belongs to a seed [R, S].
        chance: see above.
    """
    present = counts[..., 1].sum(axis=(0, 1)) > 0
    runs, units, classes, _ = counts[:, :, present].shape
    flat = counts[:, :, present].transpose(1, 0, 2, 3).reshape(units, -1)
    summed = (weights @ flat).reshape(len(weights), runs, classes, 3)
    hits, true, predicted = np.moveaxis(summed, -1, 0)
    if chance:
        hits = true * predicted / true.sum(axis=-1, keepdims=True)
    scores = np.nanmean(divide(hits, true + predicted - hits), axis=-1)
    return np.asarray(scores @ (of_seed / of_seed.sum(axis=0)))


def variance(lottery: Lottery, dataset: str, model: str, variant: str, *, name: str) -> Score:
    """How concentrated the variance over dimensions is; unit = image, and there are no seeds."""
    path = _existing(paths.cell(dataset, model) / "variance.records.parquet", dataset, model)
    if variant != "raw":
        raise NotRun(f"variance.{name} is measured on variant raw, not {variant}")
    records = pd.read_parquet(path).astype({"image_id": str})  # categories sort as they please
    records = records.sort_values(["image_id", "dimension"])
    images = sorted(records["image_id"].unique())
    shape = (len(images), -1)
    count = records["count"].to_numpy(dtype=np.float64).reshape(shape)[:, 0]
    total = records["total"].to_numpy(dtype=np.float64).reshape(shape)
    squares = records["squares"].to_numpy(dtype=np.float64).reshape(shape)
    draws = lottery.draw(f"{dataset} variance", 1, len(images))

    def concentration(weights: Floats) -> Floats:
        n = (weights @ count)[:, None]
        square = weights @ squares / n
        spread = square - np.square(weights @ total / n)
        return spectra(np.where(spread > ROUNDING * square, spread, 0))[name][:, None]

    point = concentration(np.ones((1, len(images))))[0]
    samples = np.concatenate([concentration(weights) for weights in draws.chunks()])
    return Score([0], images, point, samples, draws)


def spectra(variances: Floats) -> Mapping[str, Floats]:
    """`features.moments.spectrum` of many variance vectors [b, D] at once: each number [b]."""
    total = variances.sum(axis=1, keepdims=True)
    shares = np.sort(variances, axis=1)[:, ::-1] / np.where(total > 0, total, 1)
    top = shares.cumsum(axis=1)
    width = variances.shape[1]
    squares = np.square(shares).sum(axis=1)
    return {
        "top1": top[:, 0],
        "top5": top[:, min(5, width) - 1],
        "top_1pct": top[:, -(-width // 100) - 1],
        "top_10pct": top[:, -(-width // 10) - 1],
        "participation": np.divide(1, squares, out=np.zeros_like(squares), where=squares > 0),
    }


def _existing(path: Path, dataset: str, model: str) -> Path:
    if not path.is_file():
        raise NotRun(f"{model} on {dataset}: there is no {path.name}")
    return path


SPECTRUM: Sequence[str] = ("top1", "top5", "top_1pct", "top_10pct", "participation")
METRICS: Mapping[str, Measure] = {
    f"segmentation.{head}.{level}_miou{end}": partial(
        segmentation, head=head, level=level, chance=chance
    )
    for head in ("knn", "linear", "majority")
    for level in ("pixel", "patch")
    for end, chance in (("", False), ("_chance", True))
} | {f"variance.{name}": partial(variance, name=name) for name in SPECTRUM}
