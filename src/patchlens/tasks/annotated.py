"""The objects of a dataset's images, in the form that the tasks use."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from patchlens.arrays import Array, Floats, Ints
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.store import Header
from patchlens.tasks.objects import NONE, Objects, as_weights, box_weights, patch_coverage


def objects_of(index: Index, image_ids: Sequence[str], grid: tuple[int, int]) -> Objects:
    """The objects of images, each with the weights of its patches.

    Objects with an instance mask weigh patches by the mask's coverage, all others by RoIAlign over
    the part of their box inside the image. The result includes objects that are not evaluated and
    those completely outside their image (size 0).

    Args:
        index: the dataset.
        image_ids: the images; an object's `row` is a position in it.
        grid: patch rows and columns.
    """
    return _described(index, image_ids, index.objects, grid)


def listed(index: Index, header: Header, where: str) -> tuple[Objects, dict[str, Any]]:
    """The objects of a feature file that query each other, and the numbers of excluded objects.

    Args:
        index: the dataset.
        header: of the query images.
        where: the key in params.yaml that requires objects, for the message.

    Raises:
        SettingsError: the images have no such object.
    """
    everything = objects_of(index, header.image_ids, header.grid)
    evaluated = everything.take(everything.evaluated)
    objects = evaluated.take(evaluated.size > 0)
    if not len(objects):
        raise SettingsError(
            f"params.yaml: {where}: the query images of '{header.dataset}' have no objects; choose "
            "another split in its `query`, or remove it from the list"
        )
    return objects, {
        "gallery": len(objects),
        "objects_outside": len(evaluated) - len(objects),
        "objects_not_evaluated": len(everything) - len(evaluated),
    }


def one_object_per_image(index: Index, image_ids: Sequence[str], grid: tuple[int, int]) -> Objects:
    """The only object of each image; an image without objects counts as one (instance −1).

    Arguments as in `objects_of`.
    """
    filled = set(index.objects["image_id"])
    bare = [image_id for image_id in image_ids if image_id not in filled]
    sides = index.images.loc[bare, ["height", "width"]]
    whole = {
        "image_id": bare,
        "instance": NONE,
        "class_id": 0,
        "fine_class": "",
        "x0": 0.0,
        "y0": 0.0,
        "x1": sides["width"].to_numpy(dtype=np.float64),
        "y1": sides["height"].to_numpy(dtype=np.float64),
        "area": sides.prod(axis=1).to_numpy(dtype=np.float64),
        "evaluated": True,
    }
    table = pd.concat([index.objects, pd.DataFrame(whole)], ignore_index=True)
    return _described(index, image_ids, table, grid)


def _described(
    index: Index, image_ids: Sequence[str], table: pd.DataFrame, grid: tuple[int, int]
) -> Objects:
    images = index.images.loc[list(image_ids)]
    table = table[table["image_id"].isin(image_ids)]
    row = images.index.get_indexer(pd.Index(table["image_id"])).astype(np.int64)
    order = np.argsort(row, kind="stable")
    table, row = table.iloc[order], row[order]
    height, width = (images[side].to_numpy(dtype=np.float64)[row] for side in ("height", "width"))
    box = table[["x0", "y0", "x1", "y1"]].to_numpy(dtype=np.float64)
    box = np.clip(box, 0, np.stack([width, height, width, height], axis=1))
    names = images["sequence"].where(images["sequence"].notna(), "image " + images.index)
    classes = pd.Series(index.classes)[table["class_id"]].to_numpy()
    fine = np.where(table["fine_class"] == "", classes, table["fine_class"])
    return Objects(
        row=row,
        instance=table["instance"].to_numpy(dtype=np.int64),
        class_id=table["class_id"].to_numpy(dtype=np.int64),
        fine_class=np.unique(fine.astype(str), return_inverse=True)[1],
        sequence=np.unique(names.to_numpy(dtype=str), return_inverse=True)[1][row],
        frame=images["frame"].fillna(NONE).to_numpy(dtype=np.int64)[row],
        number=table.index.to_numpy(dtype=np.int64),
        evaluated=table["evaluated"].to_numpy(dtype=bool),
        box=box,
        size=table["area"].to_numpy(dtype=np.float64) * grid[0] * grid[1] / (height * width),
        weights=_weights(index, image_ids, table, row, box, grid),
    )


def _weights(
    index: Index,
    image_ids: Sequence[str],
    table: pd.DataFrame,
    row: Ints,
    box: Floats,
    grid: tuple[int, int],
) -> Any:
    bounds = np.searchsorted(row, np.arange(len(image_ids) + 1))
    parts = []
    for image_id, (start, stop) in zip(image_ids, pairwise(bounds), strict=True):
        values = table["mask_value"].iloc[start:stop]
        parts.append(as_weights(_coverage(index, image_id, values, box[start:stop], grid)))
    from scipy.sparse import vstack  # slow to import, and tables need none

    return vstack(parts, format="csr")


def _coverage(
    index: Index, image_id: str, values: "pd.Series[Any]", box: Floats, grid: tuple[int, int]
) -> Array:
    """The coverage of each patch by each object [O, h, w], up to one factor per object."""
    out = np.zeros((len(box), *grid), dtype=np.float32)
    if not len(box):
        return out
    masked = values.notna().to_numpy()
    if masked.any():
        mask = index.instance_mask(image_id)
        for o in np.flatnonzero(masked):
            out[o] = patch_coverage(mask == values.iat[int(o)], grid)
    height, width = index.images.loc[image_id, ["height", "width"]].to_numpy(dtype=np.int64)
    inside = ~masked & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
    if inside.any():  # box_weights imports torchvision, which takes seconds
        scale = np.array([grid[1] / width, grid[0] / height] * 2)
        out[inside] = box_weights(box[inside] * scale, grid)
    return out
