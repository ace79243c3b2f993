"""Intervals of the curves of T2, T3 and T4 against plain resampling of their records."""

import numpy as np
import pandas as pd
import pytest

from patchlens.report.curve_intervals import CURVES, ends
from patchlens.tasks import tracking_summary
from patchlens.tasks.bootstrap import interval, unit_weights

RESAMPLES, SEED = 300, 3
UNITS = [f"image{i}" for i in range(6)]


def by_hand(top: dict[str, float], bottom: dict[str, float]) -> list[float]:
    """The interval of the ratio of two sums over units, a resample at a time."""
    samples = []
    for weights in unit_weights(len(UNITS), RESAMPLES, SEED):
        asked = sum(w * bottom.get(unit, 0) for w, unit in zip(weights, UNITS, strict=True))
        right = sum(w * top.get(unit, 0) for w, unit in zip(weights, UNITS, strict=True))
        samples += [right / asked] if asked else []
    return [round(float(end), 4) for end in interval(np.array(samples))]


def test_identification_has_an_interval_a_condition_and_size_and_one_of_all_sizes() -> None:
    rng = np.random.default_rng(0)
    rows = [
        ("object", "raw", 0, unit, "blur", 1.0, size, int(rng.integers(0, 5)), 5)
        for unit in UNITS
        for size in (("<1",) if unit == UNITS[0] else ("<1", ">16"))
    ]
    names = ["head", "variant", "draw", "unit", "degradation", "severity", "size"]
    records = pd.DataFrame(rows, columns=[*names, "hits1", "queries"])
    records = records.astype(dict.fromkeys(["head", "variant", "unit", "size"], "category"))

    found = ends(CURVES["identification", "top1"], records, RESAMPLES, SEED).set_index("size")

    for size, part in [("all", records), *records.astype({"size": str}).groupby("size")]:
        sums = part.astype({"unit": str}).groupby("unit")[["hits1", "queries"]].sum()
        assert found.loc[size, ["low", "high"]].tolist() == by_hand(
            sums["hits1"].to_dict(), sums["queries"].to_dict()
        )
    assert sorted(found.index) == ["<1", ">16", "all"]


def test_retrieval_has_an_interval_of_the_mean_a_size() -> None:
    rng = np.random.default_rng(1)
    rows = [("instance", "raw", 0, unit, "1–4", rng.random()) for unit in UNITS for _ in range(3)]
    records = pd.DataFrame(rows, columns=["head", "variant", "draw", "unit", "size", "ap"])

    found = ends(CURVES["retrieval", "map"], records, RESAMPLES, SEED)

    sums = records.groupby("unit")["ap"].agg(["sum", "size"])
    assert found.loc[0, ["low", "high"]].tolist() == by_hand(
        sums["sum"].to_dict(), sums["size"].to_dict()
    )


@pytest.mark.parametrize("delta", [1, 20])
def test_tracking_has_the_intervals_of_its_cell(delta: int) -> None:
    rng = np.random.default_rng(2)
    rows = [
        ("association", variant, draw, unit, f"{name}_d{d}", value)
        for variant, draws in (("raw", 1), ("prune_random", 2))
        for draw in range(draws)
        for unit in UNITS
        for d in (1, 20)
        for name, value in (
            ("nearest", float(rng.integers(0, 9))),
            ("optimal", 1.0),
            ("chance", 1.0),
            ("pairs", 9.0),
        )
    ]
    records = tracking_summary.records(rows)

    found = ends(CURVES["tracking", "nearest"], records, RESAMPLES, SEED)

    for variant, part in records.groupby("variant", observed=True):
        drawn = tracking_summary.weighted(part).resampled(RESAMPLES, SEED)[f"d{delta}"]
        at = found[(found["variant"] == variant) & (found["delta"] == delta)]
        np.testing.assert_allclose(at[["low", "high"]].iloc[0], interval(drawn), atol=5e-5)
