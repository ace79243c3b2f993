"""`patchlens show identification`: one patch of a query image in all its degraded copies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from patchlens.arrays import Ints
from patchlens.datasets.index import Index
from patchlens.display.sheet import PLAIN, RIGHT, WRONG, Box, Look, Tile, sheet
from patchlens.features.cell import Cell
from patchlens.features.device import resolve
from patchlens.features.store import FeatureFile, Header
from patchlens.features.variants import Transform
from patchlens.files import whole_file
from patchlens.settings.base import Distance
from patchlens.settings.features import Device
from patchlens.tasks.identification.copies import Copy, copies
from patchlens.tasks.identification.heads import block_targets
from patchlens.tasks.identification.run import open_degraded
from patchlens.tasks.identification.settings import Identification
from patchlens.tasks.knn import search

SUFFIX = "png"
CONTEXT = 2.5  # patches shown to each side of the centre of the patch
NOWHERE = -1  # the patch is not completely inside the copy


@dataclass(frozen=True)
class Asked:
    """One patch in all degraded copies of its image; the same for all models with the same grid.

    Attributes:
        copies: of the first degraded image, mildest first.
        patch: the index of the patch in the clean image, in reading order.
        places: the index of the query patch in each copy, or `NOWHERE`.
    """

    copies: list[Copy]
    patch: int
    places: list[int]


def run(path: Path, cell: Cell) -> None:
    """Draw the sheet of the first degraded image, with raw features, to the PNG `path`."""
    given, device = cell.settings.section(Identification), cell.settings.device
    index, clean, degraded = cell.index, cell.query, open_degraded(cell)
    asked = ask(index, clean.header, given)
    found = nearest(asked, clean, degraded, lambda x: x, given.distance, device)
    ids, grid, first = clean.header.image_ids, clean.header.grid, asked.copies[0].image_id
    rows: dict[str, list[Tile | str]] = {}
    for copy, place, (row, patch, right) in zip(asked.copies, asked.places, found, strict=True):
        true = _tile(
            index.image(first), asked.patch, grid, PLAIN, f"{copy.degradation}\ntrue place"
        )
        shown, severity = rows.setdefault(copy.degradation, [true]), f"{copy.severity:g}"
        if place == NOWHERE:
            shown += [f"{severity}\nnot in the copy", ""]
            continue
        pixels = copy.of(index.image(copy.image_id), given.seed)
        look, word = (RIGHT, "right") if right else (WRONG, "wrong")
        shown.append(_tile(pixels, place, grid, PLAIN, f"{severity}\nquery"))
        shown.append(_tile(index.image(ids[row]), patch, grid, look, f"found\n{word}"))
    title = f"{cell.model} on {cell.dataset}, raw features: patch {asked.patch} of {first}"
    with whole_file(path) as partial:
        sheet(title, list(rows.values()), partial)


def ask(index: Index, header: Header, settings: Identification) -> Asked:
    """Choose the patch: the first, in a seeded order, that is a query in the most copies."""
    listed = copies(header.image_ids, settings)
    listed = [copy for copy in listed if copy.image_id == listed[0].image_id]
    sides: Any = index.images.loc[listed[0].image_id, ["height", "width"]]
    size = (int(sides.iloc[0]), int(sides.iloc[1]))
    targets = np.stack(
        [block_targets(copy.to_clean(size), size, header.grid, 1) for copy in listed]
    )
    patch = _patch(targets, listed[0].generator("shown", settings.seed))
    places = [int(np.append(np.flatnonzero(target == patch), NOWHERE)[0]) for target in targets]
    return Asked(listed, patch, places)


def nearest(
    asked: Asked,
    clean: FeatureFile,
    degraded: FeatureFile,
    transform: Transform,
    distance: Distance,
    device: Device,
) -> list[tuple[int, int, bool]]:
    """The nearest clean patch of each copy's patch: row of its image, its index, whether correct.

    The result for a copy whose place is `NOWHERE` is meaningless.
    """
    header, ids = clean.header, clean.header.image_ids
    bank = transform(clean.images(ids, header.layers[0]).reshape(-1, header.width))
    maps = degraded.images([copy.copy_id for copy in asked.copies], header.layers[0])
    rows = np.arange(len(asked.copies))
    queries = transform(maps.reshape(len(rows), -1, maps.shape[-1])[rows, asked.places])
    _, found = search(bank, queries, 1, distance=distance, device=resolve(device))
    patches = header.grid[0] * header.grid[1]
    true = (ids.index(asked.copies[0].image_id), asked.patch)
    places = [divmod(int(row), patches) for row in found[:, 0]]
    return [(*place, place == true) for place in places]


def _patch(targets: Ints, generator: np.random.Generator) -> int:
    """The clean patch that is a target of the most copies; the first of these in a random order."""
    order = generator.permutation(targets.shape[1])
    hits = np.array([(targets == patch).any(axis=1).sum() for patch in order])
    return int(order[hits.argmax()])


def _tile(image: Image.Image, patch: int, grid: tuple[int, int], look: Look, label: str) -> Tile:
    """A patch and its surroundings."""
    x0, y0, x1, y1 = box = patch_box(patch, (image.height, image.width), grid)
    x, y, across, down = (x0 + x1) / 2, (y0 + y1) / 2, CONTEXT * (x1 - x0), CONTEXT * (y1 - y0)
    return Tile(image, box, (x - across, y - down, x + across, y + down), look, label)


def patch_box(patch: int, size: tuple[int, int], grid: tuple[int, int]) -> Box:
    """The box of a patch, by its index in reading order; `size` is the image's height and width."""
    row, column = divmod(patch, grid[1])
    height, width = size[0] / grid[0], size[1] / grid[1]
    return column * width, row * height, (column + 1) * width, (row + 1) * height
