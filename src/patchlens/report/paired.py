"""Which results cannot be told from the best: paired bootstrap intervals from the records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.tasks.bootstrap import interval, resampled_miou, unit_weights

Floats = NDArray[np.float64]


def counts_from_records(records: pd.DataFrame, units: Mapping[str, str], classes: int) -> Floats:
    """Hits, true and predicted counts [R, U, C, 3] of each seed × draw, unit and class.

    Args:
        records: rows of one head, variant and level.
        units: image id -> bootstrap unit; sorted units make the second axis.
        classes: number of classes C.
    """
    names = sorted(set(units.values()))
    unit = records["image_id"].astype(str).map(units).map({u: i for i, u in enumerate(names)})
    run = records.groupby(["seed", "draw"], sort=True).ngroup()
    out = np.zeros((run.max() + 1, len(names), classes, 3))
    count = records["count"].to_numpy(dtype=np.float64)
    hit = (records["true"] == records["predicted"]).to_numpy()
    true, predicted = records["true"].to_numpy(), records["predicted"].to_numpy()
    margins: list[tuple[Any, Any]] = [(true, count * hit), (true, count), (predicted, count)]
    for i, (label, amount) in enumerate(margins):
        np.add.at(out[..., i], (run.to_numpy(), unit.to_numpy(), label), amount)
    return out


def resamples(counts: Floats, number: int, seed: int) -> Floats:
    """Seed-mean mIoU of each resample [B]; the same draws for every row of a dataset."""
    present = counts[..., 1].sum(axis=(0, 1)) > 0
    return resampled_miou(counts, unit_weights(counts.shape[1], number, seed), present)


def level_with_best(samples: Sequence[Floats], scores: Sequence[float]) -> list[bool]:
    """Whether each row is the best, or its paired interval against the best includes 0.

    Scores may be rounded: of rows with the same score the first is called the best, and one whose
    resamples lie above it is level too.
    """
    best = int(np.argmax(scores))
    result = []
    for i, sample in enumerate(samples):
        low, _ = interval(samples[best] - sample)
        result.append(i == best or bool(low <= 0))
    return result
