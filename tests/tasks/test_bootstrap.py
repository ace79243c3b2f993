import numpy as np
import pytest
from scipy.stats import binom

from patchlens.tasks import bootstrap
from patchlens.tasks.bootstrap import (
    interval,
    resampled_miou,
    run_miou,
    unit_weights,
    weight_chunks,
)
from patchlens.tasks.scores import mean_iou


def counts_of(*units: list[tuple[int, int, int]]) -> np.ndarray:
    """One run: for each unit, (hits, true, predicted) of each class."""
    return np.array([units], dtype=float)


def test_every_resample_draws_as_many_units_as_there_are():
    weights = unit_weights(13, 500, 0)
    assert weights.shape == (500, 13)
    assert (weights.sum(axis=1) == 13).all()
    # A unit is absent with probability (12/13)¹³ = 0.353: with replacement, not a permutation.
    assert (weights == 0).mean() == pytest.approx((12 / 13) ** 13, abs=0.02)
    assert weights.mean(axis=0) == pytest.approx(np.ones(13), abs=0.2)


def test_all_callers_get_the_same_draws():
    assert np.array_equal(unit_weights(7, 50, 3), unit_weights(7, 50, 3))
    assert not np.array_equal(unit_weights(7, 50, 3), unit_weights(7, 50, 4))
    # PCG64's stream is fixed by numpy: the first resample of seed 0 draws these units.
    drawn = np.random.Generator(np.random.PCG64(0)).integers(0, 7, 7)
    assert unit_weights(7, 1, 0)[0].tolist() == np.bincount(drawn, minlength=7).tolist()


def test_a_resample_by_hand():
    counts = counts_of([(2, 4, 2), (0, 0, 2)], [(1, 1, 1), (3, 3, 3)])
    weights = np.array([[1.0, 1], [2, 0], [0, 2]])
    # Both: class 0: 3/(5+3−3), class 1: 3/(3+5−3). Twice the first: 4/(8+4−4), 0/4.
    both = np.array([True, True])
    expected = [(3 / 5 + 3 / 5) / 2, (4 / 8 + 0) / 2, 1]
    np.testing.assert_allclose(resampled_miou(counts, weights, both), expected)
    only_0 = np.array([True, False])
    np.testing.assert_allclose(resampled_miou(counts, weights, only_0), [3 / 5, 4 / 8, 1])


def test_a_class_whose_union_is_empty_in_a_resample_leaves_that_mean():
    counts = counts_of([(2, 4, 2), (0, 0, 0)], [(1, 1, 1), (0, 3, 0)])
    found = resampled_miou(counts, np.array([[2.0, 0], [1, 1]]), np.array([True, True]))
    np.testing.assert_allclose(found, [2 / 4, (3 / 5 + 0) / 2])


def test_runs_are_averaged_after_the_score_not_before():
    one, other = [(1, 1, 1), (1, 1, 1)], [(0, 1, 0), (1, 1, 2)]
    counts = np.array([[one], [other]], dtype=float)
    found = resampled_miou(counts, np.array([[1.0]]), np.array([True, True]))
    np.testing.assert_allclose(found, [(1 + (0 + 0.5) / 2) / 2])


def test_the_interval_is_the_middle_95_percent():
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_the_interval_covers_the_population_value_about_95_times_in_100():
    """Units are images: each has a difficulty of its own, pixels of an image go together."""
    rng = np.random.default_rng(0)
    units, sets, pixels = 40, 200, 50

    def draw(n: int) -> np.ndarray:
        rate = rng.beta(6, 3, (n, 2))  # hit rates of the two classes in each image
        true = rng.integers(10, pixels, (n, 2))
        hits = rng.binomial(true, rate)
        missed = true - hits
        return np.stack([hits, true, hits + missed[:, ::-1]], axis=-1).astype(float)

    both, once = np.array([True, True]), np.ones((1, 200_000))
    truth = resampled_miou(draw(200_000)[None], once, both)[0]
    covered = 0
    for _ in range(sets):
        samples = resampled_miou(draw(units)[None], unit_weights(units, 400, 0), both)
        low, high = interval(samples)
        covered += low <= truth <= high
    # Percentile intervals of 40 units cover a little less than they say: 92 to 97 %, ± chance.
    assert binom.ppf(0.001, sets, 0.92) <= covered <= binom.ppf(0.999, sets, 0.97)


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
    found = run_miou(counts, weights, present)
    for row, weight in zip(found, weights, strict=True):
        summed = np.tensordot(weight, confusion, ([0], [1])).astype(int)
        assert row == pytest.approx(mean_iou(summed, present))


def test_chance_is_the_score_of_guesses_as_frequent_and_blind_to_the_truth():
    # 60 of class 0 and 40 of class 1; 30 are called 0 and 70 are called 1, whatever they are.
    counts = np.array([[[[50.0, 60, 30], [1, 40, 70]]]])
    found = run_miou(counts, np.ones((1, 1)), np.array([True, True]), chance=True)
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
    all_four = np.ones((1, 1)), np.ones(4, dtype=bool)
    blind = run_miou(counts, *all_four)
    assert run_miou(counts, *all_four, chance=True) == pytest.approx(blind, abs=0.005)
    assert blind > 0.13  # the majority head: 1/4 of a quarter


def test_weights_in_chunks_are_the_weights(monkeypatch):
    whole = unit_weights(7, 50, 3)
    monkeypatch.setattr(bootstrap, "DRAWN", 70)  # 10 resamples at a time
    chunks = list(weight_chunks(7, 50, 3))
    assert [len(chunk) for chunk in chunks] == [10] * 5
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
