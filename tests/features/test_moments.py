from pathlib import Path

import numpy as np
import pytest

from patchlens.errors import DataError
from patchlens.features.moments import Moments, Ranked, rank_by_variance, spectrum


@pytest.fixture
def patches() -> np.ndarray:
    rng = np.random.default_rng(0)
    scale = np.array([1, 100, 0.01, 5, 1])
    return (rng.normal(3, 1, (6, 4, 5, 5)) * scale).astype(np.float32)


def test_mean_and_variance_are_those_of_all_patches(patches):
    mean, variance = Moments.of(patches).mean_and_variance(range(6))
    flat = patches.reshape(-1, 5).astype(np.float64)
    np.testing.assert_allclose(mean, flat.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, flat.var(axis=0), rtol=1e-9)


def test_any_set_of_images_is_merged_by_its_rows(patches):
    mean, variance = Moments.of(patches).mean_and_variance([4, 1])
    flat = patches[[1, 4]].reshape(-1, 5).astype(np.float64)
    np.testing.assert_allclose(mean, flat.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, flat.var(axis=0), rtol=1e-9)


def test_parts_are_put_one_after_the_other(patches):
    whole = Moments.of(patches)
    joined = Moments.concatenate([Moments.of(patches[:2]), Moments.of(patches[2:])])
    assert joined.count.tolist() == [20] * 6
    assert np.array_equal(joined.total, whole.total)
    assert np.array_equal(joined.squares, whole.squares)


def test_images_with_different_patch_counts_weigh_by_their_patches():
    small, large = np.full((1, 1, 1, 1), 5, np.float32), np.full((1, 1, 3, 1), 1, np.float32)
    joined = Moments.concatenate([Moments.of(small), Moments.of(large)])
    mean, variance = joined.mean_and_variance([0, 1])
    assert (mean[0], variance[0]) == (2, 3)  # 5, 1, 1, 1: (9 + 3·1) / 4


@pytest.mark.parametrize("value", [0, 0.1, 1.3, 37.7, -333.3])
def test_a_constant_dimension_has_no_variance_at_all(value):
    patches = np.full((3, 64, 64, 4), value, np.float32)
    mean, variance = Moments.of(patches).mean_and_variance(range(3))
    assert mean[0] == pytest.approx(value)
    assert variance[0] == 0


def test_a_small_variance_on_a_large_mean_survives():
    patches = np.random.default_rng(0).normal(1000, 0.05, (2, 64, 64, 1)).astype(np.float32)
    _, variance = Moments.of(patches).mean_and_variance(range(2))
    np.testing.assert_allclose(variance, patches.astype(np.float64).var(), rtol=1e-4)


def test_ranking_goes_down_and_ties_go_to_the_lower_dimension():
    variance = np.array([1.0, 3.0, 0.0, 3.0, 1.0])
    assert rank_by_variance(variance).tolist() == [1, 3, 0, 4, 2]


def test_spectrum_where_one_dimension_has_it_all():
    variance = np.zeros(200)
    variance[77] = 4
    expected = {"top1": 1, "top5": 1, "top_1pct": 1, "top_10pct": 1, "participation": 1}
    assert spectrum(variance) == pytest.approx(expected)


def test_spectrum_where_all_are_equal():
    # ⌈150/100⌉ = 2 and ⌈150/10⌉ = 15 dimensions.
    expected = {
        "top1": 1 / 150,
        "top5": 5 / 150,
        "top_1pct": 2 / 150,
        "top_10pct": 15 / 150,
        "participation": 150,
    }
    assert spectrum(np.full(150, 0.3)) == pytest.approx(expected)


def test_spectrum_by_hand():
    # Sum 10, of squares 30: participation 100/30; ⌈4/100⌉ = ⌈4/10⌉ = 1.
    found = spectrum(np.array([1.0, 4.0, 2.0, 3.0]))
    expected = {"top1": 0.4, "top5": 1, "top_1pct": 0.4, "top_10pct": 0.4}
    assert found == pytest.approx(expected | {"participation": 10 / 3})


def test_spectra_of_many_variances_are_those_of_each_row():
    rng = np.random.default_rng(0)
    for width in (1, 3, 120):
        rows = rng.exponential(size=(6, width))
        rows[0] = 0  # features that do not vary
        found = spectrum(rows)
        for i, row in enumerate(rows):
            expected = {name: float(value) for name, value in spectrum(row).items()}
            assert {name: float(found[name][i]) for name in found} == pytest.approx(expected)
            assert (expected["top1"] == 0) == (i == 0)


def test_a_missing_moments_file_is_named():
    with pytest.raises(DataError, match=r"nowhere\.safetensors: missing; run `dvc repro`"):
        Ranked.read(Path("nowhere.safetensors"))
