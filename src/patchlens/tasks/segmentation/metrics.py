"""What T1 measures."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np
import pandas as pd

from patchlens.arrays import Bools, Floats
from patchlens.datasets.index import Index
from patchlens.errors import DataError
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import Weighted, divide

HEADS = ("knn", "linear", "majority")
METRICS = (
    Metric("pixel_miou", "pixel mIoU", heads=HEADS, headline=HEADS),
    Metric("patch_miou", "patch mIoU", heads=HEADS, patchwise=HEADS),
    # Of predictions with the same class frequencies that are independent of the truth.
    Metric("pixel_miou_chance", "pixel mIoU of chance", heads=HEADS),
    Metric("patch_miou_chance", "patch mIoU of chance", heads=HEADS, patchwise=HEADS),
)


def weighted(rows: pd.DataFrame, index: Index) -> Weighted:
    """The scores of one head and variant; units are images or sequences, as `query.unit` says.

    A unit without a labelled pixel has no records and is no unit of the resamples.
    mIoU is the mean over the classes in the ground truth of the whole query; a class whose union is
    empty in a resample is excluded from its mean.

    Raises:
        DataError: an image of the records is not a query image.
    """
    units = dict(zip(index.query["image_id"], index.query["unit"], strict=True))
    there = set(rows["image_id"].unique())
    unknown = there - set(units)
    if unknown:
        raise DataError(
            f"{index.folder}: image '{min(unknown)}' of the records is not a query image; run "
            "`dvc repro segmentation`"
        )
    names = sorted({units[image_id] for image_id in there})
    runs = rows[["seed", "draw"]].drop_duplicates().sort_values(["seed", "draw"])["seed"]
    seeds = sorted(runs.unique())
    of_seed = runs.to_numpy()[:, None] == np.array(seeds)
    mean_of_draws = of_seed / of_seed.sum(axis=0)
    scores: dict[str, Callable[[Floats], Floats]] = {}
    for level in rows["level"].unique():
        counts = counts_of(rows[rows["level"] == level], units, names)
        present = counts[..., 1].sum(axis=(0, 1)) > 0
        for end, chance in (("", False), ("_chance", True)):
            scores[f"{level}_miou{end}"] = partial(run_miou, counts, present=present, chance=chance)

    def metrics(weights: Floats, wanted: Collection[str] | None) -> Mapping[str, Floats]:
        # Chance is scored only where it is asked for: it is no metric of a cell.
        chosen = [name for name in scores if not name.endswith("_chance")]
        return {
            name: np.asarray(scores[name](weights) @ mean_of_draws)
            for name in (chosen if wanted is None else wanted)
        }

    return Weighted(names, metrics, [int(seed) for seed in seeds])


def counts_of(records: pd.DataFrame, units: Mapping[str, str], names: list[str]) -> Floats:
    """Hits, true counts and predicted counts [R, U, C, 3] per run (seed and draw), unit and class.

    Args:
        records: rows of one head, variant and level.
        units: image id -> bootstrap unit.
        names: the units, in the order of the second axis.
    """
    place = {unit: i for i, unit in enumerate(names)}
    image, ids = pd.factorize(records["image_id"])
    unit = np.array([place[units[str(image_id)]] for image_id in ids])[image]
    seed, draw = (records[name].to_numpy(dtype=np.int64) for name in ("seed", "draw"))
    runs, run = np.unique(seed * (draw.max() + 1) + draw, return_inverse=True)
    classes = int(records[["true", "predicted"]].to_numpy().max()) + 1
    out = np.zeros((len(runs), len(names), classes, 3))
    count = records["count"].to_numpy(dtype=np.float64)
    hit = (records["true"] == records["predicted"]).to_numpy()
    true, predicted = records["true"].to_numpy(), records["predicted"].to_numpy()
    for i, (label, amount) in enumerate([(true, count * hit), (true, count), (predicted, count)]):
        np.add.at(out[..., i], (run, unit, label), amount)
    return out


def run_miou(counts: Floats, weights: Floats, *, present: Bools, chance: bool = False) -> Floats:
    """MIoU of each resample and run [B, R].

    Args:
        counts: hits, true and predicted pixels [R, U, C, 3] of each run (seed and draw), unit and
            class.
        weights: how often each unit counts [B, U].
        present: the classes in the ground truth of the whole query [C]; a class whose union is
            empty in a resample is excluded from its mean.
        chance: whether hits are instead those expected of independent predictions with the same
            margins, true × predicted / all, as in Cohen's kappa (1960).
    """
    kept = counts[:, :, present]
    runs, units, classes, _ = kept.shape
    flat = kept.transpose(1, 0, 2, 3).reshape(units, -1)
    summed = (weights @ flat).reshape(len(weights), runs, classes, 3)
    hits, true, predicted = np.moveaxis(summed, -1, 0)
    if chance:
        hits = true * predicted / true.sum(axis=-1, keepdims=True)
    iou = divide(hits, true + predicted - hits)
    return divide(np.nansum(iou, axis=-1), np.isfinite(iou).sum(axis=-1))
