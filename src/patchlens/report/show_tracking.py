"""The animation of `patchlens show tracking`: a sequence with its linked ids drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from patchlens import paths
from patchlens.datasets.index import Index, read_ids
from patchlens.datasets.tracks import read_tracks
from patchlens.errors import DataError, SettingsError
from patchlens.files import whole_file
from patchlens.names import nearest
from patchlens.report.track_files import TrackFiles
from patchlens.settings.datasets import Dataset

# Okabe and Ito's colours, told apart with every colour vision; the number says which id it is.
ORANGE, SKY_BLUE, GREEN, YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)
BLUE, VERMILION, PURPLE, WHITE = (0, 114, 178), (213, 94, 0), (204, 121, 167), (255, 255, 255)
COLOURS = (ORANGE, SKY_BLUE, GREEN, YELLOW, BLUE, VERMILION, PURPLE, WHITE)
GREYS = 24  # of the picture below: colour is the ids'
FRAMES, MILLISECONDS = 40, 150
WIDTHS = (512, 400, 320, 256, 200, 160)  # the widest whose file is small enough
LARGEST = 1_000_000  # bytes
FONT = Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans-Bold.ttf")


@dataclass(frozen=True)
class Mark:
    """An object in a frame: its id, its box in pixels, or its mask [H, W]."""

    track: int
    box: tuple[float, float, float, float]
    mask: np.ndarray | None = None


def write(
    name: str,
    model: str,
    dataset: Dataset,
    sequence: str,
    variant: str = "raw",
    path: Path | None = None,
) -> Path:
    """Draw the tracks of a sequence that the tracking stage wrote, as a GIF below 1 MB.

    Args:
        name: of the dataset, one of `tracking.datasets`.
        model: a slot of `models`.
        dataset: its settings.
        sequence: a sequence of its query.
        variant: the feature variant whose tracks are drawn.
        path: of the GIF; None: reports/tracking/<dataset>-<model>-<sequence>.gif.

    Returns:
        The file.

    Raises:
        SettingsError: no such sequence.
        DataError: no tracks of it: the stage did not run.
    """
    index = Index(paths.index(name), paths.images(name, dataset))
    images = index.images.loc[index.query["image_id"]].sort_values("frame")
    known = [str(s) for s in images["sequence"].dropna().unique()]
    if sequence not in known:
        raise SettingsError(f"unknown sequence '{sequence}' of {name}; {nearest(sequence, known)}")
    ids = list(images.index[images["sequence"] == sequence])
    folder = paths.tracks(name, model) / variant
    if not folder.is_dir():
        raise DataError(f"{folder}: no tracks here; run `dvc repro tracking` first")
    marks = _marks(index, dataset.kind, sequence, ids, folder)
    shown = ids[:: -(-len(ids) // FRAMES)]
    file = f"{name}-{model}-{sequence.replace('/', '_')}.gif"
    out = path or paths.REPORTS / "tracking" / file
    with whole_file(out) as partial:
        animation([(index.image(i), marks.get(i, [])) for i in shown], partial)
    return out


def animation(frames: Sequence[tuple[Image.Image, Sequence[Mark]]], path: Path) -> None:
    """Write frames with their marks as a GIF, as wide as 1 MB allows."""
    for width in WIDTHS:
        pictures = [_picture(image, marks, width) for image, marks in frames]
        first, *rest = pictures
        first.save(
            path,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=MILLISECONDS,
            loop=0,
            optimize=False,
        )
        if path.stat().st_size <= LARGEST:
            return


def _marks(
    index: Index, kind: str, sequence: str, ids: Sequence[str], folder: Path
) -> Mapping[str, Sequence[Mark]]:
    """Image id -> what is drawn in it."""
    if (folder / "davis").is_dir():
        masks = folder / "davis" / sequence
        return {i: list(_masked(masks / f"{Path(i).name}.png")) for i in ids}
    files = TrackFiles(index, kind, {sequence: list(ids)})
    lines = read_tracks(folder / "mot" / f"{files.stem(sequence)}.txt")
    numbers = index.images.loc[list(ids), "frame"]
    return {
        i: [Mark(line.track, line.box) for line in lines.get(int(number) + files.shift, ())]
        for i, number in zip(ids, numbers, strict=True)
    }


def _masked(path: Path) -> Iterator[Mark]:
    values = read_ids(path)
    for value in np.unique(values[values > 0]):
        mask = values == value
        y, x = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        yield Mark(int(value), (x[0], y[0], x[-1] + 1, y[-1] + 1), mask)


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
    picture.putpalette([*greys, *(value for colour in COLOURS for value in colour)])
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1"  # smooth edges would need colours between
    font = ImageFont.truetype(str(FONT), 10)
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
    return GREYS + (track - 1) % len(COLOURS)
