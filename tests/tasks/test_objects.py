"""Objects of images and the means of their patches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from patchlens.tasks.annotated import objects_of, one_object_per_image
from patchlens.tasks.objects import (
    NONE,
    SIZES,
    as_weights,
    box_weights,
    object_features,
    patch_coverage,
    size_bins,
)
from tasks.scene import GRID, SIZE, box, image, objects, write_index

RNG = np.random.default_rng(0)


def test_coverage_is_the_share_of_each_patch_also_where_patches_cut_pixels():
    mask = np.zeros((4, 6), bool)
    mask[:2, :3] = True
    np.testing.assert_allclose(patch_coverage(mask, (2, 2)), [[1, 0], [0, 0]])
    # 6 columns in 4 cells: cells are 1.5 pixels wide.
    np.testing.assert_allclose(patch_coverage(mask, (1, 4)), [[0.5, 0.5, 0, 0]])
    assert patch_coverage(mask, (3, 5)).sum() * (4 * 6) / 15 == pytest.approx(mask.sum())


def test_weights_are_coverage_over_its_sum_and_an_empty_map_stays_empty():
    maps = np.array([[[1, 0.5], [0, 0]], [[0, 0], [0, 0]]], np.float32)
    np.testing.assert_allclose(as_weights(maps).todense(), [[2 / 3, 1 / 3, 0, 0], [0, 0, 0, 0]])


def test_box_weights_give_the_mean_of_torchvision_s_roi_align():
    patches = torch.randn(1, 5, 9, 12, generator=torch.Generator().manual_seed(0))
    corner = RNG.uniform(0, 8, (30, 2))
    boxes = np.hstack([corner, corner + RNG.uniform(0.01, 1, (30, 2)) * ([12, 9] - corner)])
    rois = torch.from_numpy(np.hstack([np.zeros((30, 1)), boxes])).float()
    expected = roi_align(patches, rois, 7, sampling_ratio=-1, aligned=True).mean(dim=(2, 3))
    found = box_weights(boxes, (9, 12)).reshape(30, -1) @ patches[0].flatten(1).numpy().T
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_box_weights_sum_to_1_and_are_even_over_the_whole_map():
    boxes = np.array([[0, 0, 12, 9], [3.2, 4.1, 3.3, 4.2], [11.9, 8.9, 12, 9]])
    found = box_weights(boxes, (9, 12))
    np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert found[2, 8, 11] == pytest.approx(1)
    assert found[0].max() < 2 / (9 * 12)


def test_features_are_weighted_means_of_the_transformed_patches_in_one_pass():
    patches = RNG.normal(size=(3, 1, 2, 3)).astype(np.float32)
    seen = objects(range(3), row=[0, 2, 2], weights=[[0.25, 0.75], [1, 0], [0, 0]])
    read = []

    def features(rows):
        read.append(rows)
        return patches[rows.start : rows.stop]

    transforms = {"raw": [lambda x: x], "draws": [np.square, lambda x: x[:, 1:]]}
    found = object_features(seen, 3, features, transforms, chunk=2)
    assert read == [range(0, 2), range(2, 3)]
    raw, (square, columns) = found["raw"][0], found["draws"]
    np.testing.assert_allclose(raw[0], 0.25 * patches[0, 0, 0] + 0.75 * patches[0, 0, 1], rtol=1e-5)
    np.testing.assert_array_equal(raw[1], patches[2, 0, 0])
    np.testing.assert_array_equal(raw[2], 0)  # outside its image
    # The variant sees patches: the mean of squares is not the square of the mean.
    np.testing.assert_allclose(square[0], [0.25, 0.75] @ patches[0, 0] ** 2, rtol=1e-5)
    np.testing.assert_array_equal(columns, raw[:, 1:])
    assert raw.dtype == np.float32


def test_a_variant_without_dimensions_gives_objects_without_dimensions():
    patches = np.ones((1, 1, 2, 3), np.float32)
    two = objects(range(2), row=[0, 0], weights=np.eye(2))
    found = object_features(two, 1, lambda rows: patches, {"none": [lambda x: x[:, :0]]})
    assert found["none"][0].shape == (2, 0)


def test_some_of_the_objects_keep_their_weights():
    some = objects(range(3), weights=np.eye(3)).take(np.array([True, False, True]))
    assert some.row.tolist() == [0, 2]
    np.testing.assert_array_equal(some.weights.todense(), np.eye(3)[[0, 2]])


def test_sizes_are_binned_with_their_lower_edge():
    assert [SIZES[i] for i in size_bins(np.array([0.3, 1, 3.9, 4, 16, 99]))] == [
        "<1", "1–4", "1–4", "4–16", ">16", ">16",
    ]  # fmt: skip


@pytest.fixture
def scene(tmp_path):
    mask = np.zeros(SIZE, bool)
    mask[0:8, 4:16] = True  # half of patch (0, 0), all of (0, 1)
    tiny = np.zeros(SIZE, bool)
    tiny[31, 47] = True
    images = [
        image("b", {**box(7, 4, 0, 16, 8), "mask": mask}, {**box(9, 47, 31, 48, 32), "mask": tiny},
              sequence="v", frame=3),
        image("a", box(7, 40, 24, 60, 90, track=5, fine_class="suv"), box(8, 50, 0, 60, 9),
              box(9, 0, 0, 16, 16, evaluated=False, class_id=1), sequence="v", frame=4),
        image("empty"),
        image("alone", box(1, 0, 0, 48, 32)),
    ]  # fmt: skip
    return write_index(tmp_path, images, support=[])


def test_masks_weigh_by_coverage_and_boxes_by_their_part_inside(scene):
    found = objects_of(scene, ["b", "a", "empty", "alone"], GRID)
    assert found.row.tolist() == [0, 0, 1, 1, 1, 3]
    assert found.instance.tolist() == [7, 9, 7, 8, 9, 1]
    weights = np.asarray(found.weights.todense()).reshape(-1, *GRID)
    np.testing.assert_allclose(weights[0, 0, :3], [1 / 3, 2 / 3, 0], rtol=1e-6)
    assert weights[1, 3, 5] == 1  # smaller than a patch
    np.testing.assert_allclose(weights[2], box_weights(np.array([[5, 3, 6, 4]]), GRID)[0])
    assert found.size.tolist() == [1.5, 1 / 64, 1, 0, 4, 24]
    np.testing.assert_array_equal(weights[3], 0)  # outside its image
    assert found.box[[0, 2]].tolist() == [[4, 0, 16, 8], [40, 24, 48, 32]]
    np.testing.assert_allclose(np.delete(weights.sum(axis=(1, 2)), 3), 1, rtol=1e-5)
    assert found.evaluated.tolist() == [True, True, True, True, False, True]


def test_objects_know_their_sequence_frame_track_and_fine_class(scene):
    found = objects_of(scene, ["alone", "a", "b"], GRID)
    assert found.row.tolist() == [0, 1, 1, 1, 2, 2]
    assert len(set(found.sequence[1:])) == 1 != found.sequence[0]
    assert found.frame.tolist() == [NONE, 4, 4, 4, 3, 3]
    table = scene.objects.loc[found.number]
    assert table["instance"].tolist() == found.instance.tolist()
    assert table["track"].fillna(NONE).tolist() == [NONE, 5, NONE, NONE, NONE, NONE]
    # Without a fine class, the class is it: car, suv, car, person, car, car.
    fine = found.fine_class
    assert fine[0] == fine[2] == fine[4] == fine[5]
    assert len({fine[0], fine[1], fine[3]}) == 3


def test_images_without_objects_have_none(scene):
    found = objects_of(scene, ["empty"], GRID)
    assert len(found) == 0
    assert found.weights.shape == (0, 24)


def test_an_image_without_an_object_is_one_as_a_whole(scene):
    found = one_object_per_image(scene, ["empty", "alone"], GRID)
    assert found.row.tolist() == [0, 1]
    assert found.instance.tolist() == [NONE, 1]
    assert found.sequence[0] != found.sequence[1]  # each image is one of its own
    first, second = found.weights.todense()
    np.testing.assert_array_equal(first, second)  # the object of the other is all of it
    assert replace(found).size.tolist() == [24, 24]
