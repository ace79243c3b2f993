"""ROxford5k and RParis6k: buildings, each query with easy, hard and junk images.

Layout and ground truth: github.com/filipradenovic/revisitop (python/dataset.py, download.py,
example_evaluate.py). The ground truth is a pickle: it is read without executing anything.
"""

from pathlib import Path
from typing import Any

from patchlens.datasets.boxes import corners
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry, Relevance
from patchlens.datasets.reading import by_stem, top
from patchlens.datasets.unpickle import read_plain_pickle
from patchlens.errors import DataError, SourceError

GRADES = ("easy", "hard", "junk")


def read(root: Path, facts: Entry, *, truth: str) -> Layout:
    """Read the ground truth, the file `truth`, and look up the images that it lists.

    Raises:
        SourceError: the ground truth or the images are missing.
        DataError: the ground truth is malformed, or lists an image that is missing or not unique.
    """
    here = top(root, truth, how=facts.how)
    if not (here / "jpg").is_dir():
        raise SourceError(f"{here / 'jpg'}: no such folder. {facts.how}")
    queries, gallery, graded = _truth(here / truth)
    paths = by_stem(root, here / "jpg", "**/*.jpg")
    if missing := sorted({*queries, *gallery} - set(paths)):
        raise DataError(
            f"{here / truth}: lists {missing[0]}, but {here / 'jpg'} has no {missing[0]}.jpg "
            f"({len(missing)} images are missing)"
        )
    images = [ImageEntry(name, "gallery", paths[name]) for name in gallery]
    for name, (box, _) in zip(queries, graded, strict=True):
        query = ObjectEntry(instance=name, class_id=0, box=box)
        images.append(ImageEntry(name, "query", paths[name], objects=(query,)))
    relevance = [
        Relevance(query, gallery[index], grade)
        for query, (_, grades) in zip(queries, graded, strict=True)
        for grade in GRADES
        for index in grades[grade]
    ]
    return Layout(tuple(facts.classes), {}, images, relevance=relevance)


Graded = tuple[tuple[float, float, float, float], dict[str, list[int]]]


def _truth(path: Path) -> tuple[list[str], list[str], list[Graded]]:
    """Names of the queries and of the gallery; the box and the graded indices of each query."""
    content = read_plain_pickle(path)
    try:
        queries, gallery = ([str(n) for n in content[key]] for key in ("qimlist", "imlist"))
        records = list(content["gnd"])
    except (KeyError, TypeError):
        raise DataError(f"{path}: lacks imlist, qimlist or gnd") from None
    if len(records) != len(queries):
        raise DataError(f"{path}: {len(queries)} queries, but {len(records)} entries in gnd")
    if len({*queries, *gallery}) != len(queries) + len(gallery):
        raise DataError(f"{path}: an image is listed twice")
    graded = []
    for query, record in zip(queries, records, strict=True):
        try:
            graded.append(_grades(record, len(gallery)))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: query {query}: {error}") from None
    return queries, gallery, graded


def _grades(record: Any, images: int) -> Graded:
    x0, y0, x1, y1 = (float(value) for value in record["bbx"])
    grades = {grade: [int(index) for index in record[grade]] for grade in GRADES}
    indices = [index for members in grades.values() for index in members]
    if any(not 0 <= index < images for index in indices):
        raise ValueError(f"an index is outside the {images} images of imlist")
    if len(set(indices)) != len(indices):
        raise ValueError("an image has two grades")
    return corners(x0, y0, x1, y1), grades
