"""Paired bootstrap intervals of each result against the best and against `raw`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from patchlens.arrays import Floats
from patchlens.protocol import DIGITS
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import interval

RAW = "raw"
LEVEL = "_level_with_best"  # the end of the column that marks rows level with the best


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
    rows: Sequence[Mapping[str, Any]], samples: Sequence[Floats], metric: Metric
) -> list[dict[str, float | bool]]:
    """Compare each row of one head with the best rows and with `raw`, by paired resamples.

    Args:
        rows: each with its `model`, `variant`, `role` and rounded score.
        samples: resamples [B] of each row, the same draws for all; resamples in which a row has
            nothing to score are left out.
        metric: the score.

    Returns:
        For each row: `level_with_best`; `level_with_best_model`, the same among the rows of its
        variant; `behind`, how much better the best of these rows is (not for that row itself);
        and `gain` over `raw` of the same model, positive if better (not for `raw`). The last two
        have 95 % intervals, such as `gain_ci_low` and `gain_ci_high`. A ceiling is excluded from
        ranking: it is never level and never behind.
    """
    stacked = np.stack(samples)
    drawn = list(metric.sense * stacked[:, np.isfinite(stacked).all(axis=0)])
    scores = [metric.sense * row[metric.key] for row in rows]
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
