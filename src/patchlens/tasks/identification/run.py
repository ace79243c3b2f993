"""T2 of a cell."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, cast

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.arrays import Bools, Ints
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SettingsError
from patchlens.features.cell import Cell, ReadImages
from patchlens.features.device import resolve
from patchlens.features.store import FeatureFile
from patchlens.progress import log, track
from patchlens.tasks.annotated import objects_of
from patchlens.tasks.identification import summary
from patchlens.tasks.identification.copies import Copy
from patchlens.tasks.identification.copies import copies as copies_of
from patchlens.tasks.identification.heads import Head, object_head, patch_head
from patchlens.tasks.identification.metrics import weighted
from patchlens.tasks.identification.search import hits
from patchlens.tasks.identification.settings import Identification
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.result import Result


def run(cell: Cell) -> Result:
    """Score every head, with a curve over the severity of each degradation."""
    asked = cell.settings.section(Identification)
    fitted, degraded = cell.fit(), open_degraded(cell)
    ids, grid = cell.query.header.image_ids, cell.query.header.grid
    copies = copies_of(ids, asked)
    heads = heads_of(cell.index, ids, copies, grid, asked)
    queries = _reader(degraded, [copy.copy_id for copy in copies])
    where = resolve(cell.settings.device)
    parts = []
    runs = [(v, draw, one) for v, of in fitted.transforms.items() for draw, one in enumerate(of)]
    shown = track(runs, total=len(runs), what=f"identification {cell}", unit="variant")
    for variant, draw, transform in shown:
        found = hits(heads, cell.read_query(ids), queries, transform, asked.distance, where)
        for head, of_head in zip(heads, found, strict=True):
            parts.append(summary.records(head, variant, draw, of_head, copies))
    records = pd.concat(parts, ignore_index=True)
    resampler = SharedResampler.of(cell.settings.uncertainty)
    metrics: dict[str, Any] = scored(partial(weighted, index=cell.index), records, resampler)
    gallery = {head.name: len(head.labels) for head in heads}
    asked_of = records[records["draw"] == 0].groupby(["head", "variant"])["queries"].sum()
    for key, number in asked_of.items():
        name, of_variant = cast("tuple[str, str]", key)
        metrics[name][of_variant] |= {"queries": int(number), "gallery": gallery[name]}
    about = {
        "distance": asked.distance,
        "unit": "source image",
        "degraded_images": len({copy.image_id for copy in copies}),
        "copies": len(copies),
        "patches": asked.patches,
        "seed": asked.seed,
    }
    conditions = list(dict.fromkeys((copy.degradation, copy.severity) for copy in copies))
    curves = summary.curves(records, gallery, conditions, resampler)
    records = records.sort_values(summary.KEYS, kind="stable", ignore_index=True)
    names = ["head", "variant", "unit", "degradation", "size"]
    records = records.astype(dict.fromkeys(names, "category"))
    fits = len(fitted.transforms)
    log.info("%s: %d variants of %d copies scored", cell, fits, len(copies))
    return Result(metrics, fitted.protocol() | about, {"": curves}, records)


def heads_of(
    index: Index,
    ids: Sequence[str],
    copies: Sequence[Copy],
    grid: tuple[int, int],
    settings: Identification,
) -> list[Head]:
    """The heads that have queries: patches of every granularity, and objects if there are any.

    Raises:
        SettingsError: no head has a query, or a granularity exceeds the grid.
    """
    row_of = {image_id: row for row, image_id in enumerate(ids)}
    rows = np.array([row_of[copy.image_id] for copy in copies])
    shape = index.images.loc[list(ids), ["height", "width"]].astype(int)
    sizes = list(shape.itertuples(index=False, name=None))
    if problem := settings.too_coarse(grid):
        raise SettingsError(f"params.yaml: {problem}")
    heads = [
        patch_head(copies, rows, sizes, grid, g, settings.patches, settings.seed)
        for g in settings.granularities
    ]
    objects = objects_of(index, ids, grid)
    objects = objects.take(objects.evaluated & (objects.size > 0))

    @lru_cache(maxsize=1)  # the copies of an image follow one another
    def areas(row: int) -> Bools:
        return object_areas(index, ids[row], objects.number[objects.row == row])

    heads.append(object_head(copies, rows, sizes, grid, objects, areas))
    asked = [head for head in heads if len(head.targets)]
    if not asked:
        raise SettingsError(
            "params.yaml: identification.degradations: no patch of any copy is completely inside "
            "its clean image; lower the severities"
        )
    return asked


def object_areas(index: Index, image_id: str, numbers: Ints) -> Bools:
    """Areas [O, H, W] of the objects `numbers` of an image: their masks, else their boxes."""
    table = index.objects.loc[numbers]
    size: Any = index.images.loc[image_id, ["height", "width"]]
    height, width = (int(n) for n in size)
    masked = table["mask_value"].notna().to_numpy()
    mask = index.instance_mask(image_id) if masked.any() else None
    values = table["mask_value"].to_numpy()
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    areas = np.zeros((len(table), height, width), dtype=bool)
    boxes = table[["x0", "y0", "x1", "y1"]].to_numpy(dtype=np.float64)
    for o, (x0, y0, x1, y1) in enumerate(boxes):
        if masked[o] and mask is not None:
            areas[o] = mask == values[o]
        else:
            areas[o] = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
    return areas


def open_degraded(cell: Cell) -> FeatureFile:
    """The features of the degraded copies.

    Raises:
        DataError: they are missing, or model, view or layers differ from those of the query.
    """
    file = cell.degraded
    ours, theirs = file.header.protocol(), cell.query.header.protocol()
    for field, here in ours.items():
        there = theirs[field]
        if here != there:
            path = paths.degraded(dataset=cell.dataset, model=cell.model)
            raise DataError(
                f"{path}: its {field} is {here}, but that of the clean images is {there}; "
                "run `dvc repro degrade`"
            )
    return file


def _reader(file: FeatureFile, ids: Sequence[str]) -> ReadImages:
    layer = file.header.layers[0]
    return lambda rows: file.images(ids[rows.start : rows.stop], layer)
