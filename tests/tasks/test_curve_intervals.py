"""The intervals in the curves of T2, T3 and T4, against plain resampling of their records."""

from functools import partial

import numpy as np
import pandas as pd

from patchlens.tasks.identification import summary as identification_summary
from patchlens.tasks.resample import SharedResampler, interval, ratio_interval, scored
from patchlens.tasks.retrieval import summary as retrieval_summary
from patchlens.tasks.tracking import summary as tracking_summary
from patchlens.tasks.tracking.metrics import weighted

RESAMPLER = SharedResampler(300, 3)
UNITS = [f"image{i}" for i in range(6)]


def by_hand(top: dict[str, float], bottom: dict[str, float]) -> list[float]:
    """The interval of the ratio of two sums over units, a resample at a time."""
    samples = []
    for weights in np.concatenate(list(RESAMPLER.unit_chunks(len(UNITS)))):
        asked = sum(w * bottom.get(unit, 0) for w, unit in zip(weights, UNITS, strict=True))
        right = sum(w * top.get(unit, 0) for w, unit in zip(weights, UNITS, strict=True))
        samples += [right / asked] if asked else []
    return [round(float(end), 4) for end in interval(np.array(samples))]


def test_a_point_without_anything_to_score_has_no_interval() -> None:
    top, bottom = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    low, high = ratio_interval(top, bottom, RESAMPLER)
    assert (low[0], high[0]) == (0, 1)
    assert np.isnan([low[1], high[1]]).all()


def test_identification_has_an_interval_a_condition_and_size_and_one_of_all_sizes() -> None:
    rng = np.random.default_rng(0)
    rows = [
        ("object", "raw", 0, unit, "blur", 1.0, size, int(rng.integers(0, 5)), 5, 5)
        for unit in UNITS
        for size in (("<1",) if unit == UNITS[0] else ("<1", ">16"))
    ]
    keys = identification_summary.KEYS
    records = pd.DataFrame(rows, columns=[*keys, "hits1", "hits5", "queries"])
    conditions = [("blur", 1.0), ("blur", 2.0)]  # the second was never asked

    found = identification_summary.curves(records, {"object": 9}, conditions, RESAMPLER)

    asked = found[found["severity"] == 1].set_index("size")
    assert sorted(asked.index) == ["<1", ">16", "all"]
    for size, part in [("all", records), *records.groupby("size")]:
        sums = part.groupby("unit")[["hits1", "queries"]].sum()
        assert asked.loc[size, ["top1_ci_low", "top1_ci_high"]].tolist() == by_hand(
            sums["hits1"].to_dict(), sums["queries"].to_dict()
        )
    assert found.loc[found["severity"] == 2, ["top1", "top1_ci_low"]].isna().all(axis=None)


def test_retrieval_has_an_interval_of_the_mean_a_size() -> None:
    rng = np.random.default_rng(1)
    hits = {"hit1": 0.0, "hit5": 0.0, "hit10": 0.0}
    rows = [
        {"head": "instance", "variant": variant, "draw": 0, "unit": unit, "query": i, "size": size}
        | {"ap": rng.random()} | hits
        for i, unit in enumerate(UNITS) for size in ("<1", "4–16")[: 1 + i % 2]
        for variant in ("prune", "raw")
    ]  # fmt: skip
    records = retrieval_summary.all_records([pd.DataFrame(rows)])

    found = retrieval_summary.by_size(records, ["raw", "prune"], RESAMPLER)

    assert len(found) == 4
    for (variant, size), part in pd.DataFrame(rows).groupby(["variant", "size"]):
        sums = part.groupby("unit")["ap"].agg(["sum", "size"])
        row = found[(found["variant"] == variant) & (found["size"] == size)].iloc[0]
        assert [row["map_ci_low"], row["map_ci_high"]] == by_hand(
            sums["sum"].to_dict(), sums["size"].to_dict()
        )


def test_tracking_has_the_intervals_of_its_cell() -> None:
    rng = np.random.default_rng(2)
    records = tracking_summary.records(
        ("association", "raw", 0, unit, f"{name}_d{delta}", value)
        for unit in UNITS
        for delta in (1, 20)
        for name, value in (
            ("nearest", float(rng.integers(0, 9))),
            ("optimal", 1.0),
            ("chance", 1.0),
            ("pairs", 9.0),
        )
    )
    cell = scored(partial(weighted, index=None), records, RESAMPLER)["association"]

    found = tracking_summary.curve(records, cell, ["raw"], [1, 20]).set_index("delta")

    for delta in (1, 20):
        counts = records[records["unit"].notna()].astype({"unit": str, "count": str})
        of_name = {
            name: counts[counts["count"] == f"{name}_d{delta}"].set_index("unit")["value"].to_dict()
            for name in ("nearest", "pairs")
        }
        ends = found.loc[delta, ["nearest_ci_low", "nearest_ci_high"]].tolist()
        assert ends == by_hand(of_name["nearest"], of_name["pairs"])
