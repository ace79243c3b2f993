"""INSTRE: 200 objects on 28 543 photographs, in the query/gallery split of Iscen et al. (2017).

Subsets and counts: the official page (123.57.42.89/instre/home.html). The split is
`gnd_instre.mat`, read as public loaders read it (github.com/facebookresearch/vissl,
github.com/aosokin/os2d): `imlist`, `qimlist`, and per query the 1-based positives and a box.
Loaders disagree whether that box is x, y, width, height or two corners: see `_boxes`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from patchlens.datasets.below import at, check_inside
from patchlens.datasets.boxes import Box, corners, from_size, whole_image
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry, Relevance
from patchlens.datasets.reading import top
from patchlens.datasets.sbd import read_mat
from patchlens.errors import DataError

TRUTH = "gnd_instre.mat"


def read(root: Path, facts: Entry) -> Layout:
    """Read the ground truth; the sizes of the query images determine the format of its boxes.

    Raises:
        SourceError: gnd_instre.mat is missing.
        DataError: it is malformed, or an image that it lists is missing.
    """
    here = top(root, TRUTH, how=facts.how)
    path = here / TRUTH
    queries, gallery, positives, boxes = _truth(path)
    for name in (*gallery, *queries):
        check_inside(name, str(path))
    for name in gallery:
        if not at(here, name).is_file():
            raise DataError(f"{path}: lists {name}, which is not in {here}")
    images = [ImageEntry(name, "gallery", _path(root, here, name)) for name in gallery]
    for name, box in zip(queries, _boxes(path, here, queries, boxes), strict=True):
        query = ObjectEntry(instance=Path(name).parent.as_posix(), class_id=0, box=box)
        images.append(ImageEntry(name, "query", _path(root, here, name), objects=(query,)))
    relevance = [
        Relevance(query, gallery[index - 1], "positive")
        for query, indices in zip(queries, positives, strict=True)
        for index in indices
    ]
    return Layout(tuple(facts.classes), {}, images, relevance=relevance)


def _path(root: Path, here: Path, name: str) -> str:
    return at(here, name).relative_to(root).as_posix()


def _truth(path: Path) -> tuple[list[str], list[str], list[list[int]], list[list[float]]]:
    try:
        content = read_mat(path, squeeze_me=False)
    except ValueError as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file ({error})") from None
    try:
        queries, gallery = (_names(content[key]) for key in ("qimlist", "imlist"))
        records = content["gnd"].ravel()
        positives = [[int(i) for i in np.ravel(record[0])] for record in records]
        boxes = [[float(value) for value in np.ravel(record[1])] for record in records]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: has unexpected content ({type(error).__name__}: {error})"
        ) from None
    if len(records) != len(queries) or any(len(box) != 4 for box in boxes):
        raise DataError(f"{path}: gnd does not have a box of four numbers for each of qimlist")
    if len({*queries, *gallery}) != len(queries) + len(gallery):
        raise DataError(f"{path}: an image is listed twice")
    for query, indices in zip(queries, positives, strict=True):
        if any(not 1 <= index <= len(gallery) for index in indices):
            raise DataError(f"{path}: query {query}: a positive is outside imlist")
    return queries, gallery, positives, boxes


def _names(cells: Any) -> list[str]:
    return [str(np.ravel(cell)[0]).replace("\\", "/") for cell in cells.ravel()]


def _boxes(path: Path, here: Path, queries: list[str], values: list[list[float]]) -> list[Box]:
    """The boxes of the queries, in the format that keeps more of them inside their images."""
    extents = [whole_image(at(here, name)) for name in queries]
    sizes, ends = (
        sum(_inside(reading, *pair) for pair in zip(values, extents, strict=True))
        for reading in (from_size, corners)
    )
    if sizes == ends:
        raise DataError(
            f"{path}: {sizes} of {len(values)} query boxes are inside their images as x, y, width, "
            "height and as many as x1, y1, x2, y2; the format is ambiguous"
        )
    reading = from_size if sizes > ends else corners
    boxes = []
    for query, value in zip(queries, values, strict=True):
        try:
            boxes.append(reading(*value))
        except ValueError as error:
            raise DataError(f"{path}: query {query}: {error}") from None
    return boxes


def _inside(reading: Callable[..., Box], value: list[float], extent: Box) -> bool:
    try:
        _, _, right, bottom = reading(*value)
    except ValueError:
        return False
    return right <= extent[2] + 1 and bottom <= extent[3] + 1  # + 1: boxes may be 1-based
