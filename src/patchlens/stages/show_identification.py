"""`patchlens show identification`: one patch of a query image in all its degraded copies."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.degrade import Copy, copies
from patchlens.datasets.index import Index
from patchlens.features.device import resolve
from patchlens.features.store import FeatureFile
from patchlens.files import whole_file
from patchlens.report.framed import Box, Place
from patchlens.report.show_identification import Answer, sheet
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device
from patchlens.settings.identification import Identification
from patchlens.stages.identification import open_degraded
from patchlens.tasks.identification_heads import block_targets
from patchlens.tasks.knn import search

Ints = NDArray[np.int64]
NOWHERE = -1  # the patch is not whole in the copy


def run(
    name: str, model: str, dataset: Dataset, settings: Identification, device: Device, path: Path
) -> None:
    """Draw the sheet of the first degraded image, with raw features, to the PNG `path`.

    The patch is the first, in a seeded order, that is a query of the most conditions.
    """
    index = Index(paths.index(name), paths.images(name, dataset))
    clean = FeatureFile(paths.features(name, model) / "query.safetensors")
    degraded = open_degraded(name, model, clean)
    ids, grid, layer = clean.header.image_ids, clean.header.grid, clean.header.layers[0]
    listed = copies(ids, settings)
    first = listed[0].image_id
    listed = [copy for copy in listed if copy.image_id == first]
    image = index.image(first)
    size = (image.height, image.width)
    targets = np.stack([block_targets(copy.to_clean(size), size, grid, 1) for copy in listed])
    patch = _patch(targets, listed[0].generator("shown", settings.seed))
    bank = clean.images(ids, layer).reshape(-1, clean.header.width)
    true = ids.index(first) * grid[0] * grid[1] + patch
    places = [int(np.append(np.flatnonzero(target == patch), NOWHERE)[0]) for target in targets]
    maps = degraded.images([copy.copy_id for copy in listed], layer)
    queries = maps.reshape(len(listed), -1, maps.shape[-1])[np.arange(len(listed)), places]
    _, found = search(bank, queries, 1, distance=settings.distance, device=resolve(device))
    answers = [
        Answer(copy.degradation, copy.severity)
        if place == NOWHERE
        else _answer(index, ids, grid, copy, settings.seed, place, int(row), true)
        for copy, place, row in zip(listed, places, found[:, 0], strict=True)
    ]
    title = f"{model} on {name}, raw features: patch {patch} of {first}"
    with whole_file(path) as partial:
        sheet(title, Place(image, _box(patch, size, grid)), answers, partial)


def _patch(targets: Ints, generator: np.random.Generator) -> int:
    """The clean patch that is a target of the most copies; the first of them in a drawn order."""
    order = generator.permutation(targets.shape[1])
    hits = np.array([(targets == patch).any(axis=1).sum() for patch in order])
    return int(order[hits.argmax()])


def _answer(
    index: Index,
    ids: Sequence[str],
    grid: tuple[int, int],
    copy: Copy,
    seed: int,
    place: int,
    found: int,
    true: int,
) -> Answer:
    pixels = copy.of(index.image(copy.image_id), seed)
    size = (pixels.height, pixels.width)
    row, patch = divmod(found, grid[0] * grid[1])
    other = index.image(ids[row])
    there = Place(other, _box(patch, (other.height, other.width), grid))
    query = Place(pixels, _box(place, size, grid))
    return Answer(copy.degradation, copy.severity, query, there, found == true)


def _box(patch: int, size: tuple[int, int], grid: tuple[int, int]) -> Box:
    row, column = divmod(patch, grid[1])
    height, width = size[0] / grid[0], size[1] / grid[1]
    return column * width, row * height, (column + 1) * width, (row + 1) * height
