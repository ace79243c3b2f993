"""From counts of videos to the cell, its intervals and the curve."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from patchlens.tasks.resample import SharedResampler, interval, scored
from patchlens.tasks.tracking.metrics import weighted
from patchlens.tasks.tracking.summary import by_delta, curve, records, rows


def cell(table: pd.DataFrame, resamples: int) -> dict[str, dict[str, dict[str, float]]]:
    """What is written of these records."""
    return scored(partial(weighted, index=None), table, SharedResampler(resamples, 0))


def association(unit: str, variant: str, draw: int, *sums) -> list:
    return list(rows("association", variant, draw, unit, by_delta(np.array(sums), [1, 5])))


def two_videos() -> pd.DataFrame:
    none = (0, 0, 0, 0)
    return records(
        [
            *association("b", "raw", 0, (10, 4, 6, 2), none),
            *association("a", "raw", 0, (30, 27, 30, 3), none),
            *association("a", "prune_random", 0, (30, 30, 30, 3), none),
            *association("b", "prune_random", 0, (10, 10, 10, 2), none),
            *association("a", "prune_random", 1, (30, 0, 0, 3), none),
            *association("b", "prune_random", 1, (10, 0, 0, 2), none),
        ]
    )


def test_scores_are_those_of_all_pairs_and_intervals_of_resampled_videos():
    found = cell(two_videos(), 500)["association"]["raw"]
    assert (found["d1"], found["optimal_d1"], found["chance_d1"]) == (0.775, 0.9, 0.125)
    weights = np.concatenate(list(SharedResampler(500, 0).unit_chunks(2)))
    low, high = interval(weights @ [27, 4] / (weights @ [30, 10]))
    assert (found["d1_ci_low"], found["d1_ci_high"]) == (round(low, 4), round(high, 4))
    assert (low, high) == (pytest.approx(0.4), pytest.approx(0.9))


def test_a_delta_without_pairs_is_left_out_and_empty_in_the_curve():
    table = two_videos()
    scores = cell(table, 10)["association"]
    assert not [name for name in scores["raw"] if "d5" in name]
    lines = curve(table, scores, ["raw", "center", "prune_random"], [1, 5])
    assert lines["variant"].tolist() == ["raw", "raw", "prune_random", "prune_random"]
    assert lines["pairs"].tolist() == [40, 0, 40, 0]
    assert lines["nearest"][0] == 0.775
    assert lines["nearest"].isna().tolist() == [False, True, False, True]


def test_draws_are_averaged():
    assert cell(two_videos(), 10)["association"]["prune_random"]["d1"] == 0.5
    scores = cell(two_videos(), 10)["association"]
    lines = curve(two_videos(), scores, ["raw", "prune_random"], [1])
    assert lines["nearest"].tolist() == [0.775, 0.5]


def test_davis_is_the_mean_over_objects_not_over_videos():
    names = ["j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay"]
    one = dict.fromkeys(names, 0.9) | {"objects": 1}
    three = dict.fromkeys(names, 3 * 0.5) | {"objects": 3, "f_mean": 3 * 0.3}
    table = records([*rows("davis", "raw", 0, "a", one), *rows("davis", "raw", 0, "b", three)])
    found = cell(table, 200)["davis"]["raw"]
    assert (found["j_mean"], found["f_mean"], found["jf_mean"]) == (0.6, 0.45, 0.525)
    assert (found["j_mean_ci_low"], found["j_mean_ci_high"]) == (0.5, 0.9)


def test_records_are_sorted_whatever_the_order_they_came_in():
    found = two_videos()
    assert list(found) == ["head", "variant", "draw", "unit", "count", "value"]
    again = records([tuple(row) for row in found.sample(frac=1, random_state=0).to_numpy()])
    pd.testing.assert_frame_equal(found, again, check_dtype=False)
