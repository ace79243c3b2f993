"""Degraded copies: the pixels by their definition, and the map that must fit them exactly."""

import numpy as np
import pytest
from PIL import Image

from patchlens.tasks.identification.copies import (
    FILL,
    FREQUENCY_STEP,
    Copy,
    copies,
    mapped,
    moved_area,
)
from patchlens.tasks.identification.settings import Degradations, Identification

HEIGHT, WIDTH = 48, 80
SIZE = (HEIGHT, WIDTH)
GEOMETRIC = [
    ("shift", 1.0),
    ("shift", 4.0),
    ("rotation", 5.0),
    ("rotation", 20.0),
    ("scale", 0.8),
    ("scale", 1.2),
]
PHOTOMETRIC = [
    ("blur", 2.0),
    ("noise", 20.0),
    ("frequency", 2.0),
    ("jpeg", 40.0),
    ("brightness", 0.6),
    ("contrast", 1.4),
]


def photograph(seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3))
    return Image.fromarray(noise.astype(np.uint8))


def plain(value: int = 128, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(np.full((*size, 3), value, np.uint8))


def pixels(copy: Copy, image: Image.Image, seed: int = 0) -> np.ndarray:
    return np.asarray(copy.of(image, seed)).astype(float)


def blob(x: float, y: float) -> Image.Image:
    """A soft spot at a point: its centre of mass is known to a hundredth of a pixel."""
    row, column = np.arange(HEIGHT)[:, None] + 0.5, np.arange(WIDTH) + 0.5
    value = 250 * np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * 2.0**2))
    return Image.fromarray(np.rint(value).astype(np.uint8)).convert("RGB")


def centre_of_mass(image: np.ndarray) -> np.ndarray:
    """x, y of the light in the surroundings of the brightest pixel, padding left out."""
    light = np.where((image == FILL).all(axis=-1), 0, image[..., 0])
    row, column = np.unravel_index(light.argmax(), light.shape)
    rows, columns = slice(max(row - 7, 0), row + 8), slice(max(column - 7, 0), column + 8)
    part = light[rows, columns]
    y = (part.sum(axis=1) * (np.arange(HEIGHT)[rows] + 0.5)).sum() / part.sum()
    x = (part.sum(axis=0) * (np.arange(WIDTH)[columns] + 0.5)).sum() / part.sum()
    return np.array([x, y])


@pytest.mark.parametrize(("name", "severity"), PHOTOMETRIC + GEOMETRIC)
def test_a_copy_depends_on_image_id_condition_and_seed_and_on_nothing_else(name, severity):
    image = photograph()
    first = pixels(Copy("a", name, severity), image)
    pixels(Copy("b", "noise", 10.0), image)  # what was drawn before does not matter
    assert np.array_equal(pixels(Copy("a", name, severity), image), first)
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert not np.array_equal(first, np.asarray(image))
    random = name in ("noise", "frequency")
    for other, seed in ((Copy("b", name, severity), 0), (Copy("a", name, severity), 1)):
        assert np.array_equal(pixels(other, image, seed), first) is not random
    assert not np.array_equal(pixels(Copy("a", name, severity * 1.1), image), first)


@pytest.mark.parametrize(("name", "severity"), PHOTOMETRIC)
def test_photometric_degradations_leave_points_alone(name, severity):
    points = np.array([[0.0, 0.0], [80.0, 48.0], [3.5, 7.25]])
    assert np.array_equal(mapped(Copy("a", name, severity).to_clean(SIZE), points), points)


@pytest.mark.parametrize(("name", "severity"), GEOMETRIC)
def test_the_map_leads_from_a_spot_in_the_copy_to_its_place_in_the_clean_image(name, severity):
    copy = Copy("a", name, severity)
    spots = np.random.default_rng(0).uniform((25, 16), (55, 32), (60, 2))
    found = [centre_of_mass(pixels(copy, blob(*spot))) for spot in spots]
    error = mapped(copy.to_clean(SIZE), np.array(found)) - spots
    # Pillow's bicubic kernel moves a spot by a tenth of a pixel, to all sides alike. Half a pixel
    # of a wrong convention would be 0.04 off on both axes at 5°, and 0.1 at a scale of 1.2.
    assert np.abs(error).max() < 0.11
    assert error.mean(axis=0) == pytest.approx((0, 0), abs=0.02)


@pytest.mark.parametrize(("name", "severity"), GEOMETRIC)
@pytest.mark.parametrize("pixel", [(20, 37), (31, 52)])
def test_the_map_finds_a_single_bright_pixel(name, severity, pixel):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[pixel] = 255
    copy = Copy("a", name, severity)
    light = pixels(copy, Image.fromarray(image))
    light = np.where((light == FILL).all(axis=-1), 0, light[..., 0])
    row, column = np.unravel_index(light.argmax(), light.shape)
    x, y = mapped(copy.to_clean(SIZE), np.array([column + 0.5, row + 0.5]))
    assert abs(x - (pixel[1] + 0.5)) < 0.7
    assert abs(y - (pixel[0] + 0.5)) < 0.7


def test_a_shift_moves_right_and_down_by_whole_pixels_and_fills_the_rest():
    image = photograph()
    moved = pixels(Copy("a", "shift", 3.0), image)
    assert np.array_equal(moved[3:, 3:], np.asarray(image)[:-3, :-3])
    assert (moved[:3] == FILL).all()
    assert (moved[:, :3] == FILL).all()


def test_a_rotation_turns_counter_clockwise_and_a_scale_enlarges():
    right_of_centre = blob(60.0, 24.0)
    x, y = centre_of_mass(pixels(Copy("a", "rotation", 20.0), right_of_centre))
    assert (x, y) == pytest.approx(
        (40 + 20 * np.cos(np.pi / 9), 24 - 20 * np.sin(np.pi / 9)), abs=0.05
    )
    x, y = centre_of_mass(pixels(Copy("a", "scale", 1.2), right_of_centre))
    assert (x, y) == pytest.approx((64, 24), abs=0.05)


@pytest.mark.parametrize(("name", "severity"), GEOMETRIC)
def test_an_area_moves_with_the_pixels(name, severity):
    area = np.zeros(SIZE, bool)
    area[18:33, 30:58] = True
    copy = Copy("a", name, severity)
    image = Image.fromarray(np.where(area, 255, 0).astype(np.uint8)).convert("RGB")
    light = pixels(copy, image)
    light = np.where((light == FILL).all(axis=-1), 0, light[..., 0])
    moved = moved_area(area, copy.to_clean(SIZE))
    assert moved.any()
    assert (light[moved] >= 100).all()
    assert (light[~moved] <= 155).all()


def test_nothing_comes_into_an_area_from_outside_the_image():
    moved = moved_area(np.ones(SIZE, bool), Copy("a", "shift", 4.0).to_clean(SIZE))
    assert not moved[:4].any()
    assert not moved[:, :4].any()
    assert moved[4:, 4:].all()


def test_a_blur_is_a_gaussian_of_that_sigma_and_keeps_colours_apart():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20, 0] = 255
    blurred = pixels(Copy("a", "blur", 1.0), Image.fromarray(image))
    assert blurred[20, 20, 0] == pytest.approx(255 / (2 * np.pi), abs=0.6)
    assert blurred[20, 21, 0] / blurred[20, 20, 0] == pytest.approx(np.exp(-0.5), abs=0.03)
    assert not blurred[..., 1:].any()


@pytest.mark.parametrize(
    ("name", "severity", "sigma"),
    [("noise", 10, 10), ("noise", 20, 20), ("frequency", 2, 2 * FREQUENCY_STEP)],
)
def test_noise_has_its_standard_deviation_on_every_channel(name, severity, sigma):
    noisy = pixels(Copy("a", name, severity), plain(size=(128, 128))) - 128
    assert noisy.std(axis=(0, 1)) == pytest.approx(sigma, rel=0.04)
    assert abs(noisy.mean()) < 0.6
    channels = noisy.reshape(-1, 3).T
    assert abs(np.corrcoef(channels)[0, 1]) < 0.2


def test_noise_is_clipped_and_never_wraps_around():
    noisy = pixels(Copy("a", "noise", 40.0), plain(250))
    assert noisy.max() == 255
    assert noisy.min() > 60


def test_the_amplitude_of_frequency_noise_falls_as_one_over_f_and_that_of_noise_does_not():
    slopes = {}
    for name, severity in (("frequency", 2.0), ("noise", 20.0)):
        noisy = pixels(Copy("a", name, severity), plain(size=(256, 256)))[..., 0] - 128
        amplitude = np.abs(np.fft.fft2(noisy))
        f = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
        used = (f > 0.02) & (f < 0.4)
        slopes[name] = np.polyfit(np.log(f[used]), np.log(amplitude[used]), 1)[0]
    assert slopes["frequency"] == pytest.approx(-1, abs=0.05)
    assert slopes["noise"] == pytest.approx(0, abs=0.05)


def test_frequency_noise_of_an_image_of_one_pixel_is_nothing():
    assert pixels(Copy("a", "frequency", 4.0), plain(size=(1, 1))).tolist() == [[[128] * 3]]


def test_jpeg_brightness_and_contrast_do_what_they_say():
    image = photograph()

    def error(quality: float) -> float:
        return float(np.abs(pixels(Copy("a", "jpeg", quality), image) - np.asarray(image)).mean())

    assert error(90) < error(40) < error(10)
    assert (pixels(Copy("a", "brightness", 0.6), plain(100)) == 60).all()
    assert (pixels(Copy("a", "brightness", 1.4), plain(200)) == 255).all()
    steps = np.asarray(plain(100)).copy()
    steps[:, ::2] = 140
    flat = pixels(Copy("a", "contrast", 0.5), Image.fromarray(steps))
    assert flat.max() - flat.min() == pytest.approx(20, abs=1)


def test_copies_are_those_of_the_first_images_in_hash_order_with_all_conditions():
    settings = Identification(
        datasets=["d"],
        images=2,
        patches=1,
        granularities=[1],
        distance="cosine",
        degradations=Degradations(blur=[1.0, 2.5], shift=[3.0]),
        seed=0,
    )
    ids = [f"street|{i}" for i in range(9)]
    found = [copy.copy_id for copy in copies(ids, settings)]
    assert len(found) == 6
    first = found[0].rsplit("|", 2)[0]
    assert found[:3] == [f"{first}|blur|1", f"{first}|blur|2.5", f"{first}|shift|3"]
    assert copies(ids[::-1], settings) == copies(ids, settings)
    others = [copies(ids, settings.model_copy(update={"seed": seed})) for seed in range(1, 5)]
    assert any(other[0].image_id != first for other in others)
    assert len(copies(ids, settings.model_copy(update={"images": "all"}))) == 27
    assert len(copies(ids, settings.model_copy(update={"images": 99}))) == 27
