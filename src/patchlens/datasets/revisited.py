"""ROxford5k and RParis6k: buildings, each query with easy, hard and junk images.

Layout and ground truth: github.com/filipradenovic/revisitop (python/dataset.py, download.py,
example_evaluate.py). The ground truth is a pickle: it is read without executing anything.
"""

from pathlib import Path
from typing import Any

from patchlens.datasets.boxes import corners
from patchlens.datasets.card import Card
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry, Relevance
from patchlens.datasets.reading import top
from patchlens.datasets.sources.all import SOURCES
from patchlens.datasets.unpickle import read_plain_pickle
from patchlens.errors import DataError, SourceError

CLASSES = ("building",)
GRADES = ("easy", "hard", "junk")


def _card(kind: str, gallery: int, *more: str) -> Card:
    return Card(
        **vars(SOURCES[kind]),
        tasks=("retrieval",),
        layout=f"""\
gnd_{kind}.pkl
jpg/*.jpg           # or in folders below jpg/, as the archives have them""",
        counts={"query": {"images": 70}, "gallery": {"images": gallery}},
        encoding=(
            "A query is the part of its image in `bbx` (x1, y1, x2, y2, taken as 0-based and "
            "exclusive: the official code crops with it).",
            "Each query grades gallery images easy, hard or junk; easy protocol: easy relevant, "
            "hard ignored; medium: easy and hard relevant; hard: hard relevant, easy ignored; "
            "junk always ignored.",
            "Gallery images have no objects; an image that no list names is not in the benchmark.",
            "The photographs offered since June 2022 have blurred faces: scores differ a little "
            "from earlier ones.",
            *more,
        ),
    )


ROXFORD5K = _card("roxford5k", 4993)
RPARIS6K = _card(
    "rparis6k", 6322, "The 20 images of Paris6k whose files are broken are in no list."
)


def read(root: Path, card: Card) -> Layout:
    """Read the ground truth and look up the images that it lists.

    Raises:
        SourceError: the ground truth or the images are missing.
        DataError: the ground truth is malformed or lists an image that is not there or there twice.
    """
    truth = f"gnd_{card.kind}.pkl"
    here = top(root, truth, how=card.how)
    if not (here / "jpg").is_dir():
        raise SourceError(f"{here / 'jpg'}: no such folder. {card.how}")
    queries, gallery, graded = _truth(here / truth)
    paths = _photographs(root, here / "jpg")
    if missing := sorted({*queries, *gallery} - set(paths)):
        raise DataError(
            f"{here / truth}: lists {missing[0]}, but no {missing[0]}.jpg is in {here / 'jpg'} "
            f"({len(missing)} are missing)"
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
    return Layout(CLASSES, {}, images, relevance=relevance)


def _photographs(root: Path, folder: Path) -> dict[str, str]:
    """Stem -> path of the images anywhere below a folder."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.jpg")):
        if path.name.startswith("."):
            continue
        if path.stem in found:
            other = root / found[path.stem]
            raise DataError(f"{path}: shares its stem with {other}; keep one of the two")
        found[path.stem] = path.relative_to(root).as_posix()
    return found


Graded = tuple[tuple[float, float, float, float], dict[str, list[int]]]


def _truth(path: Path) -> tuple[list[str], list[str], list[Graded]]:
    """Names of the queries and of the gallery; the box and the graded indices of each query."""
    content = read_plain_pickle(path)
    try:
        queries, gallery = ([str(n) for n in content[key]] for key in ("qimlist", "imlist"))
        records = list(content["gnd"])
    except (KeyError, TypeError):
        raise DataError(f"{path}: holds no imlist, qimlist and gnd") from None
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
        raise ValueError(f"an index outside the {images} images of imlist")
    if len(set(indices)) != len(indices):
        raise ValueError("an image has two grades")
    return corners(x0, y0, x1, y1), grades
