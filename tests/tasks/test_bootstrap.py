import numpy as np
import pytest
from scipy.stats import binom

from patchlens.tasks.bootstrap import interval, resampled_miou, unit_weights


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
