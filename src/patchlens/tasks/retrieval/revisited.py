"""Retrieval benchmarks that grade pairs of images: a query against a gallery.

ROxford5k and RParis6k are scored as their authors do: Radenović, Iscen, Tolias, Avrithis and Chum,
Revisiting Oxford and Paris: Large-Scale Image Retrieval Benchmarking, CVPR 2018.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Array, Bools, Floats, Ints
from patchlens.features.device import Where
from patchlens.settings.base import Distance
from patchlens.tasks.retrieval.search import RECALLS, Answers, joined, judge, similarities

GRADES = ("", "easy", "hard", "junk", "positive")  # a grade is a position; "" is a wrong image
# What is relevant, and what is taken off the list, at each level.
LEVELS = {
    "easy": (("easy",), ("hard", "junk")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("easy", "junk")),
}


@dataclass(frozen=True)
class Benchmark:
    """Queries [Q], the gallery [G], and what each query says of each image in it.

    Attributes:
        query, gallery: rows of the features.
        grade: positions in `GRADES` [Q, G].
    """

    query: Ints
    gallery: Ints
    grade: NDArray[np.int8]

    @property
    def heads(self) -> list[str]:
        """`instance` where images are positive or not; else the levels easy, medium, hard."""
        return ["instance"] if (self.grade == GRADES.index("positive")).any() else list(LEVELS)


def answer(
    features: Array, asked: Benchmark, distance: Distance, device: Where = "cpu"
) -> Iterator[tuple[str, Answers]]:
    """The answers of each head; a query without a relevant image is excluded from that head.

    `instance` is scored as `retrieval.judge` does, the levels by `map_revisited`.
    """
    found: dict[str, list[Answers]] = {head: [] for head in asked.heads}
    queries, gallery = features[asked.query], features[asked.gallery]
    for block, similarity in similarities(queries, gallery, distance, device):
        grade = asked.grade[block]
        for head, parts in found.items():
            if head == "instance":
                rows, ap, hits = judge(similarity, right_and_junk(grade, head)[0])
            else:
                rows, ap, hits = map_revisited(similarity, grade, head)
            parts.append(Answers(asked.query[block][rows], ap, hits))
    for head, parts in found.items():
        yield head, joined(parts)


def map_revisited(
    similarity: Array, grade: NDArray[np.int8], level: str
) -> tuple[Ints, Floats, Floats]:
    """The published score: junk taken off the list, then the area under the trapezoids.

    Equal similarities keep the order of the gallery. The mean of the average precisions is mAP.

    Args:
        similarity: of each query with the gallery [n, G].
        grade: positions in `GRADES` [n, G].
        level: easy, medium or hard.

    Returns:
        The queries that have a relevant image [Q], their average precision [Q], and whether one of
        the first 1, 5 and 10 is relevant [Q, 3].
    """
    right, junk = right_and_junk(grade, level)
    asked = np.flatnonzero(right.any(axis=1))
    ap, hits = np.zeros(len(asked)), np.zeros((len(asked), len(RECALLS)))
    for row, query in enumerate(asked):
        order = np.argsort(-similarity[query], kind="stable")
        relevant = right[query, order][~junk[query, order]]
        ap[row] = trapezoidal_precision(relevant)
        hits[row] = [relevant[:k].any() for k in RECALLS]
    return asked, ap, hits


def right_and_junk(grade: NDArray[np.int8], head: str) -> tuple[Bools, Bools]:
    """What is relevant and what is taken off the list at a head, from grades of any shape."""
    right, junk = LEVELS.get(head, (("positive",), ()))
    of_grade = (np.isin(grade, [GRADES.index(name) for name in names]) for names in (right, junk))
    return next(of_grade), next(of_grade)


def trapezoidal_precision(relevant: Bools) -> float:
    """Area under precision over recall by the trapezoidal rule, of a list with a relevant image.

    The j-th relevant image (from 0) at rank p (from 0) adds the mean of the precision before it,
    j/p (1 at rank 0), and with it, (j + 1)/(p + 1).
    """
    rank = np.flatnonzero(relevant)
    found = np.arange(len(rank))
    before = np.divide(found, rank, out=np.ones(len(rank)), where=rank > 0)
    return float(np.mean((before + (found + 1) / (rank + 1)) / 2))
