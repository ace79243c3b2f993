"""T3 on objects whose ranked lists are known."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from patchlens.tasks.retrieval import (
    Objects,
    average_precision,
    instance_map,
    object_features,
    patch_coverage,
)

RNG = np.random.default_rng(0)


def objects(instance, sequence) -> Objects:
    count = len(instance)
    return Objects(
        row=np.arange(count),
        coverage=np.ones((count, 1, 1), np.float32),
        instance=np.array(instance),
        sequence=np.array(sequence),
    )


def test_average_precision_of_a_list_by_hand():
    # Relevant at ranks 1, 3 and 6: (1/1 + 2/3 + 3/6) / 3.
    assert average_precision([True, False, True, False, False, True]) == pytest.approx(13 / 18)


def test_average_precision_is_that_of_scikit_learn():
    for _ in range(20):
        hits = RNG.random(30) < 0.3
        hits[0] |= not hits.any()
        expected = average_precision_score(hits, -np.arange(30))
        assert average_precision(hits) == pytest.approx(expected, abs=1e-12)


def test_an_oracle_scores_1_and_a_query_alone_is_no_query():
    instances = [1, 1, 2, 2, 3]
    features = np.eye(4, dtype=np.float32)[instances]
    found = instance_map(lambda b: features[b] @ features.T, objects(instances, range(5)))
    assert found == (1.0, 4)


def test_the_own_sequence_is_left_out_even_where_it_is_nearest():
    # 0 and 1 are frames of one sequence; instance 1's only match elsewhere ranks last of two.
    similarity = np.array([[9, 8, 3, 2], [8, 9, 3, 2], [3, 3, 9, 5], [2, 2, 5, 9]], np.float32)
    found, queries = instance_map(
        lambda b: similarity[b], objects([1, 1, 2, 1], sequence=[0, 0, 1, 2])
    )
    # 0 and 1 find 3 behind 2: 1/2 each. 3 finds 2 (wrong) first, then 0 and 1: (1/2 + 2/3) / 2.
    assert queries == 3
    assert found == pytest.approx((0.5 + 0.5 + (1 / 2 + 2 / 3) / 2) / 3)


def test_objects_without_a_match_give_no_query_and_score_0():
    assert instance_map(lambda b: np.eye(2, dtype=np.float32)[b], objects([1, 2], [0, 1])) == (0, 0)


def test_features_are_means_weighted_by_coverage():
    patches = RNG.normal(size=(2, 2, 2, 3)).astype(np.float32)
    coverage = np.array([[[1, 0.5], [0, 0]], [[0, 0], [0, 0.01]]], np.float32)
    both = Objects(np.array([0, 1]), coverage, np.array([1, 2]), np.array([0, 1]))
    found = object_features(both, 2, lambda rows: patches[rows.start : rows.stop], chunk=1)
    expected = (patches[0, 0, 0] + 0.5 * patches[0, 0, 1]) / 1.5
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    np.testing.assert_allclose(found[1], patches[1, 1, 1], rtol=1e-5)  # smaller than a patch


def test_coverage_is_the_share_of_each_patch_also_where_patches_cut_pixels():
    mask = np.zeros((4, 6), bool)
    mask[:2, :3] = True
    np.testing.assert_allclose(patch_coverage(mask, (2, 2)), [[1, 0], [0, 0]])
    # 6 columns in 4 cells: cells are 1.5 pixels wide.
    np.testing.assert_allclose(patch_coverage(mask, (1, 4)), [[0.5, 0.5, 0, 0]])
    assert patch_coverage(mask, (3, 5)).sum() * (4 * 6) / 15 == pytest.approx(mask.sum())
