"""The animation of `patchlens show tracking`: a sequence with the linked ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito's colour-blind-safe colours; the number identifies the track.
ORANGE, SKY_BLUE, GREEN, YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
BLUE, VERMILION, PURPLE, WHITE = (0, 114, 178), (213, 94, 0), (204, 121, 167), (255, 255, 255)
TRACK_COLOURS = (ORANGE, SKY_BLUE, GREEN, YELLOW, BLUE, VERMILION, PURPLE, WHITE)
GREYS = 24  # shades of the image; colours are for the ids
MILLISECONDS = 150  # per frame
WIDTHS = (512, 400, 320, 256, 200, 160)  # the widest whose file is small enough
LARGEST = 1_000_000  # bytes


@dataclass(frozen=True)
class Mark:
    """An object in a frame: its id, and its box in pixels or its mask [H, W]."""

    track: int
    box: tuple[float, float, float, float]
    mask: np.ndarray | None = None


def animation(frames: Sequence[tuple[Image.Image, Sequence[Mark]]], path: Path) -> None:
    """Write frames with their marks as a GIF, as wide as possible within 1 MB.

    If even the narrowest is larger, every second frame is dropped until the file fits.
    """
    for width in WIDTHS:
        _write(frames, width, path)
        if path.stat().st_size <= LARGEST:
            return
    while len(frames) > 1 and path.stat().st_size > LARGEST:
        frames = frames[::2]
        _write(frames, WIDTHS[-1], path)


def _write(frames: Sequence[tuple[Image.Image, Sequence[Mark]]], width: int, path: Path) -> None:
    first, *rest = [_picture(image, marks, width) for image, marks in frames]
    first.save(
        path,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=MILLISECONDS,
        loop=0,
        optimize=False,
    )


def _picture(image: Image.Image, marks: Sequence[Mark], width: int) -> Image.Image:
    """A grey picture with a palette, so that the colours of the ids stay exact."""
    scale = width / image.width
    size = width, round(image.height * scale)
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR))
    pixels = (grey.astype(np.int64) * GREYS // 256).astype(np.uint8)
    for mark in marks:
        if mark.mask is not None:
            shape = Image.fromarray(mark.mask).resize(size, Image.Resampling.NEAREST)
            # Every second pixel: what is below stays visible.
            checks = np.add.outer(np.arange(size[1]), np.arange(size[0])) % 2 == 0
            pixels[np.asarray(shape) & checks] = _colour(mark.track)
    picture = Image.fromarray(pixels)
    greys = [round(i * 255 / (GREYS - 1)) for i in range(GREYS) for _ in range(3)]
    picture.putpalette([*greys, *(value for colour in TRACK_COLOURS for value in colour)])
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1"  # smooth edges would need colours between
    font = ImageFont.load_default(11)
    for mark in marks:
        x0, y0, x1, y1 = (v * scale for v in mark.box)
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=_colour(mark.track))
    for mark in marks:
        x, y = mark.box[0] * scale, mark.box[1] * scale
        text = str(mark.track)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        x = min(max(x, 0), size[0] - (right - left) - 2)
        y = max(y - (bottom - top) - 3, 0)
        box = (x, y, x + right - left + 1, y + bottom - top + 2)
        draw.rectangle(box, fill=_colour(mark.track))
        draw.text((x + 1 - left, y + 1 - top), text, font=font, fill=0)
    return picture


def _colour(track: int) -> int:
    """The palette index of an id: the same in every frame and video."""
    return GREYS + (track - 1) % len(TRACK_COLOURS)
