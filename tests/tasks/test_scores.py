import numpy as np
import pytest
import torch

from patchlens.tasks.scores import (
    ImageCounts,
    accuracy,
    confusion,
    f1,
    iou,
    mean_iou,
)
from patchlens.tasks.segmentation import upsample
from patchlens.tasks.segmentation.upsample import upsampled_argmax

# Rows true, columns predicted. Class 2 is predicted but not present, class 3 is neither.
COUNTS = np.array([[3, 1, 1, 0], [2, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def bilinear(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Half-pixel-centred bilinear interpolation, written out; edges are clamped."""
    out = np.zeros((*size, maps.shape[-1]))
    for y in range(size[0]):
        for x in range(size[1]):
            v = max((y + 0.5) * maps.shape[0] / size[0] - 0.5, 0)
            u = max((x + 0.5) * maps.shape[1] / size[1] - 0.5, 0)
            i, j = int(v), int(u)
            below, right = min(i + 1, maps.shape[0] - 1), min(j + 1, maps.shape[1] - 1)
            a, b = v - i, u - j
            top = (1 - b) * maps[i, j] + b * maps[i, right]
            bottom = (1 - b) * maps[below, j] + b * maps[below, right]
            out[y, x] = (1 - a) * top + a * bottom
    return out


def test_confusion_counts_true_rows_predicted_columns_without_ignored_pixels():
    truth = np.array([[0, 0, 1], [1, 255, 255]], np.uint8)
    predicted = np.array([[0, 2, 1], [0, 1, 2]])
    assert confusion(truth, predicted, 3).tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_confusion_of_an_image_that_is_ignored_everywhere_is_zero():
    truth = np.full((2, 2), 255, np.uint8)
    assert confusion(truth, np.ones((2, 2), int), 3).tolist() == np.zeros((3, 3)).tolist()


def test_iou_by_hand():
    # 0: 3/(5+5−3); 1: 4/(6+5−4); 2: predicted once, never true: 0; 3: no union.
    np.testing.assert_allclose(iou(COUNTS), [3 / 7, 4 / 7, 0, np.nan])


def test_f1_by_hand():
    # 0: 2·3/(5+5); 1: 2·4/(6+5); 2: 0/1; 3: undefined.
    np.testing.assert_allclose(f1(COUNTS), [0.6, 8 / 11, 0, np.nan])


def test_accuracy_is_hits_over_labelled_pixels():
    assert accuracy(COUNTS) == pytest.approx(7 / 11)


def test_mean_iou_is_over_the_present_classes_only():
    present = np.array([True, True, False, False])
    assert mean_iou(COUNTS, present) == pytest.approx((3 / 7 + 4 / 7) / 2)


def test_a_present_class_that_is_never_found_counts_as_zero():
    counts = np.array([[4, 0], [4, 0]])
    assert mean_iou(counts, np.array([True, True])) == pytest.approx((4 / 8 + 0) / 2)


def test_a_present_class_without_union_leaves_the_mean():
    counts = np.array([[2, 0, 0], [2, 4, 0], [0, 0, 0]])
    assert mean_iou(counts, np.ones(3, bool)) == pytest.approx((2 / 4 + 4 / 6) / 2)


def test_stacks_of_matrices_are_scored_one_by_one():
    stack = np.stack([COUNTS, np.diag([1, 2, 3, 4])])
    np.testing.assert_allclose(iou(stack)[0], iou(COUNTS))
    np.testing.assert_allclose(iou(stack)[1], 1)
    np.testing.assert_allclose(accuracy(stack), [7 / 11, 1])


@pytest.mark.parametrize("size", [(7, 11), (13, 10), (3, 4), (2, 3)])
def test_upsampling_is_bilinear_with_aligned_corners_off(size):
    scores = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    expected = bilinear(scores.astype(np.float64), size)
    ordered = np.sort(expected, axis=-1)
    assert (ordered[..., -1] - ordered[..., -2]).min() > 1e-5  # no tie that rounding decides
    assert np.array_equal(upsampled_argmax(scores, size), expected.argmax(axis=-1))


def test_scores_are_upsampled_not_the_winners():
    # In the middle, 0.6 + 0.4 of class 1 beat one certain neighbour of class 0 on either side:
    # the nearest winner says 0, 1 | the interpolated scores move the border.
    scores = np.array([[[0.55, 0.45], [0.0, 1.0]]], np.float32)
    # Class 1 leads where 0.55·(1−t) < 0.5, t > 1/11; pixel centres at t = 0, 0, .25, .75, 1, 1.
    assert upsampled_argmax(scores, (1, 4)).tolist() == [[0, 1, 1, 1]]


@pytest.mark.parametrize("classes", [3, 17, 60])
def test_equal_scores_go_to_the_lower_id(classes):
    scores = np.random.default_rng(1).random((5, 7, classes)).astype(np.float32)
    low, high = 1, classes - 1
    scores[..., low] = scores[..., high] = scores.max(axis=-1) + 0.1
    assert (upsampled_argmax(scores, (23, 31)) == low).all()


@pytest.mark.parametrize("size", [(23, 31), (5, 7), (4, 3), (6, 40)])
@pytest.mark.parametrize("kind", ["votes", "probabilities", "few", "zeros", "ties"])
def test_leaving_out_classes_that_cannot_win_changes_no_pixel(kind, size, monkeypatch):
    rng = np.random.default_rng(5)
    for classes in (2, 9, 60):
        exact = rng.dirichlet(np.full(classes, 0.1), (5, 7))
        scores = exact.astype(np.float32)
        if kind == "votes":
            scores = rng.multinomial(10, exact).astype(np.float32) / 10
        elif kind == "few":  # most patches are certain
            scores = np.eye(classes, dtype=np.float32)[rng.integers(0, 3, (5, 7)) % classes]
        elif kind == "zeros":  # patches without any score
            scores[rng.random((5, 7)) < 0.4] = 0
        elif kind == "ties":
            scores = np.round(scores * 4) / 4
        monkeypatch.setattr(upsample, "FEW", classes)
        whole = upsampled_argmax(scores, size)
        monkeypatch.setattr(upsample, "FEW", 0)
        assert np.array_equal(upsampled_argmax(scores, size), whole)
        for at_once in (1, 1 << 28):  # in torch, one class at a time and all of them
            monkeypatch.setattr(upsample, "AT_ONCE", at_once)
            found = upsampled_argmax(torch.from_numpy(scores), size)
            assert (found == whole).mean() > 0.99  # where two are equal to rounding, either wins


def test_most_classes_are_left_out_where_patches_are_sure():
    scores = np.full((6, 6, 100), 0.001, np.float32)
    scores[..., 7] = scores[3:, :, 8] = 0.45
    _, classes, count = upsample._candidates(scores)
    assert classes.shape[0] == count.max() == 2
    assert (count[:2] == 1).all()
    assert (classes[:, :2] == 7).all()


def test_classes_without_a_score_keep_the_ids_of_the_others():
    scores = np.zeros((2, 2, 6), np.float32)
    scores[:, 0, 4] = scores[:, 1, 2] = 1
    assert upsampled_argmax(scores, (2, 4)).tolist() == [[4, 4, 2, 2], [4, 4, 2, 2]]


def test_counts_of_images_are_kept_without_zeros_and_give_all_back():
    matrices = np.random.default_rng(0).integers(0, 3, (5, 4, 4)).astype(np.int32)
    matrices[2] = 0  # an image of ignored pixels only
    counts = ImageCounts.of(iter(matrices), 4)
    assert len(counts.count) == (matrices > 0).sum()
    assert np.array_equal(counts.dense(), matrices)
    assert np.array_equal(counts.total(), matrices.sum(axis=0))


def test_joined_counts_are_those_of_all_images_in_order():
    matrices = np.random.default_rng(1).integers(0, 3, (5, 4, 4)).astype(np.int32)
    parts = [ImageCounts.of(matrices[:2], 4), ImageCounts.of(matrices[2:], 4)]
    assert np.array_equal(ImageCounts.joined(parts).dense(), matrices)


def test_memory_follows_the_pairs_that_occur_not_the_classes():
    image = np.zeros((150, 150), np.int32)
    image[:3, :3] = 7
    counts = ImageCounts.of((image for _ in range(2000)), 150)
    stored = sum(a.nbytes for a in (counts.image, counts.true, counts.predicted, counts.count))
    assert stored < 1_000_000  # dense: 180 MB
    assert counts.total()[0, 0] == 14_000
