"""T3 on objects whose ranked lists are known."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from patchlens.tasks.retrieval import search as retrieval
from patchlens.tasks.retrieval.search import judge, retrieve, similarities
from tasks.scene import objects

RNG = np.random.default_rng(0)
INF = np.inf


def ask(features, of, relevant="instance", frame_distance=None, distance="cosine"):
    features = np.asarray(features, np.float32)
    return retrieve(
        features, of, relevant=relevant, frame_distance=frame_distance, distance=distance
    )


def one_hot(numbers) -> np.ndarray:
    return np.eye(np.max(numbers) + 1, dtype=np.float32)[numbers]


def test_average_precision_and_hits_of_a_list_by_hand():
    similarity = np.array([[9, 8, 7, 6, 5, 4, -INF]], np.float32)
    relevant = np.array([[False, False, True, False, False, True, False]])
    asked, ap, hits = judge(similarity, relevant)
    assert asked.tolist() == [0]
    assert ap[0] == pytest.approx((1 / 3 + 2 / 6) / 2)
    assert hits.tolist() == [[0, 1, 1]]


def test_average_precision_is_that_of_scikit_learn():
    similarity = RNG.normal(size=(40, 60)).astype(np.float32)
    relevant = RNG.random((40, 60)) < 0.2
    relevant[3] = False  # no query
    asked, ap, _ = judge(similarity, relevant)
    assert asked.tolist() == [i for i in range(40) if i != 3]
    expected = [average_precision_score(relevant[i], similarity[i]) for i in asked]
    np.testing.assert_allclose(ap, expected, atol=1e-12)


def test_many_and_few_relevant_ones_are_counted_alike(monkeypatch):
    similarity = RNG.integers(0, 9, (5, 40)).astype(np.float32)
    relevant = RNG.random((5, 40)) < 0.5
    monkeypatch.setattr(retrieval, "COUNTED", 1 << 40)
    sorted_ = judge(similarity, relevant)
    monkeypatch.setattr(retrieval, "COUNTED", 0)
    for one, other in zip(sorted_, judge(similarity, relevant), strict=True):
        np.testing.assert_array_equal(one, other)


def test_ties_score_the_mean_over_all_their_orders():
    similarity = np.array([[5, 3, 3, 3, 3, 1, -INF]], np.float32)
    relevant = np.array([[False, True, True, False, False, True, False]])
    _, ap, hits = judge(similarity, relevant)
    lists = [[0, *middle, 5] for middle in permutations([1, 2, 3, 4])]
    ranked = [relevant[0, order] for order in lists]
    expected = [average_precision_score(one, -np.arange(6)) for one in ranked]
    assert ap[0] == pytest.approx(np.mean(expected))
    assert hits[0].tolist() == pytest.approx([np.mean([one[:k].any() for one in ranked])
                                              for k in (1, 5, 10)])  # fmt: skip


def test_hits_in_a_tie_longer_than_the_list_are_chances_of_drawing():
    # 20 tied, 2 relevant: 1 − (18/20)(17/19) … for the first 5.
    relevant = np.arange(20)[None] < 2
    _, _, hits = judge(np.zeros((1, 20), np.float32), relevant)
    missed = [18 / 20, (15 * 14) / (20 * 19), (10 * 9) / (20 * 19)]
    np.testing.assert_allclose(hits[0], 1 - np.array(missed))


@pytest.mark.parametrize("relevant", ["instance", "fine_class"])
@pytest.mark.parametrize("distance", ["cosine", "dot", "l2"])
def test_an_oracle_scores_1(relevant, distance):
    instance = np.repeat(np.arange(8), 4)
    kind = instance // 2
    of = objects(instance, fine_class=kind)
    found = ask(one_hot(instance if relevant == "instance" else kind), of, relevant, None, distance)
    assert len(found.query) == 32
    np.testing.assert_allclose(found.ap, 1)
    np.testing.assert_array_equal(found.hits, 1)


def test_swapped_features_score_what_is_worked_out_by_hand():
    # Two instances of two photographs each; one photograph of each has the other's feature.
    found = ask(one_hot([0, 1, 1, 0]), objects([0, 0, 1, 1]))
    # Each finds the wrong one first; the two others tie at 0, one of them right: (1/2 + 1/3) / 2.
    np.testing.assert_allclose(found.ap, 5 / 12)
    np.testing.assert_allclose(found.hits[:, 0], 0)


def test_random_features_score_chance_and_chance_is_a_list_of_ties():
    instance = np.repeat(np.arange(50), 6)
    of = objects(instance)
    chance = ask(np.zeros((300, 0)), of)
    # Of 299 others 5 are relevant, wherever the query is.
    assert chance.hits[:, 0] == pytest.approx(5 / 299)
    drawn = [ask(RNG.normal(size=(300, 16)), of) for _ in range(20)]
    assert np.mean([d.ap.mean() for d in drawn]) == pytest.approx(chance.ap.mean(), rel=0.05)
    top5 = np.mean([d.hits[:, 1].mean() for d in drawn])
    assert top5 == pytest.approx(chance.hits[0, 1], rel=0.1)
    constant = ask(np.ones((300, 3)), of)
    np.testing.assert_allclose(constant.ap, chance.ap)


def test_own_image_and_own_sequence_are_left_out_even_where_they_are_nearest():
    # 0 and 1 are frames of one sequence; 4 is in the image of 3.
    features = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [1, 0, 0]])
    of = objects([1, 1, 2, 1, 1], row=[0, 1, 2, 3, 3], sequence=[0, 0, 1, 2, 2])
    found = ask(features, of)
    # 0 and 1 find 4 (right), 3 (right), 2. 3 finds 2, then 0 and 1. 4 finds 0, 1, 2.
    assert found.query.tolist() == [0, 1, 3, 4]
    np.testing.assert_allclose(found.ap, [1, 1, (1 / 2 + 2 / 3) / 2, 1])


def test_with_a_frame_distance_far_frames_of_the_own_sequence_are_found():
    of = objects([1, 1, 1, 2], sequence=[0, 0, 0, 0], frame=[0, 9, 10, 10])
    features = np.array([[1, 0], [1, 0], [0, 1], [1, 0]])
    assert len(ask(features, of).query) == 0
    found = ask(features, of, frame_distance=10)
    # 0 sees 2 and 3 (10 frames on): the wrong one first. 1 and 2 are a frame apart.
    assert found.query.tolist() == [0, 2]
    np.testing.assert_allclose(found.ap, [1 / 2, 1])
    # The own image is left out whatever the distance: 3 is in the image of 2.
    own = {"row": [0, 1, 2, 2], "sequence": [0] * 4}
    near = ask(features, objects([1, 1, 1, 1], **own, frame=[0, 9, 10, 10]), "instance", 1)
    np.testing.assert_allclose(near.ap, [1, 1, 1, 1])
    assert len(ask(features, objects([1, 2, 3, 3], **own), "instance", 1).query) == 0


def test_fine_class_neither_wants_nor_blames_the_same_instance():
    # 1 is the query's own instance: nearest, but off the list. 3 is of another kind.
    features = np.array([[1, 0, 0], [1, 0, 0], [0.6, 0.8, 0], [0.8, 0.6, 0]])
    found = ask(features, objects([1, 1, 2, 3], fine_class=[0, 0, 0, 1]), "fine_class")
    assert found.query.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.ap, [1 / 2, 1 / 2, (1 / 2 + 2 / 3) / 2])


def test_an_object_in_one_image_only_is_in_the_lists_but_asks_nothing():
    found = ask([[1, 0], [0.8, 0.6], [1, 0]], objects([1, 1, 2]))
    assert found.query.tolist() == [0, 1]
    # 0 finds 2 first; to 1 both others are equally near.
    np.testing.assert_allclose(found.ap, [1 / 2, (1 + 1 / 2) / 2])


def test_no_relevant_object_at_all_gives_no_query():
    found = ask(np.eye(3), objects([1, 2, 3]))
    assert found.ap.shape == (0,)
    assert found.hits.shape == (0, 3)


@pytest.mark.parametrize("torch", [False, True])  # as on a GPU
@pytest.mark.parametrize("distance", ["cosine", "dot", "l2"])
def test_distances_order_the_gallery_as_they_say(distance, torch):
    queries, gallery = RNG.normal(size=(4, 8)), RNG.normal(size=(30, 8))
    [(_, found)] = similarities(queries, gallery, distance, torch=torch)
    match distance:
        case "cosine":
            lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(gallery, axis=1)
            expected = queries @ gallery.T / lengths
        case "dot":
            expected = queries @ gallery.T
        case "l2":
            expected = -np.linalg.norm(queries[:, None] - gallery, axis=2)
    np.testing.assert_array_equal(np.argsort(-found, axis=1), np.argsort(-expected, axis=1))


def test_blocks_of_queries_change_nothing(monkeypatch):
    of = objects(RNG.integers(0, 8, 40), sequence=RNG.integers(0, 9, 40))
    features = RNG.normal(size=(40, 5))
    whole = ask(features, of)
    monkeypatch.setattr(retrieval, "PRODUCTS", 120)
    parts = ask(features, of)
    assert parts.query.tolist() == whole.query.tolist()
    np.testing.assert_allclose(parts.ap, whole.ap)
    np.testing.assert_allclose(parts.hits, whole.hits)


def test_a_sample_of_the_objects_asks_all_of_them():
    of = objects([0, 0, 1, 1, 2, 2, 3, 3])
    features = RNG.normal(size=(8, 5)).astype(np.float32)
    whole = retrieve(features, of, relevant="instance", frame_distance=None, distance="cosine")
    asking = np.array([1, 4, 7])
    some = retrieve(
        features, of, relevant="instance", frame_distance=None, distance="cosine", asking=asking
    )
    assert some.query.tolist() == [1, 4, 7]
    kept = np.isin(whole.query, asking)
    np.testing.assert_allclose(some.ap, whole.ap[kept])
    np.testing.assert_array_equal(some.hits, whole.hits[kept])


def test_the_sample_is_seeded_and_keeps_its_objects_where_others_are_missing():
    of = objects(np.arange(60))
    assert retrieval.sampled(of, 60, 0).tolist() == list(range(60))
    drawn = retrieval.sampled(of, 20, 0)
    assert len(set(drawn)) == 20
    assert np.array_equal(drawn, np.sort(drawn))
    assert not np.array_equal(drawn, retrieval.sampled(of, 20, 1))
    # The first object has no patch with another model.
    fewer = of.take(np.arange(1, 60))
    again = of.number[1:][retrieval.sampled(fewer, 20, 0)]
    assert len(set(of.number[drawn]) & set(again)) >= 19
