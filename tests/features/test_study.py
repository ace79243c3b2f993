"""The variance study against scipy, and on planted features whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from patchlens.features.moments import rank_by_variance
from patchlens.tasks.variance.spread import Spread
from patchlens.tasks.variance.study import CUES, cues, overlaps, spread_with_cues, study, top_count

RNG = np.random.default_rng(0)
ROWS = RNG.gamma(2.0, size=(500, 6)) * np.array([1, 1e-3, 1e3, 5, 1, 1]) + np.array(
    [0, 0, 1e5, 0, 1, 0]
)
ROWS[:, 5] = 7.0


def merged(*cuts: int) -> Spread:
    whole, *rest = [Spread.of(part) for part in np.split(ROWS, cuts)]
    for part in rest:
        whole = whole.merge(part)
    return whole


@pytest.mark.parametrize("cuts", [(), (1,), (250,), (3, 4, 100, 499)])
def test_merged_batches_are_the_whole(cuts):
    found = merged(*cuts)
    assert found.n == 500
    np.testing.assert_allclose(found.mean, ROWS.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variance[:5], ROWS.var(axis=0)[:5], rtol=1e-9)
    expected = stats.kurtosis(ROWS[:, :5], fisher=False)
    np.testing.assert_allclose(found.kurtosis[:5], expected, rtol=1e-7)
    r = np.corrcoef(ROWS[:, :5].T)
    np.testing.assert_allclose(found.correlation(slice(0, 2), slice(2, 5)), r[:2, 2:], atol=1e-9)
    values = np.linalg.eigvalsh(np.cov(ROWS.T, bias=True))[::-1]
    np.testing.assert_allclose(found.eigenvalues(slice(0, 6)), values, atol=1e-9 * values[0])


def test_a_constant_column_has_no_kurtosis_and_no_correlation():
    found = merged(250)
    assert found.kurtosis[5] == 0
    assert (found.correlation(slice(5, 6), slice(0, 2)) == 0).all()


def test_a_small_spread_far_from_zero_is_not_lost_in_rounding():
    # Σx² − n·μ² has no correct digit here.
    rows = RNG.normal(size=(4000, 1)) + 1e9
    found = Spread.of(rows[:1000]).merge(Spread.of(rows[1000:]))
    assert found.variance[0] == pytest.approx(rows.var(), rel=1e-6)


def planted(width: int = 200, large: tuple[int, ...] = (17, 3)):
    """Unit noise in all dimensions; `large` encode row and brightness with variance 400."""
    beside = RNG.uniform(size=(3000, len(CUES))).astype(np.float32)
    features = RNG.normal(size=(3000, width)).astype(np.float32)
    for dimension, cue in zip(large, (CUES.index("row"), CUES.index("brightness")), strict=True):
        features[:, dimension] = 20 * np.sqrt(12) * (beside[:, cue] - 0.5)
    return features, beside


def test_the_study_finds_exactly_the_planted_dimensions_and_what_they_encode():
    features, beside = planted()
    found = study(
        spread_with_cues([(features[:1000], beside[:1000]), (features[1000:], beside[1000:])])
    )
    table = found.dimensions.set_index("dimension")
    assert set(table.index[:2]) == {17, 3}
    assert table.loc[17, "r_row"] == pytest.approx(1, abs=1e-6)
    assert table.loc[3, "r_brightness"] == pytest.approx(1, abs=1e-6)
    assert abs(table.loc[17, "r_column"]) < 0.1
    # 2 of 200 dimensions with variance 400 beside 198 with variance 1.
    assert found.numbers["top_1pct"] == pytest.approx(800 / 998, abs=0.02)
    assert found.numbers["row_top"] == pytest.approx(0.5, abs=0.05)
    assert found.numbers["row_rest"] < 0.05
    assert found.numbers["kurtosis_top"] == pytest.approx(1.8, abs=0.05)  # uniform
    assert found.spectrum["cumulative"].iloc[-1] == pytest.approx(1)


def test_rotation_hides_the_dimensions_from_variances_but_not_from_the_covariance():
    features, beside = planted()
    turn, _ = np.linalg.qr(RNG.normal(size=(200, 200)))
    plain = study(spread_with_cues([(features, beside)])).numbers
    rotated = study(spread_with_cues([(features @ turn.astype(np.float32), beside)])).numbers
    assert rotated["participation"] > 10 * plain["participation"]
    assert rotated["pca_participation"] == pytest.approx(plain["pca_participation"], rel=1e-3)


def test_cues_of_a_picture_by_hand():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 255
    found = cues(image, (2, 2))
    assert found[..., 0].tolist() == [[0.25, 0.25], [0.75, 0.75]]
    assert found[..., 1].tolist() == [[0.25, 0.75], [0.25, 0.75]]
    np.testing.assert_allclose(found[..., 2], [[0, 1], [0, 1]], atol=1e-6)
    # The step from 0 to 1 gives a gradient of 1/2 in the two columns beside it: 1 of 4 a patch.
    np.testing.assert_allclose(found[..., 3], 0.125, atol=1e-6)


def test_brightness_weights_are_those_of_luma():
    image = np.zeros((2, 6, 3), np.uint8)
    for channel in range(3):
        image[:, 2 * channel : 2 * channel + 2, channel] = 255
    np.testing.assert_allclose(cues(image, (1, 3))[0, :, 2], [0.299, 0.587, 0.114], atol=1e-6)


def test_overlap_counts_shared_top_dimensions_and_chance():
    a, b = rank_by_variance(np.arange(10.0)), rank_by_variance(np.arange(10.0)[::-1])
    table = overlaps({"x": a, "y": a, "z": b}, [2, 5, 8]).set_index(["a", "b", "m"])
    assert (table.loc[("x", "y"), "overlap"] == 1).all()
    assert table.loc[("x", "z"), "overlap"].tolist() == [0, 0, 6 / 8]
    assert table["chance"].tolist() == [0.2, 0.5, 0.8] * 3


@pytest.mark.parametrize(("width", "count"), [(5, 1), (100, 1), (101, 2), (768, 8)])
def test_top_counts_round_up(width, count):
    assert top_count(width, 100) == count
