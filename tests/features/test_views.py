import numpy as np
import pytest
from PIL import Image

from patchlens.features.views import cut, stitch, tile_counts
from patchlens.settings.datasets import View


def tiles(tile: int, pixels: int) -> View:
    return View(mode="tiles", grid="paper", tile=tile, pixels=[pixels, pixels])


WHOLE = View(mode="whole", grid="paper", pixels=[8, 12])


def picture(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def test_tiles_are_counted_down_and_across():
    assert tile_counts(tiles(256, 224), (1024, 2048)) == (4, 8)
    assert tile_counts(WHOLE, (7, 13)) == (1, 1)


@pytest.mark.parametrize("size", [(255, 512), (256, 500)])
def test_tiles_that_do_not_cover_the_image_are_an_error(size):
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]} pixels cannot be divided"):
        tile_counts(tiles(256, 224), size)


def test_a_whole_view_is_the_resized_image_channels_first():
    image = picture(16, 24)
    views = cut(image, WHOLE, (8, 12), "bicubic")
    assert views.shape == (1, 3, 8, 12)
    expected = np.asarray(image.resize((12, 8), Image.Resampling.BICUBIC))
    assert np.array_equal(views[0].transpose(1, 2, 0), expected)
    other = np.asarray(image.resize((12, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(cut(image, WHOLE, (8, 12), "bilinear")[0].transpose(1, 2, 0), other)


def test_an_image_of_the_input_size_is_untouched():
    image = picture(8, 12)
    views = cut(image, WHOLE, (8, 12), "bicubic")
    assert np.array_equal(views[0].transpose(1, 2, 0), np.asarray(image))


def test_tiles_of_the_input_size_are_plain_crops_in_reading_order():
    image = picture(8, 12)
    views = cut(image, tiles(4, 4), (4, 4), "bicubic").transpose(0, 2, 3, 1)
    values = np.asarray(image)
    expected = [values[y : y + 4, x : x + 4] for y in (0, 4) for x in (0, 4, 8)]
    assert np.array_equal(views, expected)


def test_a_tile_is_resized_by_itself_without_its_neighbours():
    image = picture(8, 16)
    views = cut(image, tiles(8, 12), (12, 12), "bicubic").transpose(0, 2, 3, 1)
    for i, box in enumerate([(0, 0, 8, 8), (8, 0, 16, 8)]):
        alone = image.crop(box).resize((12, 12), Image.Resampling.BICUBIC)
        assert np.array_equal(views[i], np.asarray(alone))


def test_tiles_of_an_image_that_has_the_input_size_are_still_tiles():
    image = picture(8, 8)
    views = cut(image, tiles(4, 8), (8, 8), "bicubic").transpose(0, 2, 3, 1)
    assert views.shape == (4, 8, 8, 3)
    corner = image.crop((4, 4, 8, 8)).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(views[3], np.asarray(corner))


def test_stitching_puts_every_patch_of_every_tile_in_its_place():
    # The value of a patch says where it belongs: 100·row + column of the whole map.
    rows, columns, h, w = 2, 3, 2, 4
    tokens = np.zeros((rows * columns, h, w, 1), int)
    for tile in range(rows * columns):
        for y in range(h):
            for x in range(w):
                row, column = (tile // columns) * h + y, (tile % columns) * w + x
                tokens[tile, y, x, 0] = 100 * row + column
    whole = stitch(tokens, rows, columns)[..., 0]
    assert np.array_equal(whole, 100 * np.arange(4)[:, None] + np.arange(12))
