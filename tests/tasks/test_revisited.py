"""Graded benchmarks, against an example of the published procedure worked by hand."""

import numpy as np
import pytest

from patchlens.tasks.retrieval import search as retrieval
from patchlens.tasks.retrieval.revisited import (
    GRADES,
    Benchmark,
    answer,
    map_revisited,
    trapezoidal_precision,
)

EASY, HARD, JUNK, POSITIVE = (GRADES.index(g) for g in ("easy", "hard", "junk", "positive"))
# A list by descending similarity: junk, easy, wrong, hard, junk, wrong, easy, wrong.
LIST = np.array([[JUNK, EASY, 0, HARD, JUNK, 0, EASY, 0]], np.int8)
FALLING = np.arange(8, 0, -1, dtype=np.float32)[None]


def test_trapezoids_by_hand():
    # Right at ranks 0, 2: ((1 + 1) / 2 + (1/2 + 2/3) / 2) / 2.
    assert trapezoidal_precision(np.array([True, False, True])) == pytest.approx(19 / 24)
    # Not right at rank 0, the precision before is 0.
    assert trapezoidal_precision(np.array([False, True])) == pytest.approx((0 + 1 / 2) / 2)


def test_easy_medium_and_hard_by_hand():
    # easy: hard and junk are off the list: easy, wrong, wrong, easy, wrong: ranks 0 and 3.
    _, easy, _ = map_revisited(FALLING, LIST, "easy")
    assert easy[0] == pytest.approx(((1 + 1) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    # medium: only junk is: easy, wrong, hard, wrong, easy, wrong: ranks 0, 2 and 4.
    _, medium, _ = map_revisited(FALLING, LIST, "medium")
    assert medium[0] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2 + (2 / 4 + 3 / 5) / 2) / 3)
    # hard: easy and junk are: wrong, hard, wrong, wrong: rank 1.
    asked, hard, hits = map_revisited(FALLING, LIST, "hard")
    assert hard[0] == pytest.approx((0 / 1 + 1 / 2) / 2)
    assert asked.tolist() == [0]
    assert hits.tolist() == [[0, 1, 1]]


def test_it_is_not_the_step_wise_average():
    _, step, _ = retrieval.judge(FALLING, LIST == HARD)
    _, trapezoid, _ = map_revisited(FALLING, LIST, "hard")
    assert step[0] != trapezoid[0]


def test_a_query_without_a_relevant_image_does_not_count():
    both = np.vstack([LIST, np.where(LIST == HARD, 0, LIST)])
    asked, ap, _ = map_revisited(np.vstack([FALLING, FALLING]), both, "hard")
    assert asked.tolist() == [0]
    assert len(ap) == 1


def test_equal_similarities_keep_the_order_of_the_gallery():
    tied = np.zeros((1, 8), np.float32)
    np.testing.assert_array_equal(
        map_revisited(tied, LIST, "medium")[1], map_revisited(FALLING, LIST, "medium")[1]
    )


def test_all_heads_are_answered_from_features(monkeypatch):
    # Gallery images at growing angles from both queries, in the order of the list.
    angle = np.linspace(0.1, 1.5, 8)
    gallery = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    features = np.vstack([gallery[:3], [[1, 0], [1, 0]], gallery[3:]]).astype(np.float32)
    asked = Benchmark(np.array([3, 4]), np.array([0, 1, 2, 5, 6, 7, 8, 9]), np.vstack([LIST] * 2))
    monkeypatch.setattr(retrieval, "PRODUCTS", 8)  # a query at a time
    found = dict(answer(features, asked, "cosine"))
    assert list(found) == ["easy", "medium", "hard"]
    assert found["hard"].query.tolist() == [3, 4]
    for level, answers in found.items():
        np.testing.assert_allclose(answers.ap, map_revisited(FALLING, LIST, level)[1].repeat(2))


def test_positives_without_levels_are_scored_step_by_step():
    grade = np.array([[0, POSITIVE, 0, POSITIVE]], np.int8)
    asked = Benchmark(np.array([4]), np.arange(4), grade)
    features = np.array([[4.0], [3.0], [2.0], [1.0], [1.0]], np.float32)
    [(head, found)] = answer(features, asked, "dot")
    assert head == "instance"
    assert found.ap[0] == pytest.approx((1 / 2 + 2 / 4) / 2)
