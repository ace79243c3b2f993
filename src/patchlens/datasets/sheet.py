"""The contact sheet of a dataset: images with their class masks and objects."""

import colorsys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.datasets.support import hash_order
from patchlens.lettering import put, text

TILES, COLUMNS = 12, 3
PANEL = 300, 220  # pixels: the maximum size of a picture
GAP, LINE = 14, 18  # pixels between tiles, and of a line of text
BACKGROUND, INK, FAINT = (255, 255, 255), "#141414", "#787878"
GREY = (160, 160, 160)  # of boxes that are not evaluated
LEGEND = 40  # classes to name
Colour = tuple[int, int, int]


def contact_sheet(index: Index, title: str) -> Image.Image:
    """Up to 12 images in hash order, some of every split, those with labels first.

    An image with a mask is shown with and without it; ignored pixels are white. Boxes have the
    colour of their class, lighter than its mask, or are grey if not evaluated.
    """
    colours = palette(index)
    shown = _chosen(index)
    mine = index.objects[index.objects["image_id"].isin(shown)]
    objects = {str(image_id): rows for image_id, rows in mine.groupby("image_id")}
    present = set[int]()
    tiles = []
    for image_id in shown:
        tile, classes = _tile(index, image_id, objects.get(image_id, mine.iloc[:0]), colours)
        tiles.append(tile)
        present |= classes
    legend = [(index.classes[c], colours[c]) for c in sorted(present - {IGNORE})][:LEGEND]
    if IGNORE in present:
        legend.append(("(ignored)", BACKGROUND))
    if any(not rows["evaluated"].all() for rows in objects.values()):
        legend.append(("(not evaluated)", GREY))
    return _page(title, tiles, legend)


def palette(index: Index) -> list[Colour]:
    """RGB of each class: that of the dataset, or distinct hues."""
    if index.palette:
        return [(c[0], c[1], c[2]) for c in index.palette]
    hues = [(0.02 + c * 0.61803398875) % 1 for c in range(len(index.classes))]
    rgb = [colorsys.hsv_to_rgb(h, 0.65 + 0.3 * (c % 2), 0.95) for c, h in enumerate(hues)]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rgb]


def _chosen(index: Index) -> list[str]:
    """Image ids: from every split in turn, and from every sequence before one repeats."""
    labelled = set(index.images.index[index.images["mask"].notna()])
    labelled |= set(index.objects["image_id"])
    queues = []
    for _, rows in index.images.groupby("split", sort=False):
        order, seen, ranks = hash_order(rows.index, 0), Counter[str](), {}
        sequences = rows["sequence"].dropna().to_dict()
        for image_id in order:
            sequence = sequences.get(image_id, image_id)
            ranks[image_id] = image_id not in labelled, seen[sequence]
            seen[sequence] += 1
        queues.append(sorted(order, key=ranks.__getitem__))
    turns = [queue[turn] for turn in range(TILES) for queue in queues if turn < len(queue)]
    return turns[:TILES]


def _tile(
    index: Index, image_id: str, objects: pd.DataFrame, colours: Sequence[Colour]
) -> tuple[Image.Image, set[int]]:
    """An image with its labels and a caption below, and the classes that occur in it."""
    image = index.image(image_id)
    scale = min(PANEL[0] / image.width, PANEL[1] / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    panels, classes = [image.resize(size, Image.Resampling.LANCZOS)], set[int]()
    mask_path: Any = index.images.at[image_id, "mask"]
    split: Any = index.images.at[image_id, "split"]
    if not pd.isna(mask_path):
        mask = index.mask(image_id)
        classes = {int(c) for c in np.unique(mask)}
        panels.append(_painted(panels[0], mask, colours))
    _draw_objects(panels[-1], objects, colours, scale, lighter=len(panels) > 1)
    classes |= set(objects[objects["evaluated"]]["class_id"])
    width = max(sum(p.width for p in panels) + 2 * (len(panels) - 1), PANEL[0])
    tile = Image.new("RGB", (width, size[1] + 2 * LINE), BACKGROUND)
    x = 0
    for panel in panels:
        tile.paste(panel, (x, 0))
        x += panel.width + 2
    counted = f", objects: {len(objects)}" if len(objects) else ""
    put(tile, (0, size[1] + 2), _short(image_id, width), 12, INK)
    about = f"{split}, {image.width}×{image.height}{counted}"
    put(tile, (0, size[1] + LINE), about, 11, FAINT)
    return tile, classes


def _painted(image: Image.Image, mask: Any, colours: Sequence[Colour]) -> Image.Image:
    table = np.full((IGNORE + 1, 3), BACKGROUND, np.uint8)
    table[: len(colours)] = colours
    paint = Image.fromarray(table[mask]).resize(image.size, Image.Resampling.NEAREST)
    return Image.blend(image, paint, 0.65)


def _draw_objects(
    image: Image.Image,
    objects: pd.DataFrame,
    colours: Sequence[Colour],
    scale: float,
    *,
    lighter: bool,
) -> None:
    draw = ImageDraw.Draw(image)
    for row in objects.to_dict("records"):
        colour: Colour = colours[row["class_id"]] if row["evaluated"] else GREY
        outline = tuple((channel + 255) // 2 for channel in colour) if lighter else colour
        if row["polygon"] is not None:
            draw.polygon([edge * scale for edge in row["polygon"]], outline=outline)
            continue
        x0, y0, x1, y1 = (row[edge] * scale for edge in ("x0", "y0", "x1", "y1"))
        if x1 > x0 and y1 > y0:
            draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=outline, width=2)


def _page(
    title: str, tiles: Sequence[Image.Image], legend: Sequence[tuple[str, Colour]]
) -> Image.Image:
    rows = [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]
    widest = max(tile.width for tile in tiles)
    columns = min(COLUMNS, len(tiles))
    width = columns * widest + (columns + 1) * GAP
    heights = [max(tile.height for tile in row) for row in rows]
    places, below = _legend_places(legend, width)
    top = GAP + 24 + below + GAP
    page = Image.new("RGB", (width, top + sum(heights) + GAP * len(rows)), BACKGROUND)
    draw = ImageDraw.Draw(page)
    put(page, (GAP, GAP), title, 16, INK)
    for (name, colour), (x, y) in zip(legend, places, strict=True):
        y += GAP + 24
        draw.rectangle((x, y + 3, x + 12, y + 15), fill=colour, outline=FAINT)
        put(page, (x + 18, y + 1), name, 12, INK)
    y = top
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            page.paste(tile, (GAP + column * (widest + GAP), y))
        y += height + GAP
    return page


def _legend_places(
    legend: Sequence[tuple[str, Colour]], width: int
) -> tuple[list[tuple[int, int]], int]:
    """Top left corners of the entries, broken into lines, and the height of all lines."""
    places, x, y = [], GAP, 0
    for name, _ in legend:
        needed = 18 + text(name, 12).width + 16
        if x + needed > width - GAP and x > GAP:
            x, y = GAP, y + LINE
        places.append((x, y))
        x += needed
    return places, y + LINE if legend else 0


def _short(words: str, width: int) -> str:
    """The end of the words, as much of it as fits."""
    while len(words) > 4 and (needed := text(words, 12).width) > width:
        words = f"…{words[-(min(len(words) * width // needed, len(words) - 1) - 1) :]}"
    return words
