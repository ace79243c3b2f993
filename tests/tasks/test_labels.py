import numpy as np
import pytest

from patchlens.tasks.segmentation.labels import patch_labels

X = 255


def test_majority_of_each_patch():
    mask = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [3, 3, 0, 0], [3, 3, 0, 3]], np.uint8)
    assert patch_labels(mask, (2, 2), 4, "majority").tolist() == [[0, 1], [3, 0]]


def test_equal_counts_go_to_the_lower_id():
    mask = np.array([[2, 2, 1, 1], [3, 3, 2, 2]], np.uint8)
    assert patch_labels(mask, (1, 2), 4, "majority").tolist() == [[2, 1]]


def test_ignored_pixels_never_vote():
    mask = np.array([[X, X, X], [X, 1, 1], [0, 0, 1]], np.uint8)
    assert patch_labels(mask, (1, 1), 2, "majority").tolist() == [[1]]


@pytest.mark.parametrize("rule", ["majority", "nearest"])
def test_exactly_half_labelled_is_kept_and_less_is_dropped(rule):
    half = np.array([[X, X, 0, 0], [X, 1, 1, X]], np.uint8)  # left 1 of 4, right 3 of 4
    assert patch_labels(half, (1, 2), 2, rule)[0, 0] == X
    half = np.array([[X, 1], [X, 1]], np.uint8)  # 2 of 4; the centre pixel is the lower right
    assert patch_labels(half, (1, 1), 2, rule).tolist() == [[1]]


def test_under_half_labelled_of_an_odd_patch_is_dropped():
    mask = np.full((3, 3), X, np.uint8)
    mask[0] = 1
    mask[1, 1] = 1  # 4 of 9
    assert patch_labels(mask, (1, 1), 2, "majority").tolist() == [[X]]
    mask[1, 0] = 1  # 5 of 9
    assert patch_labels(mask, (1, 1), 2, "majority").tolist() == [[1]]


def test_nearest_takes_the_pixel_at_the_centre():
    mask = np.zeros((6, 6), np.uint8)
    mask[1, 1], mask[1, 4], mask[4, 1], mask[4, 4] = 1, 2, 3, 4
    assert patch_labels(mask, (2, 2), 5, "nearest").tolist() == [[1, 2], [3, 4]]
    assert patch_labels(mask, (2, 2), 5, "majority").tolist() == [[0, 0], [0, 0]]


def test_nearest_is_ignored_where_the_centre_pixel_is():
    mask = np.zeros((3, 3), np.uint8)
    mask[1, 1] = X
    assert patch_labels(mask, (1, 1), 1, "nearest").tolist() == [[X]]


def test_a_grid_that_does_not_divide_the_mask_puts_a_pixel_where_its_centre_lies():
    # 5 pixels, 2 patches of 2.5: centres 0.5 1.5 | 2.5 3.5 4.5.
    mask = np.array([[0, 1, 2, 3, 3]], np.uint8)
    assert patch_labels(mask, (1, 2), 4, "majority").tolist() == [[0, 3]]
    # Patch centres 1.25 and 3.75 lie in pixels 1 and 3.
    assert patch_labels(mask, (1, 2), 4, "nearest").tolist() == [[1, 3]]


def test_a_grid_that_divides_neither_side():
    mask = np.arange(35, dtype=np.uint8).reshape(5, 7)
    # Rows 0 1 | 2 | 3 4 (centre 2.5 in the middle third); columns 0 1 | 2 3 4 | 5 6.
    expected = np.full((3, 3), 0)
    for i, y in enumerate([0, 2, 3]):
        for j, x in enumerate([0, 2, 5]):
            expected[i, j] = mask[y, x]  # all ids differ: the lowest of the patch wins
    assert patch_labels(mask, (3, 3), 35, "majority").tolist() == expected.tolist()


def test_a_patch_without_any_pixel_is_dropped():
    # 2 pixels, 4 patches: pixel centres lie in patches 1 and 3.
    mask = np.array([[1, 1]], np.uint8)
    assert patch_labels(mask, (1, 4), 2, "majority").tolist() == [[X, 1, X, 1]]
