from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from patchlens.errors import FitError
from patchlens.features.moments import rank_by_variance
from patchlens.features.variants import VARIANTS, FitData, draws, fit, pruned_count
from patchlens.settings.features import Prune

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(8, 8)) * np.array([9, 0.5, 3, 1, 2, 0.7, 6, 1])
PATCHES = (RNG.normal(size=(120, 8)) @ MIX + RNG.normal(size=8) * 4).astype(np.float32)
OTHERS = (RNG.normal(size=(30, 8)) @ MIX + 1).astype(np.float32)


def fit_data(patches: np.ndarray = PATCHES, m: float = 0.25) -> FitData:
    exact = patches.astype(np.float64)
    variance = exact.var(axis=0)
    count = pruned_count(m, patches.shape[1])
    return FitData(
        exact.mean(axis=0),
        variance,
        rank_by_variance(variance),
        count,
        lambda: np.array_split(patches, 3),
    )


def apply(name, x=OTHERS, *, data=None, m=0.25, pca_drop=1, seed=0, draw=0) -> np.ndarray:
    settings = Prune(
        m=m, select="fixed", choices=[0.5], fit_on="support", random_draws=3, pca_drop=pca_drop
    )
    return fit(name, data or fit_data(m=m), settings, seed=seed, draw=draw)(x)


def test_raw_changes_nothing():
    assert np.array_equal(apply("raw"), OTHERS)


def test_center_takes_the_fitted_mean_off():
    np.testing.assert_allclose(apply("center"), OTHERS - PATCHES.mean(axis=0), atol=1e-4)


def test_l2_makes_unit_rows_and_leaves_a_zero_row():
    x = np.vstack([OTHERS, np.zeros((1, 8), np.float32)])
    norms = np.linalg.norm(OTHERS, axis=1, keepdims=True)
    np.testing.assert_allclose(apply("l2", x)[:-1], OTHERS / norms, rtol=1e-5)
    assert (apply("l2", x)[-1] == 0).all()


def test_zscore_gives_the_fitted_patches_mean_0_and_variance_1():
    z = apply("zscore", PATCHES)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.var(axis=0), 1, rtol=1e-4)
    expected = (OTHERS - PATCHES.mean(axis=0)) / PATCHES.std(axis=0)
    np.testing.assert_allclose(apply("zscore"), expected, rtol=1e-4, atol=1e-4)


def test_zscore_of_a_constant_dimension_is_0_even_where_the_query_differs():
    patches = PATCHES.copy()
    patches[:, 3] = 0.1
    z = apply("zscore", OTHERS, data=fit_data(patches))
    assert (z[:, 3] == 0).all()
    assert np.isfinite(z).all()


def test_prune_drops_the_highest_variance_and_keeps_the_order():
    top = np.argsort(-PATCHES.var(axis=0))[:2]
    kept = np.setdiff1d(np.arange(8), top)
    assert np.array_equal(apply("prune", m=0.25), OTHERS[:, kept])


def test_keep_top_is_what_prune_drops():
    top = np.sort(np.argsort(-PATCHES.var(axis=0))[:3])
    assert np.array_equal(apply("keep_top", m=0.375), OTHERS[:, top])


def test_keep_random_is_what_prune_random_drops():
    for draw in range(3):
        kept = columns_of(apply("keep_random", m=0.375, draw=draw))
        left = columns_of(apply("prune_random", m=0.375, draw=draw))
        assert (len(kept), sorted(kept + left)) == (3, list(range(8)))


@pytest.mark.parametrize("name", ["prune", "prune_random"])
def test_m_0_drops_nothing(name):
    assert np.array_equal(apply(name, m=0.0), OTHERS)
    assert apply("keep_top", m=0.0).shape == (30, 0)


@pytest.mark.parametrize("name", ["prune", "prune_random"])
def test_an_m_that_rounds_to_the_width_would_leave_nothing(name):
    message = r"^prune\.m: 0\.99 drops all 8 dimensions; use a share below 0\.9375$"
    with pytest.raises(FitError, match=message):
        apply(name, m=0.99)
    assert np.array_equal(apply("keep_top", m=0.99), OTHERS)


@pytest.mark.parametrize("pca_drop", [8, 9])
def test_all_components_cannot_be_dropped(pca_drop):
    with pytest.raises(FitError, match=rf"^prune\.pca_drop: {pca_drop} drops all 8 components"):
        apply("pca_drop_top", pca_drop=pca_drop)
    assert apply("pca_drop_top", pca_drop=7).shape == (30, 1)


@pytest.mark.parametrize(("m", "width", "count"), [(0.26, 768, 200), (0.26, 192, 50), (0.26, 5, 1)])
def test_m_is_a_share_of_the_width(m, width, count):
    assert pruned_count(m, width) == count


def columns_of(x: np.ndarray) -> tuple[int, ...]:
    return tuple(int(np.flatnonzero((c[:, None] == OTHERS).all(axis=0))[0]) for c in x.T)


def test_random_draws_differ_between_draws_and_seeds_and_come_again():
    chosen = {
        (seed, draw): columns_of(apply("prune_random", m=0.5, seed=seed, draw=draw))
        for seed in range(3)
        for draw in range(3)
    }
    assert all(len(set(c)) == 4 for c in chosen.values())
    assert len(set(chosen.values())) >= 7  # of 70 possible halves
    again = columns_of(apply("prune_random", m=0.5, seed=2, draw=1))
    assert again == chosen[2, 1]
    # The order is a hash that no library's version may change.
    assert chosen[0, 0] == (4, 5, 6, 7)


def test_random_drops_every_dimension_about_as_often():
    counts = np.zeros(8)
    for seed in range(400):
        counts[list(columns_of(apply("prune_random", m=0.5, seed=seed)))] += 1
    assert (np.abs(counts - 200) < 5 * 10).all()  # binomial: σ = 10


def test_only_the_random_controls_are_drawn_more_than_once():
    settings = Prune(
        m=0.2, select="fixed", choices=[0.5], fit_on="support", random_draws=4, pca_drop=1
    )
    count = {name: draws(name, settings) for name in VARIANTS}
    assert (count.pop("prune_random"), count.pop("keep_random")) == (4, 4)
    assert set(count.values()) == {1}
    of_seeds = [draws("prune_random", settings, seeds) for seeds in (1, 2, 3, 4, 5)]
    assert of_seeds == [4, 2, 2, 1, 1]  # four or more in all
    assert draws("raw", settings, 5) == 1


@pytest.mark.parametrize("dropped", [1, 3])
def test_pca_drop_top_keeps_the_distances_of_scikit_learns_other_components(dropped):
    reference = PCA(svd_solver="full").fit(PATCHES.astype(np.float64))
    expected = reference.transform(OTHERS)[:, dropped:]
    found = apply("pca_drop_top", pca_drop=dropped)
    assert found.shape == (30, 8 - dropped)
    np.testing.assert_allclose(cdist(found, found), cdist(expected, expected), rtol=1e-4)
    # Cosine needs the origin as well: it is the fitted mean.
    norms = np.linalg.norm(expected, axis=1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), norms, rtol=1e-4)


def test_pca_whiten_is_scikit_learns_up_to_signs_and_the_divisor_n():
    reference = PCA(whiten=True, svd_solver="full").fit(PATCHES.astype(np.float64))
    assert (reference.explained_variance_ / reference.explained_variance_[0] > 1e-4).all()
    expected = reference.transform(OTHERS) * np.sqrt(120 / 119)
    found = apply("pca_whiten")
    np.testing.assert_allclose(cdist(found, found), cdist(expected, expected), rtol=1e-3)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-2, atol=1e-2)


def test_pca_whiten_does_not_blow_up_a_direction_below_the_floor():
    rng = np.random.default_rng(1)
    patches = np.diag([10, 1, 1e-3]) @ rng.normal(size=(3, 500))
    patches -= patches.mean(axis=1, keepdims=True)
    # Exactly uncorrelated, so that the components are the axes.
    patches = (np.diag([10, 1, 1e-3]) @ np.linalg.qr(patches.T)[0].T * np.sqrt(500)).T
    white = apply("pca_whiten", patches.astype(np.float32), data=fit_data(patches.astype("f4")))
    # Eigenvalues 100, 1, 1e-6; the floor is 1e-2: the last std is 1e-3 / 1e-1.
    np.testing.assert_allclose(white.std(axis=0), [1, 1, 1e-2], rtol=1e-2)


@pytest.mark.parametrize(("n", "kept"), [(5, 4), (8, 7), (9, 8), (50, 8)])
def test_pca_whiten_keeps_no_more_components_than_the_patches_span(n, kept):
    white = apply("pca_whiten", data=fit_data(PATCHES[:n]))
    assert white.shape == (30, kept)
    assert np.isfinite(white).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_gives_float32_and_spares_its_input(name):
    before = OTHERS.copy()
    assert apply(name).dtype == np.float32
    assert np.array_equal(OTHERS, before)


def test_every_variant_has_an_entry_with_words():
    assert len(VARIANTS) >= 9
    for variant in VARIANTS.values():
        assert variant.title
        assert variant.does.endswith((".", "?"))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_learns_exactly_what_its_entry_says(name):
    data, before = fit_data(), apply(name)
    others = {
        "mean": replace(data, mean=data.mean + 1),
        "variance": replace(data, variance=data.variance * 2),
        "ranking": replace(data, ranking=data.ranking[::-1]),
        "components": replace(data, patches=lambda: [np.roll(PATCHES, 1, axis=1)]),
    }
    changes = {
        what for what, o in others.items() if not np.array_equal(apply(name, data=o), before)
    }
    assert changes == set(VARIANTS[name].learns)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_obeys_exactly_the_settings_that_its_entry_says(name):
    before = apply(name, m=0.25, pca_drop=1)
    others = {"m": apply(name, m=0.75), "pca_drop": apply(name, pca_drop=3)}
    changes = {key for key, other in others.items() if other.shape != before.shape}
    assert changes | {"random_draws"} == {*VARIANTS[name].settings, "random_draws"}
