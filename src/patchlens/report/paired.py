"""Paired bootstrap intervals of each result against the best and against `raw`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.protocol import DIGITS
from patchlens.tasks.bootstrap import interval, resampled_miou, unit_weights

Floats = NDArray[np.float64]
RAW = "raw"


def counts_from_records(records: pd.DataFrame, units: Mapping[str, str], classes: int) -> Floats:
    """Hits, true counts and predicted counts [R, U, C, 3] per seed × draw, unit and class.

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
    """Whether each row is the best or its paired interval against the best includes 0.

    Scores may be rounded: of rows with equal scores the first counts as the best, and a row whose
    resamples lie above it is level too.
    """
    best = int(np.argmax(scores))
    result = []
    for i, sample in enumerate(samples):
        low, _ = interval(samples[best] - sample)
        result.append(i == best or bool(low <= 0))
    return result


def compared(
    rows: Sequence[Mapping[str, Any]], samples: Sequence[Floats], key: str, sense: int = 1
) -> list[dict[str, float | bool]]:
    """Compare each row of one head with the best rows and with `raw`, by paired resamples.

    Args:
        rows: each with its `model`, `variant`, `role` and rounded score.
        samples: resamples [B] of each row, the same draws for all.
        key: the metric.
        sense: 1 if higher is better, otherwise -1.

    Returns:
        For each row: `level_with_best`; `level_with_best_model`, the same among the rows of its
        variant; `behind`, how much better the best of these rows is (not for that row itself);
        and `gain` over `raw` of the same model, positive if better (not for `raw`). The last two
        have 95 % intervals, such as `gain_ci_low` and `gain_ci_high`. A ceiling is excluded from
        ranking: it is never level and never behind.
    """
    drawn, scores = [sense * sample for sample in samples], [sense * row[key] for row in rows]
    found = [dict[str, float | bool]() for _ in rows]

    def difference(name: str, better: int, other: int) -> dict[str, float]:
        low, high = interval(drawn[better] - drawn[other])
        values = (scores[better] - scores[other], float(low), float(high))
        names = (name, f"{name}_ci_low", f"{name}_ci_high")
        return {key: round(value, DIGITS) for key, value in zip(names, values, strict=True)}

    variants = dict.fromkeys(row["variant"] for row in rows)
    groups = [("level_with_best", list(range(len(rows))))]
    for variant in variants:
        at = [i for i, row in enumerate(rows) if row["variant"] == variant]
        groups.append(("level_with_best_model", at))
    for name, group in groups:
        at = [i for i in group if rows[i]["role"] != "ceiling"]
        marks = level_with_best([drawn[i] for i in at], [scores[i] for i in at]) if at else []
        level = {i for i, mark in zip(at, marks, strict=True) if mark}
        for i in group:
            found[i][name] = i in level
        if name == "level_with_best_model" and at:
            best = max(at, key=lambda i: scores[i])  # of equal scores the first, as above
            for i in at:
                if i != best:
                    found[i] |= difference("behind", best, i)
    raw = {row["model"]: i for i, row in enumerate(rows) if row["variant"] == RAW}
    for i, row in enumerate(rows):
        if row["variant"] != RAW and row["model"] in raw:
            found[i] |= difference("gain", i, raw[row["model"]])
    return found
