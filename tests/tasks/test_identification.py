"""T2: which patches count and what they look for, and scores that are known beforehand."""

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_array

from patchlens.tasks.identification.copies import FILL, Copy
from patchlens.tasks.identification.heads import (
    NO_BIN,
    Head,
    block_targets,
    block_weights,
    object_head,
    patch_head,
)
from patchlens.tasks.identification.search import hits
from patchlens.tasks.objects import Objects, as_weights, patch_coverage
from tasks.scene import objects

GRID, SIZE = (6, 8), (48, 64)  # patches of 8 × 8 pixels
PATCHES = GRID[0] * GRID[1]
CPU = "cpu"
CONDITIONS = [
    ("blur", 2.0),
    ("shift", 4.0),
    ("shift", 8.0),
    ("rotation", 20.0),
    ("scale", 0.8),
    ("scale", 1.2),
]


def targets(name: str, severity: float, g: int = 1, grid=GRID, size=SIZE) -> np.ndarray:
    return block_targets(Copy("a", name, severity).to_clean(size), size, grid, g)


def same(x: np.ndarray) -> np.ndarray:
    return x


def head_of(copies: list[Copy], images: int = 1, g: int = 1, share: int | str = "all") -> Head:
    rows = np.array([int(copy.image_id) for copy in copies])
    return patch_head(copies, rows, [SIZE] * images, GRID, g, share, seed=0)


def scores(
    head: Head, clean: np.ndarray, degraded: np.ndarray, distance="cosine", transform=same
) -> tuple[float, float]:
    """Top-1 and top-5 of features [n, h, w, D] of images and of copies."""
    found = hits(
        [head],
        lambda rows: clean[rows.start : rows.stop],
        lambda rows: degraded[rows.start : rows.stop],
        transform,
        distance,
        CPU,
    )
    return float(found[0][0].mean()), float(found[0][1].mean())


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def oracle(copies: list[Copy], images: int) -> tuple[np.ndarray, np.ndarray]:
    """Every clean patch has a code of its own, and every copied patch the code of its target."""
    clean = np.eye(images * PATCHES, dtype=np.float32).reshape(images, *GRID, -1)
    degraded = np.zeros((len(copies), PATCHES, images * PATCHES), np.float32)
    for values, copy in zip(degraded, copies, strict=True):
        target = block_targets(copy.to_clean(SIZE), SIZE, GRID, 1)
        valid = np.flatnonzero(target >= 0)
        values[valid, int(copy.image_id) * PATCHES + target[valid]] = 1
    return clean, degraded.reshape(len(copies), *GRID, -1)


def test_a_photometric_copy_maps_every_patch_to_itself():
    assert targets("blur", 2.0).tolist() == list(range(PATCHES))


def test_a_shift_by_one_patch_maps_to_the_neighbour_and_its_padding_does_not_count():
    found = targets("shift", 8.0).reshape(GRID)
    assert (found[0] == -1).all()
    assert (found[:, 0] == -1).all()
    assert found[1:, 1:].tolist() == np.arange(PATCHES).reshape(GRID)[:-1, :-1].tolist()


def test_a_patch_that_touches_the_padding_by_one_pixel_does_not_count():
    found = targets("shift", 1.0).reshape(GRID)
    assert (found >= 0).sum() == 5 * 7
    assert found[3, 4] == 3 * 8 + 4


def test_a_centre_on_an_edge_belongs_to_the_patch_right_and_below():
    assert targets("shift", 4.0).reshape(GRID)[2, 3] == 2 * 8 + 3


def test_enlarged_copies_map_to_where_their_centres_lie_and_shrunk_ones_keep_their_middle():
    # By hand: x of the centre of column c is 8c + 4, clean x is 32 + (8c + 4 − 32) / 2.
    columns = targets("scale", 2.0).reshape(GRID) % GRID[1]
    assert columns[0].tolist() == [2, 2, 3, 3, 4, 4, 5, 5]
    shrunk = targets("scale", 0.5).reshape(GRID)
    assert (shrunk >= 0).sum() == 2 * 4
    assert shrunk[2].tolist() == [-1, -1, 17, 19, 21, 23, -1, -1]


@pytest.mark.parametrize(("name", "severity"), CONDITIONS)
@pytest.mark.parametrize("g", [1, 2])
def test_a_counted_patch_holds_no_pixel_of_the_padding_and_all_others_do(name, severity, g):
    white = Image.new("RGB", SIZE[::-1], (255, 255, 255))
    pixels = np.asarray(Copy("a", name, severity).of(white, 0))
    padding = (pixels == FILL).all(axis=-1)
    side = 8 * g
    blocks = padding.reshape(SIZE[0] // side, side, SIZE[1] // side, side)
    counted = (targets(name, severity, g) >= 0).reshape(len(blocks), -1)
    padded = blocks.any(axis=(1, 3))
    assert not (counted & padded).any()
    if name != "scale":  # where a corner may lie outside and the centre of its pixel inside
        assert (counted | padded).mean() > 0.95


def test_blocks_are_means_of_squares_and_what_is_left_over_is_dropped():
    weights = block_weights((5, 7), 2)
    assert weights.shape == (2 * 3, 35)
    assert weights.toarray().sum(axis=1).tolist() == [1] * 6
    assert np.flatnonzero(weights.toarray()[4]).tolist() == [16, 17, 23, 24]
    # The block of row 2, column 0 of a shifted copy looks for a centre in the dropped last row.
    found = block_targets(Copy("a", "scale", 0.4).to_clean((50, 70)), (50, 70), (5, 7), 2)
    assert (found < 6).all()
    assert block_weights((3, 3), 4).shape == (0, 9)


def test_a_block_whose_centre_lies_in_the_dropped_remainder_is_no_query():
    # Columns of 10 pixels, five of them: the block covers 0..40, the rest 40..50 is dropped.
    near = np.array([[0.5, 0, 29.5], [0, 0.5, 0]])
    assert block_targets(near, (90, 50), (9, 5), 4).tolist() == [0, 0]
    assert block_targets(np.add(near, [[0, 0, 0.5], [0, 0, 0]]), (90, 50), (9, 5), 4).max() == -1


@pytest.mark.parametrize("g", [1, 2, 4])
def test_an_oracle_is_always_right(g):
    copies = [Copy(i, *condition) for i in "012" for condition in CONDITIONS]
    clean, degraded = oracle(copies, 3)
    if g > 1:  # pooled codes are shared with neighbours: only copies without a shift are exact
        copies, degraded = copies[:1], degraded[:1]
    assert scores(head_of(copies, 3, g), clean, degraded) == (1.0, 1.0)


def test_features_shifted_by_exactly_one_patch_identify_perfectly():
    copies = [Copy("1", "shift", 8.0)]
    clean = noise(3, *GRID, 16)
    degraded = noise(1, *GRID, 16, seed=1)
    degraded[0, 1:, 1:] = clean[1, :-1, :-1]
    assert scores(head_of(copies, 3), clean, degraded) == (1.0, 1.0)
    degraded[0, 1:, 1:] = clean[2, :-1, :-1]  # the right place of the wrong image
    assert scores(head_of(copies, 3), clean, degraded)[0] == 0


@pytest.mark.parametrize("distance", ["cosine", "dot", "l2"])
def test_random_features_are_at_chance(distance):
    copies = [Copy(i, "noise", float(s)) for i in "01" for s in range(1, 41)]
    head = head_of(copies, 2)
    gallery = 2 * PATCHES
    top1, top5 = scores(head, noise(2, *GRID, 8), noise(80, *GRID, 8, seed=1), distance)
    queries = len(head.targets)
    assert queries == 80 * PATCHES
    for found, chance in ((top1, 1 / gallery), (top5, 5 / gallery)):
        assert found == pytest.approx(chance, abs=4 * np.sqrt(chance / queries))


def test_swapped_patches_are_wrong_and_among_the_five_by_hand():
    clean = np.eye(PATCHES, dtype=np.float32).reshape(1, *GRID, -1)
    degraded = clean.reshape(1, PATCHES, -1).copy()
    degraded[0, [0, 1]] = degraded[0, [1, 0]]  # neighbours: the first of the rest are rows 0 and 1
    degraded[0, [20, 30]] = degraded[0, [30, 20]]  # not among the first four of equal ones
    top1, top5 = scores(head_of([Copy("0", "blur", 1.0)]), clean, degraded.reshape(clean.shape))
    assert top1 == pytest.approx(1 - 4 / PATCHES)
    assert top5 == pytest.approx(1 - 2 / PATCHES)


@pytest.mark.parametrize("distance", ["cosine", "dot", "l2"])
def test_without_any_dimension_the_first_of_the_gallery_are_found(distance):
    clean = noise(1, *GRID, 3)
    none = scores(
        head_of([Copy("0", "blur", 1.0)]), clean, clean, distance, lambda x: np.zeros((len(x), 0))
    )
    assert none == (1 / PATCHES, 5 / PATCHES)


def test_the_variant_is_applied_to_patches_before_they_are_pooled():
    clean = np.abs(noise(1, *GRID, 6))
    signed = clean * np.where(noise(1, *GRID, 6, seed=3) > 0, 1, -1)
    head = head_of([Copy("0", "blur", 1.0)], g=2)
    assert scores(head, clean, signed, transform=np.abs) == (1.0, 1.0)
    assert scores(head, clean, signed)[0] < 0.7


def test_a_share_of_the_patches_is_drawn_for_each_copy_and_never_changes():
    copies = [Copy("0", "blur", 1.0), Copy("0", "blur", 2.0), Copy("0", "shift", 40.0)]
    head = head_of(copies, share=5)
    assert [one.shape[0] for one in head.queries] == [5, 5, 3]  # 3 are valid: 1 row, 3 columns
    assert head.copy.tolist() == [0] * 5 + [1] * 5 + [2] * 3
    first, second = head.targets[:5].tolist(), head.targets[5:10].tolist()
    assert first != second
    assert first == sorted(set(first))
    assert head_of(copies[:1], share=5).targets.tolist() == first
    other = patch_head(copies[:1], np.array([0]), [SIZE], GRID, 1, 5, seed=1)
    assert other.targets.tolist() != first
    assert len(head_of(copies, share=99).targets) == 2 * PATCHES + 3


def test_a_copy_without_a_valid_patch_has_no_query():
    copies = [Copy("0", "shift", 60.0), Copy("0", "blur", 1.0)]
    head = head_of(copies)
    assert head.queries[0].shape == (0, PATCHES)
    assert set(head.copy) == {1}
    empty = head_of(copies[:1])
    assert len(empty.targets) == 0
    clean = noise(1, *GRID, 4)
    found = hits([empty], lambda rows: clean, lambda rows: clean, same, "cosine", CPU)
    assert [len(part) for part in found[0]] == [0, 0]


def test_a_gallery_of_fewer_than_five_is_searched_whole():
    clean = noise(1, 1, 2, 4)
    one = csr_array(np.eye(2, dtype=np.float32))
    head = Head("patch", [one], np.arange(2), [one], np.array([1, 0]), np.full(2, NO_BIN))
    assert scores(head, clean, clean) == (0.0, 1.0)


def world(areas: list[np.ndarray], rows: list[int], instances: list[int]) -> Objects:
    """Objects from their areas in pixels, which may be empty (a box outside its image)."""
    covered = np.stack([patch_coverage(area, GRID) for area in areas])
    about = {"size": covered.sum(axis=(1, 2)).astype(float), "weights": as_weights(covered)}
    return objects(instances, row=rows, **about)


def area(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def objects_head(copies: list[Copy], areas: list[np.ndarray], rows=None, instances=None) -> Head:
    rows = rows or [0] * len(areas)
    of = world(areas, rows, instances or list(range(len(areas))))
    of_row = [
        np.stack([a for a, r in zip(areas, rows, strict=True) if r == row])
        for row in (0, 1)
        if row in rows
    ]
    images = max(rows) + 1
    where = np.array([int(copy.image_id) for copy in copies])
    return object_head(copies, where, [SIZE] * images, GRID, of, lambda row: of_row[row])


def test_objects_of_a_shifted_copy_are_found_at_their_moved_places():
    places = [(8, 8, 16, 24), (24, 32, 40, 40), (20, 44, 27, 62)]
    head = objects_head([Copy("0", "shift", 8.0)], [area(*place) for place in places])
    clean = noise(1, *GRID, 16)
    degraded = np.roll(clean, (1, 1), axis=(1, 2))
    degraded[0, 0] = degraded[0, :, 0] = 99  # the padding must not weigh
    assert head.targets.tolist() == [0, 1, 2]
    assert scores(head, clean, degraded) == (1.0, 1.0)
    assert scores(head, clean, clean)[0] < 1  # the places did move


def test_an_object_weighs_only_patches_that_lie_wholly_in_the_clean_image():
    # At the left edge, two patches wide; a shift by 4 leaves the first column half padding.
    head = objects_head([Copy("0", "shift", 4.0)], [area(16, 0, 32, 16)])
    weights = head.queries[0].toarray().reshape(GRID)
    # The area now covers columns 4..20 and rows 20..36: half, whole, half of patches.
    assert weights[:, 0].sum() == 0
    assert weights[2:5, 1].tolist() == pytest.approx([1 / 6, 2 / 6, 1 / 6])
    assert weights[2:5, 2].tolist() == pytest.approx([1 / 12, 2 / 12, 1 / 12])


def test_objects_that_left_the_copy_or_its_valid_patches_are_no_queries():
    corner, middle = area(40, 56, 48, 64), area(16, 16, 24, 24)
    head = objects_head([Copy("0", "shift", 8.0), Copy("0", "blur", 1.0)], [corner, middle])
    assert head.targets.tolist() == [1, 0, 1]
    assert head.copy.tolist() == [0, 1, 1]
    assert len(head.labels) == 2


def test_photometric_copies_use_the_weights_of_the_gallery():
    head = objects_head([Copy("0", "noise", 10.0)], [area(3, 5, 30, 41)])
    assert (head.queries[0] != head.gallery[0]).nnz == 0


def test_sizes_are_those_of_the_clean_object_in_patches():
    patches = [(6, 8), (8, 8), (24, 8), (16, 16), (24, 32), (32, 32), (48, 24)]  # in pixels
    head = objects_head([Copy("0", "blur", 1.0)], [area(0, 0, *extent) for extent in patches])
    assert head.bins.tolist() == [0, 1, 1, 2, 2, 3, 3]  # ¾, 1, 3, 4, 12, 16, 18 patches


def test_the_same_instance_in_another_image_is_a_hit_and_its_features_decide():
    places = [area(8, 8, 16, 16), area(24, 24, 32, 32), area(8, 8, 16, 16)]
    head = objects_head([Copy("0", "blur", 1.0)], places, rows=[0, 0, 1], instances=[7, 8, 7])
    clean = np.zeros((2, *GRID, 3), np.float32)
    clean[0, 1, 1], clean[0, 3, 3], clean[1, 1, 1] = np.eye(3)
    degraded = clean[:1].copy()
    degraded[0, 1, 1] = clean[1, 1, 1]
    assert scores(head, clean, degraded) == (1.0, 1.0)
    degraded[0, 1, 1], degraded[0, 3, 3] = clean[0, 3, 3], clean[0, 1, 1]  # swapped
    assert scores(head, clean, degraded) == (0.0, 1.0)


def test_images_without_objects_are_no_trouble():
    one = world([area(8, 8, 16, 16)], [1], [3])
    head = object_head(
        [Copy("0", "rotation", 5.0), Copy("1", "rotation", 5.0)],
        np.array([0, 1]),
        [SIZE, SIZE],
        GRID,
        one,
        lambda row: np.stack([area(8, 8, 16, 16)]),
    )
    assert head.copy.tolist() == [1]
    clean = noise(2, *GRID, 4)
    assert scores(head, clean, clean) == (1.0, 1.0)
