"""A dataset whose objects and features the test gives, written as index and features."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.sparse import csr_array

from patchlens import paths
from patchlens.datasets import tables
from patchlens.datasets.index import Index
from patchlens.features.store import Header, write
from patchlens.settings.datasets import Collected, Query, Support, View
from patchlens.tasks.objects import Objects

SIZE = (32, 48)  # pixels of an image; patches are 8 pixels, the grid is 4 × 6
GRID = (4, 6)
CLASSES = ["car", "person"]


def image(image_id: str, *objects: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An image and its objects; a mask is an object's `mask` [32, 48]."""
    about = {"split": "query", "path": f"{image_id}.png", "height": SIZE[0], "width": SIZE[1]}
    return {"image_id": image_id, **about, **fields, "objects": objects}


def box(instance: int, *corners: float, **fields: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = corners
    inside = np.clip([x0, y0, x1, y1], 0, [SIZE[1], SIZE[0]] * 2)
    area = np.prod(np.maximum(inside[2:] - inside[:2], 0))
    about = {"class_id": 0, "fine_class": "", "area": area, "evaluated": True}
    return about | {"instance": instance, "x0": x0, "y0": y0, "x1": x1, "y1": y1} | fields


def write_index(root: Path, images: list[dict[str, Any]], support: list[str], **more: Any) -> Index:
    """Index `d` under `root`/data; every image that is no support is a query."""
    folder = root / paths.index("d")
    folder.mkdir(parents=True)
    objects = []
    for entry in images:
        masked = [o for o in entry["objects"] if "mask" in o]
        if masked:
            mask = np.zeros(SIZE, np.uint8)
            for o in masked:
                mask[o["mask"]] = o["mask_value"] = o["instance"]
                o["area"] = int(o["mask"].sum())
            entry["instances"] = f"{entry['image_id']}.instances.png"
            Image.fromarray(mask).save(root / entry["instances"])
        objects += [{"image_id": entry["image_id"]} | o for o in entry["objects"]]
        rng = np.random.default_rng(len(objects))
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(root / entry["path"])
    pq.write_table(pa.Table.from_pylist(images, tables.IMAGES), folder / "images.parquet")
    pq.write_table(pa.Table.from_pylist(objects, tables.OBJECTS), folder / "objects.parquet")
    query = [entry["image_id"] for entry in images if entry["image_id"] not in support]
    pd.DataFrame({"image_id": query, "unit": query}).to_parquet(folder / "query.parquet")
    if support:
        chosen = {"seed": 0, "pool": "all", "rank": range(len(support)), "image_id": support}
        pd.DataFrame(chosen).to_parquet(folder / "support.parquet")
    if "relevance" in more:
        graded = pd.DataFrame(more["relevance"], columns=["query_id", "image_id", "grade"])
        graded.to_parquet(folder / "relevance.parquet")
    about = {"reader": "folder", "classes": CLASSES, "labels": {}, "palette": [], "pixels": {}}
    (folder / "dataset.json").write_text(json.dumps(about))
    return Index(folder, root)


def write_features(split: str, ids: list[str], values: np.ndarray, model: str = "m") -> None:
    """A feature file [n, h, w, D] of dataset `d`, in the working folder."""
    grid, width = values.shape[1:3], values.shape[3]
    header = Header("d", split, model, "0" * 64, ids, grid, width, [0], True, "float32", "whole", 8)
    part = Path("part")
    part.write_bytes(values.astype(np.float32).tobytes())
    write(header, {0: [part]}, paths.features(dataset="d", model=model) / f"{split}.safetensors")


def objects(instance: Sequence[int], **fields: Any) -> Objects:
    """Objects that are had without images, each in an image of its own unless `fields` says so."""
    count = len(instance)
    row = fields.get("row", range(count))
    one, zeros = np.ones(count), np.zeros(count, np.int64)
    about = {"class_id": zeros, "fine_class": zeros, "frame": zeros, "number": range(count)}
    about |= {"evaluated": one > 0, "size": one, "box": np.zeros((count, 4)), "sequence": row}
    about |= {"row": row, "instance": instance} | fields
    weights = csr_array(about.pop("weights", (count, 1)), dtype=np.float32)
    return Objects(**{name: np.asarray(value) for name, value in about.items()}, weights=weights)


def dataset(root: Path, *, support: bool) -> Collected:
    return Collected(
        kind="folder",
        root=str(root),
        view=View(mode="whole", grid="equal", patches=list(GRID)),
        support=Support(split="train", images="all", per="total", seeds=[0]) if support else None,
        query=Query(split="query", images="all", per="total", unit="image"),
    )
