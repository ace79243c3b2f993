"""MIoU as a function of the weights of query units, and the counts that it is made of."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from patchlens.errors import DataError
from patchlens.tasks.resample import SharedResampler
from patchlens.tasks.scores import mean_iou
from patchlens.tasks.segmentation.metrics import counts_of, run_miou, weighted


def run_of(*units: list[tuple[int, int, int]]) -> np.ndarray:
    """One run: for each unit, (hits, true, predicted) of each class."""
    return np.array([units], dtype=float)


def test_a_resample_by_hand():
    counts = run_of([(2, 4, 2), (0, 0, 2)], [(1, 1, 1), (3, 3, 3)])
    weights = np.array([[1.0, 1], [2, 0], [0, 2]])
    # Both: class 0: 3/(5+3−3), class 1: 3/(3+5−3). Twice the first: 4/(8+4−4), 0/4.
    both = np.array([True, True])
    expected = [(3 / 5 + 3 / 5) / 2, (4 / 8 + 0) / 2, 1]
    np.testing.assert_allclose(run_miou(counts, weights, present=both)[:, 0], expected)
    only_0 = np.array([True, False])
    found = run_miou(counts, weights, present=only_0)
    np.testing.assert_allclose(found[:, 0], [3 / 5, 4 / 8, 1])


def test_a_class_whose_union_is_empty_in_a_resample_leaves_that_mean():
    counts = run_of([(2, 4, 2), (0, 0, 0)], [(1, 1, 1), (0, 3, 0)])
    both = np.array([True, True])
    found = run_miou(counts, np.array([[2.0, 0], [1, 1]]), present=both)
    np.testing.assert_allclose(found[:, 0], [2 / 4, (3 / 5 + 0) / 2])


def records_of(rows: list[tuple]) -> pd.DataFrame:
    """Pixel records of (seed, draw, image, true, predicted, count)."""
    columns = ["seed", "draw", "image_id", "true", "predicted", "count"]
    return pd.DataFrame(rows, columns=columns).assign(level="pixel", head="knn", variant="raw")


def index_of(units: dict[str, str]) -> SimpleNamespace:
    """An index whose query images have these units."""
    query = pd.DataFrame({"image_id": list(units), "unit": list(units.values())})
    return SimpleNamespace(query=query, folder="data/index/d")


RIGHT = [("i", 0, 0, 1), ("i", 1, 1, 1)]  # IoU 1 and 1
HALF = [("i", 0, 1, 1), ("i", 1, 1, 1)]  # IoU 0 and 1/2


def test_draws_are_averaged_within_seeds_and_seeds_after_the_score_not_before():
    runs = {(3, 0): RIGHT, (3, 1): HALF, (3, 2): HALF, (8, 0): RIGHT}
    rows = [(*run, *row) for run, of_run in runs.items() for row in of_run]
    found = weighted(records_of(rows), index_of({"i": "i"}))
    assert found.seeds == [3, 8]
    assert found.point()["pixel_miou"] == pytest.approx([(1 + 0.25 + 0.25) / 3, 1])
    drawn = found.resampled(SharedResampler(5, 0))["pixel_miou"]
    assert drawn == pytest.approx(np.full(5, (0.5 + 1) / 2))


def test_a_unit_without_a_label_is_no_unit():
    units = {"i": "b", "j": "b", "z": "a"}  # z has no labelled pixel, and so no records
    found = weighted(records_of([(0, 0, "i", 0, 0, 5), (0, 0, "i", 1, 0, 2)]), index_of(units))
    assert found.units == ["b"]
    drawn = found.resampled(SharedResampler(50, 0))["pixel_miou"]
    assert np.isfinite(drawn).all()


def test_an_image_that_is_no_query_image_is_an_error_that_says_what_helps():
    message = r"data/index/d: image 'i' of the records is not a query image; run `dvc repro segm"
    with pytest.raises(DataError, match=message):
        weighted(records_of([(0, 0, "i", 0, 0, 5)]), index_of({"z": "z"}))


def test_chance_is_scored_where_it_is_asked_for_only():
    found = weighted(records_of([(0, 0, *row) for row in HALF]), index_of({"i": "i"}))
    assert set(found.point()) == {"pixel_miou"}
    chance = found.point(["pixel_miou_chance"])
    assert chance == {"pixel_miou_chance": pytest.approx([(0 + 1 / 2) / 2])}


UNITS = {"i": "b", "j": "a", "k": "b"}


def test_counts_by_hand():
    rows = [
        (3, 0, "i", 0, 0, 5),
        (3, 0, "i", 0, 1, 2),
        (3, 0, "k", 1, 1, 1),
        (3, 0, "j", 1, 0, 4),
        (7, 1, "j", 1, 1, 6),
    ]
    counts = counts_of(records_of(rows), UNITS, ["a", "b"])
    assert counts.shape == (2, 2, 2, 3)
    # Unit a = j, unit b = i and k; (hits, true, predicted) of classes 0 and 1.
    assert counts[0].tolist() == [[[0, 0, 4], [0, 4, 0]], [[5, 7, 5], [1, 1, 3]]]
    assert counts[1].tolist() == [[[0, 0, 0], [6, 6, 6]], [[0, 0, 0], [0, 0, 0]]]


def test_each_seed_and_draw_is_a_run_of_its_own():
    rows = [(s, d, "i", 0, 0, 1 + 10 * s + d) for s in (0, 1) for d in (0, 1)]
    counts = counts_of(records_of(rows), UNITS, ["a", "b"])
    assert counts[:, 1, 0, 0].tolist() == [1, 2, 11, 12]


def test_the_score_of_a_run_is_that_of_its_summed_confusion_matrix():
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 50, (3, 4, 5, 5))  # runs, units, true, predicted
    confusion[:, :, 2] = 0  # a class that the query does not hold
    confusion[:, 1:, 3] = confusion[:, 1:, :, 3] = 0  # one that is in unit 0 only
    counts = np.stack(
        [np.diagonal(confusion, axis1=2, axis2=3), confusion.sum(axis=3), confusion.sum(axis=2)],
        axis=-1,
    ).astype(float)
    weights = np.array([[1.0, 1, 1, 1], [0, 2, 0, 2]])
    present = np.array([True, True, False, True, True])
    found = run_miou(counts, weights, present=present)
    for row, weight in zip(found, weights, strict=True):
        summed = np.tensordot(weight, confusion, ([0], [1])).astype(int)
        assert row == pytest.approx(mean_iou(summed, present))


def test_chance_is_the_score_of_guesses_as_frequent_and_blind_to_the_truth():
    # 60 of class 0 and 40 of class 1; 30 are called 0 and 70 are called 1, whatever they are.
    counts = np.array([[[[50.0, 60, 30], [1, 40, 70]]]])
    both = np.array([True, True])
    found = run_miou(counts, np.ones((1, 1)), present=both, chance=True)
    ious = (18 / (60 + 30 - 18), 28 / (40 + 70 - 28))
    assert found == pytest.approx(np.mean(ious))


def test_blind_guesses_are_at_chance_and_the_majority_is_below_them():
    rng = np.random.default_rng(0)
    true, guess = rng.integers(0, 4, 100_000), rng.integers(0, 4, 100_000)
    counts = (
        np.array(
            [
                [
                    [[(true == guess)[true == c].sum(), (true == c).sum(), (guess == c).sum()]]
                    for c in range(4)
                ]
            ]
        )
        .reshape(1, 1, 4, 3)
        .astype(float)
    )
    everything, all_four = np.ones((1, 1)), np.ones(4, dtype=bool)
    blind = run_miou(counts, everything, present=all_four)
    chance = run_miou(counts, everything, present=all_four, chance=True)
    assert chance == pytest.approx(blind, abs=0.005)
    assert blind > 0.13  # the majority head: 1/4 of a quarter
