"""Stage identification: T2 of one model on one dataset."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.degrade import Copy
from patchlens.datasets.degrade import copies as copies_of
from patchlens.datasets.index import Index
from patchlens.errors import DataError, SettingsError
from patchlens.features.device import resolve
from patchlens.features.store import FeatureFile
from patchlens.files import existing, write_csv, write_json, write_parquet
from patchlens.names import DatasetName, ModelName
from patchlens.progress import log, track
from patchlens.settings.identification import Identification
from patchlens.settings.segmentation import Uncertainty
from patchlens.stages.fitted import open_fitted, protocol
from patchlens.stages.objects import objects_of
from patchlens.tasks import identification_summary as summary
from patchlens.tasks.identification import ReadPatches, hits
from patchlens.tasks.identification_heads import Head, object_head, patch_head
from patchlens.tasks.weighted import scored

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> None:
    """Write the cell, the curves and the records of T2."""
    asked = settings.identification
    fitted = open_fitted(dataset=dataset, model=model, settings=settings)
    degraded = open_degraded(fitted.query, dataset=dataset, model=model)
    ids = fitted.query.header.image_ids
    copies = copies_of(ids, asked)
    heads = heads_of(fitted.index, ids, copies, fitted.query.header.grid, asked)
    clean = _reader(fitted.query, ids)
    queries = _reader(degraded, [copy.copy_id for copy in copies])
    where = resolve(settings.device)
    parts = []
    runs = [(v, draw, one) for v, of in fitted.transforms.items() for draw, one in enumerate(of)]
    shown = track(runs, total=len(runs), what=f"identification {model} × {dataset}", unit="variant")
    for variant, draw, transform in shown:
        found = hits(heads, clean, queries, transform, asked.distance, where)
        for head, of_head in zip(heads, found, strict=True):
            parts.append(summary.records(head, variant, draw, of_head, copies))
    about = protocol(fitted, dataset=dataset, settings=settings) | {
        "distance": asked.distance,
        "unit": "source image",
        "degraded_images": len({copy.image_id for copy in copies}),
        "copies": len(copies),
        "patches": asked.patches,
        "seed": asked.seed,
    }
    out, table = paths.cell(dataset=dataset, model=model), pd.concat(parts, ignore_index=True)
    _write(out, table, heads, copies, about, settings.uncertainty)
    fits = len(fitted.transforms)
    log.info("%s × %s: %d variants of %d copies scored", model, dataset, fits, len(copies))


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
    def areas(row: int) -> NDArray[np.bool_]:
        return object_areas(index, ids[row], objects.number[objects.row == row])

    heads.append(object_head(copies, rows, sizes, grid, objects, areas))
    asked = [head for head in heads if len(head.targets)]
    if not asked:
        raise SettingsError(
            "params.yaml: identification.degradations: no patch of any copy is completely inside "
            "its clean image; lower the severities"
        )
    return asked


def object_areas(index: Index, image_id: str, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
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


def open_degraded(query: FeatureFile, *, dataset: DatasetName, model: ModelName) -> FeatureFile:
    """The features of the degraded copies.

    Raises:
        DataError: they are missing, or model, view or layers differ from those of `query`.
    """
    path = paths.degraded(dataset=dataset, model=model)
    file = FeatureFile(existing(path, "run `dvc repro degrade`"))
    ours, theirs = file.header.protocol(), query.header.protocol()
    for field, here in ours.items():
        there = theirs[field]
        if here != there:
            raise DataError(
                f"{path}: its {field} is {here}, but that of the clean images is {there}; "
                "run `dvc repro degrade`"
            )
    return file


def _reader(file: FeatureFile, ids: Sequence[str]) -> ReadPatches:
    layer = file.header.layers[0]
    return lambda rows: file.images(ids[rows.start : rows.stop], layer)


def _write(
    out: Path,
    table: pd.DataFrame,
    heads: Sequence[Head],
    copies: Sequence[Copy],
    about: dict[str, Any],
    uncertainty: Uncertainty,
) -> None:
    gallery = {head.name: len(head.labels) for head in heads}
    content: dict[str, Any] = scored(
        summary.weighted, table, uncertainty.resamples, uncertainty.seed
    )
    asked = table[table["draw"] == 0].groupby(["head", "variant"])["queries"].sum()
    for key, queries in asked.items():
        head, variant = cast("tuple[str, str]", key)
        content[head][variant] |= {"queries": int(queries), "gallery": gallery[head]}
    content["protocol"] = about
    conditions = list(dict.fromkeys((copy.degradation, copy.severity) for copy in copies))
    curves = summary.curves(table, gallery, conditions, uncertainty.resamples, uncertainty.seed)
    write_csv(curves, out / "identification.csv")
    table = table.sort_values(summary.KEYS, kind="stable", ignore_index=True)
    names = ["head", "variant", "unit", "degradation", "size"]
    write_parquet(
        table.astype(dict.fromkeys(names, "category")), out / "identification.records.parquet"
    )
    write_json(content, out / "identification.json")
