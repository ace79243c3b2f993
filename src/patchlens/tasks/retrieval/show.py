"""`patchlens show retrieval`: queries with their ten nearest neighbours, right and wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from patchlens.arrays import Array, Bools, Ints
from patchlens.datasets.index import Index
from patchlens.display.sheet import PLAIN, RIGHT, WRONG, Look, Tile, sheet
from patchlens.errors import SettingsError
from patchlens.features.cell import Cell
from patchlens.features.store import FeatureFile, Header
from patchlens.features.variants import Transform
from patchlens.files import whole_file
from patchlens.settings.base import Distance
from patchlens.tasks.annotated import listed
from patchlens.tasks.objects import Objects, object_features
from patchlens.tasks.retrieval.revisited import right_and_junk
from patchlens.tasks.retrieval.run import graded
from patchlens.tasks.retrieval.search import pairs, similarities
from patchlens.tasks.retrieval.settings import Relevant, Retrieval

SUFFIX = "png"
QUERIES = 6
NEAREST = 10
SEED = 0
MARGIN = 0.3  # of the longer side, shown around an object
LARGE = 4  # patches: smaller objects are hard to recognise


@dataclass(frozen=True)
class Asked:
    """A few queries among the objects of images; they are the same for every model.

    Attributes:
        objects: all objects.
        head: the head of T3, which defines the relevant objects.
        queries: indices of the query objects [Q].
        gallery: indices of the objects in the gallery [G].
        on_list, right: whether an object of the gallery is on the list of a query, and whether it
            is relevant [Q, G].
    """

    objects: Objects
    head: str
    queries: Ints
    gallery: Ints
    on_list: Bools
    right: Bools


def run(path: Path, cell: Cell) -> None:
    """Draw the sheet of a few queries, with raw features, to the PNG `path`.

    Raises:
        SettingsError: no query has a relevant object.
    """
    index, retrieval = cell.index, cell.settings.section(Retrieval)
    ids, asked = cell.query.header.image_ids, ask(index, cell.query.header, retrieval)
    lists = answers(asked, cell.query, [lambda x: x], retrieval.distance)
    rows = [
        [
            _tile(index, ids, asked.objects, query, PLAIN, "query"),
            *(
                _tile(index, ids, asked.objects, o, *_marked(rank, right))
                for rank, (o, _, right) in enumerate(found, 1)
            ),
        ]
        for query, found in zip(asked.queries, lists, strict=True)
    ]
    title = (
        f"{cell.model} on {cell.dataset}, raw features: {len(rows)} queries of head {asked.head}"
    )
    with whole_file(path) as partial:
        sheet(title, rows, partial)


def ask(index: Index, header: Header, settings: Retrieval) -> Asked:
    """Choose the queries: drawn with a seed, one per instance, those of at least 4 patches first.

    The head is the first one in `settings.relevant` with a query that has a relevant object.
    Datasets that grade pairs of images use their own queries and grades.

    Raises:
        SettingsError: no query has a relevant object.
    """
    if index.has_relevance:
        objects, asked = graded(index, header)
        head = "medium" if "medium" in asked.heads else asked.heads[0]
        right, junk = right_and_junk(asked.grade, head)
        rows = np.random.default_rng(SEED).permutation(np.flatnonzero(right.any(axis=1)))[:QUERIES]
        found = Asked(objects, head, asked.query[rows], asked.gallery, ~junk[rows], right[rows])
    else:
        objects, _ = listed(index, header, "retrieval.datasets")
        relevant, queries = askers(objects, settings)
        on_list, right = pairs(objects, queries, relevant, settings.frame_distance)
        found = Asked(objects, relevant, queries, np.arange(len(objects)), on_list, right)
    if not len(found.queries):
        raise SettingsError(
            f"params.yaml: retrieval: no query of '{header.dataset}' has a relevant object; score "
            "more query images"
        )
    return found


def answers(
    asked: Asked, file: FeatureFile, transforms: Sequence[Transform], distance: Distance
) -> list[list[tuple[int, float, bool]]]:
    """For each query, the nearest objects with their similarity and whether they are relevant.

    Args:
        asked: the queries.
        file: features of the images of the objects.
        transforms: those of the variant; only the first draw is used.
        distance: of the search.
    """
    header = file.header
    features = object_features(
        asked.objects,
        len(header.image_ids),
        lambda rows: file.images(header.image_ids[rows.start : rows.stop], header.layers[0]),
        {"raw": transforms[:1]},
    )["raw"][0]
    [(_, similarity)] = similarities(features[asked.queries], features[asked.gallery], distance)
    return [
        [
            (int(asked.gallery[g]), float(similarity[q, g]), bool(asked.right[q, g]))
            for g in nearest(similarity[q], asked.on_list[q])
        ]
        for q in range(len(asked.queries))
    ]


def nearest(similarity: Array, on_list: Bools) -> Ints:
    """The ten most similar objects on the list, the nearest first."""
    listed = np.flatnonzero(on_list)
    return np.asarray(listed[np.argsort(-similarity[listed], kind="stable")[:NEAREST]])


def askers(objects: Objects, settings: Retrieval) -> tuple[Relevant, Ints]:
    """The first head in `relevant` with a query that has a relevant object, and its queries."""
    for relevant in settings.relevant:
        found: list[int] = []
        for query in _order(objects):
            if objects.instance[query] in objects.instance[found]:
                continue
            asked = np.array([query])
            if pairs(objects, asked, relevant, settings.frame_distance)[1].any():
                found.append(query)
            if len(found) == QUERIES:
                break
        if found:
            break
    return relevant, np.array(found, dtype=np.int64)


def _order(objects: Objects) -> list[int]:
    """All objects in a random order, those of at least 4 patches first."""
    drawn = np.random.default_rng(SEED).permutation(len(objects))
    small = objects.size[drawn] < LARGE
    return [int(o) for o in drawn[np.argsort(small, kind="stable")]]


def _marked(rank: int, right: bool) -> tuple[Look, str]:
    return (RIGHT, f"{rank} right") if right else (WRONG, f"{rank} wrong")


def _tile(
    index: Index, ids: Sequence[str], objects: Objects, o: int, look: Look, label: str
) -> Tile:
    """An object with some context, in a square."""
    x0, y0, x1, y1 = (float(value) for value in objects.box[o])
    x, y, reach = (x0 + x1) / 2, (y0 + y1) / 2, (0.5 + MARGIN) * max(x1 - x0, y1 - y0)
    view = (x - reach, y - reach, x + reach, y + reach)
    return Tile(index.image(ids[objects.row[o]]), (x0, y0, x1, y1), view, look, label)
