"""Linking: oracle, swaps, threshold, age, class, order of equals; the choice of the threshold."""

from dataclasses import replace

import numpy as np
import pytest

from patchlens.tasks.tracking.linking import association_counts, best_threshold, link
from tasks.footage import angles, oracle, video


def test_an_oracle_links_every_object_to_itself():
    one = video({0: [1, 2], 1: [2, 1], 2: [3, 2], 3: [1, 3]})
    assert link(one, oracle(one), 30, 0.5).tolist() == [1, 2, 2, 1, 3, 2, 1, 3]


def test_without_a_threshold_all_that_can_be_linked_is():
    one = video({0: [1], 1: [2]})
    assert link(one, oracle(one), 30, 0.5).tolist() == [1, 2]
    assert link(one, oracle(one), 30).tolist() == [1, 1]
    opposite = angles(0, 180)  # even at cosine -1
    assert link(one, opposite, 30).tolist() == [1, 1]


def test_a_pair_at_the_threshold_is_linked_and_one_below_is_born():
    one = video({0: [1], 1: [1]})
    features = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    cosine = float(features[0] @ features[1])
    assert link(one, features, 30, cosine).tolist() == [1, 1]
    assert link(one, features, 30, cosine + 1e-6).tolist() == [1, 2]


def test_a_pair_below_the_threshold_counts_as_the_threshold():
    # Cosines 0.98 and 0.09 on one diagonal, 0.8 and 0.8 on the other: without a threshold the
    # second sum is higher, but at 0.9 only the pair of 0.98 is worth linking.
    one, features = video({0: [1, 2], 1: [1, 2]}), angles(0, 48.4, 11.5, -36.9)
    assert link(one, features, 30, 0.9).tolist() == [1, 2, 1, 3]
    assert link(one, features, 30).tolist() == [1, 2, 2, 1]


def test_the_last_seen_feature_is_compared_not_the_first():
    one = video({0: [1], 1: [1], 2: [1]})
    assert link(one, angles(0, 30, 60), 30, 0.8).tolist() == [1, 1, 1]  # cos 60° is 0.5


def test_a_track_ends_when_it_was_not_seen_for_longer_than_its_age():
    one = video({0: [1], 1: [], 3: [1]})
    assert link(one, oracle(one), 3, 0.5).tolist() == [1, 1]
    assert link(one, oracle(one), 2, 0.5).tolist() == [1, 2]


def test_classes_are_never_linked_with_each_other():
    one = video({0: [1], 1: [2]}, classes={2: 1})
    same = angles(0, 0)
    assert link(one, same, 30).tolist() == [1, 2]
    one = video({0: [1, 2], 1: [1, 2]}, classes={2: 1})
    assert link(one, angles(0, 90, 90, 0), 30).tolist() == [1, 2, 1, 2]


def test_an_object_without_a_feature_is_a_track_of_its_own():
    one = video({0: [1, 2], 1: [1, 2], 2: [1, 2]})
    blind = replace(one, placed=np.array([1, 1, 0, 1, 1, 1], dtype=bool))
    # 1 is not seen in frame 1, and again what it was in frame 0.
    assert link(blind, oracle(one), 30, 0.5).tolist() == [1, 2, 3, 2, 1, 2]
    one = replace(video({0: [1], 1: [1]}), placed=np.array([False, True]))
    assert link(one, oracle(one), 30).tolist() == [1, 2]


def test_features_that_say_nothing_do_not_profit_from_the_order_of_the_ids():
    one = video({frame: list(range(10)) for frame in range(40)})
    tracks = link(one, np.zeros((len(one), 0), np.float32), 30)
    assert set(tracks) == set(range(1, 11))
    hits, boxes = association_counts(one.instance, tracks)
    assert hits / boxes < 0.12  # ten ids at random: about 1 / 19 and a little


def test_one_frame_an_empty_frame_and_no_object():
    one = video({4: [1, 2]})
    assert link(one, oracle(one), 30, 0.5).tolist() == [1, 2]
    assert link(video({0: [], 1: []}), np.zeros((0, 3), np.float32), 30).tolist() == []
    gap = video({0: [], 1: [1], 2: [], 3: [1]})
    assert link(gap, oracle(gap), 30, 0.5).tolist() == [1, 1]


def test_association_counts_worked_by_hand():
    # One object of ten boxes, cut into 6 and 4: (6 · 6/10 + 4 · 4/10) over 10.
    quality, boxes = association_counts(np.ones(10, int), np.repeat([1, 2], [6, 4]))
    assert (quality, boxes) == (pytest.approx(5.2), 10)
    # Two objects of ten boxes that swap tracks after six.
    instances = np.tile([1, 2], 10)
    tracks = np.where(np.arange(20) < 12, instances, 3 - instances)
    quality, boxes = association_counts(instances, tracks)
    assert quality / boxes == pytest.approx((6 * 6 / 14 + 4 * 4 / 16) / 10)
    assert association_counts(np.empty(0, int), np.empty(0, int)) == (0, 0)


def test_the_best_threshold_is_that_of_all_videos_and_the_lower_of_equals():
    sums = np.zeros((2, 3, 2))
    sums[:, :, 1] = [[10], [90]]
    sums[0, :, 0], sums[1, :, 0] = [10, 2, 2], [45, 60, 60]
    # By the mean of videos the first would win: 0.75 against 0.43; over all boxes 0.62 does.
    assert best_threshold(sums, [0.1, 0.5, 0.9]) == 0.5
    assert best_threshold(np.zeros((0, 3, 2)), [0.1, 0.5, 0.9]) == 0.1
