"""J and F on masks made by hand, and their statistics."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from trackeval.metrics import JAndF

from patchlens.tasks.tracking.mask_scores import (
    boundary,
    boundary_accuracy,
    region_similarity,
    statistics,
)


def square(top: int, left: int, side: int, shape=(100, 100)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


EMPTY = np.zeros((100, 100), dtype=bool)


def test_j_of_squares():
    one = square(10, 10, 10)
    assert region_similarity(one, one) == 1
    assert region_similarity(one, square(10, 15, 10)) == pytest.approx(50 / 150)
    assert region_similarity(one, square(50, 50, 10)) == 0
    assert region_similarity(one, EMPTY) == 0
    assert region_similarity(EMPTY, EMPTY) == 1


def test_the_boundary_of_a_square():
    mask = square(2, 2, 2, (6, 6))
    expected = np.zeros((6, 6), dtype=bool)
    expected[1:4, 1:4] = True  # half a pixel towards the origin
    expected[2, 2] = False
    assert np.array_equal(boundary(mask), expected)
    assert not boundary(np.ones((6, 6), dtype=bool)).any()  # the image's edge is no boundary


def test_the_boundary_is_that_of_the_official_definition():
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = rng.random((17, 23)) > 0.6
        assert np.array_equal(boundary(mask), JAndF._seg2bmap(mask))


def test_f_within_and_beyond_the_tolerance():
    one = square(20, 20, 40)  # the tolerance is ⌈0.008 · 141.4⌉ = 2 pixels
    assert boundary_accuracy(one, one) == 1
    assert boundary_accuracy(one, square(20, 22, 40)) == 1
    assert boundary_accuracy(one, square(20, 23, 40)) < 1
    assert boundary_accuracy(one, square(90, 0, 5)) == 0
    assert boundary_accuracy(one, EMPTY) == boundary_accuracy(EMPTY, one) == 0
    assert boundary_accuracy(EMPTY, EMPTY) == 1


def test_f_by_hand():
    # Edges of half planes: 100 pixels each, at column 29, and at 29 above, at 49 below.
    truth, found = np.zeros((2, 100, 100), dtype=bool)
    truth[:, 30:] = True
    found[:50, 30:] = found[50:, 50:] = True
    # Of `found` 50 + 50 upright pixels and the step of 20 between them, whose corner is shared;
    # the step's first two pixels beside column 29 are within the tolerance.
    of_found = int(boundary(found).sum())
    hits = 50 + 2
    assert of_found == 120
    precision, recall = hits / of_found, 52 / 100
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_accuracy(truth, found) == pytest.approx(expected, abs=0.02)


def test_f_is_that_of_dilated_boundaries():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-8:9, -8:9]
    disk = y**2 + x**2 <= 8**2
    for _ in range(3):
        truth, found = (
            square(*rng.integers(0, 300, 2), rng.integers(50, 170), (480, 854)) for _ in "ab"
        )
        found |= rng.random(found.shape) > 0.9995
        a, b = boundary(truth), boundary(found)
        precision = (b & binary_dilation(a, disk)).sum() / b.sum()
        recall = (a & binary_dilation(b, disk)).sum() / a.sum()
        expected = 2 * precision * recall / (precision + recall)
        assert boundary_accuracy(truth, found) == pytest.approx(expected)


def test_statistics_by_hand():
    j = np.array([1, 1, 1, 0.5, 0.5, 0.2, 0.2, 0.2])
    found = statistics({"j": j, "f": np.full(8, 0.6)})
    assert found["j_mean"] == pytest.approx(4.6 / 8)
    assert found["j_recall"] == pytest.approx(3 / 8)  # above 0.5, not at it
    assert found["j_decay"] == pytest.approx(1 - 0.2)
    assert (found["f_mean"], found["f_recall"]) == (pytest.approx(0.6), 1)
    assert found["f_decay"] == pytest.approx(0)


def test_quarters_share_their_ends():
    # Of 1 … 5 the quarters end at 1, 2, 3, 4, 5: the first is (1, 2), the last (4, 5).
    found = statistics({"j": np.array([1, 0.8, 0.5, 0.2, 0])})
    assert found["j_decay"] == pytest.approx(0.9 - 0.1)


def test_one_frame_has_no_decay():
    assert statistics({"j": np.array([0.7])}) == {"j_mean": 0.7, "j_recall": 1.0, "j_decay": 0.0}


def test_a_long_video_has_quarters():
    found = statistics({"j": np.linspace(1, 0, 400)})  # official code wraps numbers at 256
    assert found["j_decay"] == pytest.approx(0.75, abs=0.01)
