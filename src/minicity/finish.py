"""From linear samples to pixels: fog, wet reflections, exposure, anti-aliasing, sensor noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minicity.camera import FAR, SCALE, Canvas, rotation
from minicity.light import Light
from minicity.noise import Array, cells, value_noise
from minicity.spec import HEIGHT, SKY, WIDTH


@dataclass(frozen=True)
class Lens:
    """Exposure factor, white balance of red and blue, and the noise seed of one frame."""

    exposure: float
    red: float
    blue: float
    seed: int


def develop(canvas: Canvas, light: Light, lens: Lens) -> NDArray[np.uint8]:
    """Turn the canvas into an image, uint8 [128, 256, 3]."""
    colour = _fogged(canvas, light)
    if light.wet > 0.5:
        colour = _reflected(canvas, colour)
    if light.night > 0:
        colour = colour + _halos(canvas, light)
    rows = (np.arange(HEIGHT * SCALE, dtype=np.float32) + 0.5) * (2.0 / (HEIGHT * SCALE)) - 1.0
    cols = (np.arange(WIDTH * SCALE, dtype=np.float32) + 0.5) * (2.0 / (WIDTH * SCALE)) - 1.0
    vignette = 1.0 - 0.16 * (cols * cols)[None, :] - 0.10 * (rows * rows)[:, None]
    gains = (lens.red, 1.0, lens.blue)
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for i in range(3):
        value = colour[i] * (vignette * np.float32(lens.exposure * gains[i]))
        # A filmic shoulder, then gamma 2.
        value = np.sqrt(np.maximum(value * (1.0 + value * 0.16) / (1.0 + value), 0.0))
        mean = (value[0::2, 0::2] + value[0::2, 1::2]) + (value[1::2, 0::2] + value[1::2, 1::2])
        mean = mean * 0.25
        y, x = np.indices((HEIGHT, WIDTH), dtype=np.float32)
        grain = cells(x + 61 * i, y, lens.seed + i) + cells(x, y + 83 * i, lens.seed + 7 + i) - 1.0
        mean = mean + grain * (0.014 + 0.022 * light.night)
        image[..., i] = np.rint(np.clip(mean, 0.0, 1.0) * 255.0).astype(np.uint8)
    return image


def labels(canvas: Canvas) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Majority label of the four samples of each pixel: semantic and instance [128, 256]."""
    key = canvas.semantic.astype(np.int32) * 65536 + canvas.instance
    four = np.sort(np.stack([key[i::2, j::2] for i in (0, 1) for j in (0, 1)]), axis=0)
    best = np.where(four[2] == four[3], four[2], four[0])
    best = np.where(four[0] == four[1], four[0], best)
    best = np.where(four[1] == four[2], four[1], best)
    return (best // 65536).astype(np.uint8), (best % 65536).astype(np.uint16)


def _fogged(canvas: Canvas, light: Light) -> Array:
    reach = canvas.depth * np.float32(light.fog)
    haze = 1.0 - 1.0 / (1.0 + reach * (1.0 + 0.7 * reach))
    thick = min(1.0, max(0.0, light.fog * 40.0 - 0.4))
    rise = np.maximum(canvas.rays[1], 0.0)
    sky = canvas.semantic == SKY
    haze[sky] = (thick / (1.0 + 3.0 * rise))[sky]
    return np.stack(
        [canvas.colour[i] + (0.9 * light.horizon[i] - canvas.colour[i]) * haze for i in range(3)]
    )


def _reflected(canvas: Canvas, colour: Array) -> Array:
    """Mirror the picture above the horizon in the glossy samples below it."""
    rows, cols = np.nonzero(canvas.gloss > 0.02)
    if rows.size == 0:
        return colour
    cos, sin = rotation(canvas.camera.pitch)
    horizon = (HEIGHT / 2 + canvas.camera.focal * sin / cos) * SCALE
    depth = np.minimum(canvas.depth[rows, cols], FAR)
    x = canvas.rays[0][rows, cols] * depth
    ripple = value_noise(x * 3.0, depth * 1.2, 41) - 0.5
    grain = cells(cols.astype(np.float32), rows.astype(np.float32), 43) - 0.5
    mirrored = np.clip(2 * horizon - rows + (16 * ripple + 10 * grain), 0, horizon)
    source_rows = np.clip(mirrored, 0, HEIGHT * SCALE - 1).astype(np.int32)
    shift = np.rint(3 * ripple).astype(np.int32)
    source_cols = np.clip(cols + shift, 0, WIDTH * SCALE - 1)
    gloss = canvas.gloss[rows, cols]
    grazing = 1.0 / (1.0 + np.maximum(-canvas.rays[1][rows, cols], 0.0) * 2.2)
    weight = gloss * grazing
    out = colour.copy()
    for i in range(3):
        mirror = np.minimum(colour[i][source_rows, source_cols], 2.0)
        out[i][rows, cols] += (mirror - out[i][rows, cols]) * weight
    return out


def _halos(canvas: Canvas, light: Light) -> Array:
    """Soft glow around the lamps, in the lens and in the moist air."""
    shape = canvas.depth.shape
    glow = np.zeros(shape, np.float32)
    rows = np.arange(shape[0], dtype=np.float32)[:, None] / SCALE
    cols = np.arange(shape[1], dtype=np.float32)[None, :] / SCALE
    for lamp in light.lamps:
        col, row, depth = canvas.camera.project(lamp)
        if depth < 2.0:
            continue
        size = 18.0 / depth
        dx, dy = (cols - col) * (1 / (4 + 3 * size)), (rows - row) * (1 / (4 + 3 * size))
        square = dx * dx + dy * dy
        glow += 0.22 * light.night / (1.0 + square * (1.0 + square))
    return np.stack([glow * np.float32(tone) for tone in (1.0, 0.78, 0.45)])
