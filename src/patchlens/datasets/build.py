"""Builds the index of a dataset: reads every file once, checks it, chooses support and query."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from patchlens.datasets.files import md5
from patchlens.datasets.index import present, read_ids, read_image, read_mask
from patchlens.datasets.layout import ImageEntry, Layout
from patchlens.datasets.support import choose, hash_order
from patchlens.errors import DataError, SettingsError
from patchlens.names import nearest
from patchlens.progress import track
from patchlens.settings.datasets import Query, Support

OBJECT_COLUMNS = {
    "image_id": "str",
    "instance": "int64",
    "class_id": "int64",
    "fine_class": "str",
    "x0": "int64",
    "y0": "int64",
    "x1": "int64",
    "y1": "int64",
    "area": "int64",
}


class _Checked(NamedTuple):
    row: dict[str, Any]
    objects: list[tuple[Any, ...]]
    classes: list[int]


def build(
    name: str, layout: Layout, root: Path, support: Support, query: Query, out: Path
) -> pd.DataFrame:
    """Check every image and mask, choose support and query images, write the index into `out`.

    Returns:
        The table of images.

    Raises:
        DataError: a file is missing or broken, a mask has another size than its image or holds an
            unknown id, two images share an id, there is no image at all.
        SettingsError: a split that the settings name does not exist or is too small, or an image
            would be support and query at once.
    """
    if not layout.images:
        raise DataError(f"{root}: its splits list no image")
    rows, objects, classes = [], [], {}
    for entry, checked in zip(layout.images, _check_all(layout, root), strict=True):
        if entry.image_id in classes:
            raise DataError(f"{root / entry.path}: image id '{entry.image_id}' is used twice")
        rows.append(checked.row)
        objects += checked.objects
        classes[entry.image_id] = checked.classes
    images = pd.DataFrame(rows)
    images["frame"] = images["frame"].astype("Int64")
    for split in (support.split, query.split):
        if split not in set(images["split"]):
            raise SettingsError(
                f"params.yaml: datasets.{name}: unknown split '{split}'; "
                f"{nearest(split, set(images['split']))}"
            )
    images.to_parquet(out / "images.parquet", index=False)
    table = pd.DataFrame(objects, columns=list(OBJECT_COLUMNS)).astype(OBJECT_COLUMNS)
    table.to_parquet(out / "objects.parquet", index=False)
    chosen = _support(name, layout, images, classes, support)
    scored = _query(name, images, query)
    if shared := sorted(set(chosen["image_id"]) & set(scored["image_id"])):
        raise SettingsError(
            f"params.yaml: datasets.{name}: image '{shared[0]}' is chosen for support and for "
            f"query ({len(shared)} are); support.split and query.split must not share images"
        )
    chosen.to_parquet(out / "support.parquet", index=False)
    scored.to_parquet(out / "query.parquet", index=False)
    about = {
        "classes": list(layout.classes),
        "labels": {str(value): label for value, label in layout.labels.items()},
        "palette": [list(colour) for colour in layout.palette],
    }
    (out / "dataset.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return images


def _check_all(layout: Layout, root: Path) -> Iterator[_Checked]:
    # Threads are enough: decoding and hashing release the interpreter's lock.
    with ThreadPoolExecutor() as pool:
        checks = pool.map(lambda entry: _check(entry, layout, root), layout.images)
        yield from track(checks, total=len(layout.images), what="index")


def _check(entry: ImageEntry, layout: Layout, root: Path) -> _Checked:
    image, mask_path = root / entry.path, root / entry.mask
    width, height = read_image(image).size
    mask = read_mask(mask_path, dict(layout.labels))
    if mask.shape != (height, width):
        raise DataError(
            f"{mask_path}: is {mask.shape[1]}×{mask.shape[0]}, its image {image.name} is "
            f"{width}×{height}; a mask has the size of its image"
        )
    row = asdict(entry) | {
        "height": height,
        "width": width,
        "image_md5": md5(image),
        "mask_md5": md5(mask_path),
    }
    return _Checked(row, list(_objects(entry, layout, root)), present(mask))


def _objects(entry: ImageEntry, layout: Layout, root: Path) -> Iterator[tuple[Any, ...]]:
    """Image id, instance, class, fine class, box (x1, y1 exclusive), area in pixels."""
    if entry.instances is None:
        return
    path = root / entry.instances
    ids = read_ids(path)
    for instance in np.unique(ids[ids > 0]):
        if int(instance) not in layout.instances:
            raise DataError(f"{path}: holds instance {instance}, which the dataset does not list")
        ys, xs = np.nonzero(ids == instance)
        box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        yield entry.image_id, int(instance), *layout.instances[int(instance)], *box, len(ys)


def _support(
    name: str,
    layout: Layout,
    images: pd.DataFrame,
    classes: dict[str, list[int]],
    support: Support,
) -> pd.DataFrame:
    pool = images[images["split"] == support.split]
    if support.per == "total":
        pools = {"all": list(pool["image_id"])}
    elif support.per == "group":
        pools = {str(g): list(rows["image_id"]) for g, rows in pool.groupby("group")}
    else:
        pools = {
            label: [i for i in pool["image_id"] if c in classes[i]]
            for c, label in enumerate(layout.classes)
        }
    if not pools:
        raise SettingsError(
            f"params.yaml: datasets.{name}.support.per: split '{support.split}' has no groups"
        )
    try:
        return pd.concat([choose(pools, support.images, seed) for seed in support.seeds])
    except ValueError as error:
        raise SettingsError(f"params.yaml: datasets.{name}.support.images: {error}") from None


def _query(name: str, images: pd.DataFrame, query: Query) -> pd.DataFrame:
    rows = images[images["split"] == query.split]
    if query.images != "all":
        if query.per == "group" and rows["group"].isna().any():
            raise SettingsError(
                f"params.yaml: datasets.{name}.query.per: split '{query.split}' has no groups; "
                "use total"
            )
        groups = rows.groupby("group") if query.per == "group" else [("all", rows)]
        chosen: list[str] = []
        for group, members in groups:
            if len(members) < query.images:
                raise SettingsError(
                    f"params.yaml: datasets.{name}.query.images: {query.images} asked for, "
                    f"{len(members)} in '{group}'"
                )
            chosen += hash_order(members["image_id"], 0)[: query.images]
        rows = rows[rows["image_id"].isin(chosen)]
    unit = rows["image_id"] if query.unit == "image" else rows["sequence"]
    if unit.isna().any():
        raise SettingsError(
            f"params.yaml: datasets.{name}.query.unit: split '{query.split}' has no sequences; "
            "use image"
        )
    return pd.DataFrame({"image_id": rows["image_id"], "unit": unit}).reset_index(drop=True)
