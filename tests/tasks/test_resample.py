import numpy as np
import pytest
from scipy.stats import binom

from patchlens.tasks import resample
from patchlens.tasks.resample import SharedResampler, interval
from patchlens.tasks.segmentation.metrics import run_miou


def unit_weights(units: int, resamples: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in each resample [B, U]."""
    return np.concatenate(list(SharedResampler(resamples, seed).unit_chunks(units)))


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
    truth = run_miou(draw(200_000)[None], once, present=both)[0, 0]
    covered = 0
    for _ in range(sets):
        weights = unit_weights(units, 400, 0)
        samples = run_miou(draw(units)[None], weights, present=both)[:, 0]
        low, high = interval(samples)
        covered += low <= truth <= high
    # Percentile intervals of 40 units cover a little less than they say: 92 to 97 %, ± chance.
    assert binom.ppf(0.001, sets, 0.92) <= covered <= binom.ppf(0.999, sets, 0.97)


def test_weights_in_chunks_are_the_weights(monkeypatch):
    whole = unit_weights(7, 50, 3)
    monkeypatch.setattr(resample, "DRAWN", 70)  # 10 resamples at a time
    chunks = list(SharedResampler(50, 3).unit_chunks(7))
    assert [len(chunk) for chunk in chunks] == [10] * 5
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
