"""Association: oracle, swapped labels, ties, chance; objects that come, go or have no feature."""

from dataclasses import replace

import numpy as np
import pytest

from patchlens.tasks.tracking.association import associate
from tasks.footage import angles, oracle, video


def test_an_oracle_finds_every_object_and_chance_is_the_mean_of_one_in_n():
    one = video({0: [1, 2], 1: [1, 2, 3], 2: [3]})
    # Δ 1: 1 and 2 among three, 3 among one; Δ 2: nobody is in 0 and 2; Δ 5: no such frames.
    found = associate(one, oracle(one), [1, 2, 5])
    assert found[0] == pytest.approx([3, 3, 3, 1 / 3 + 1 / 3 + 1])
    assert not found[1:].any()


def test_delta_counts_frame_numbers_and_not_images():
    one = video({0: [1], 3: [1], 6: [1], 7: [1]})
    pairs = associate(one, oracle(one), [1, 2, 3, 4, 7])[:, 0]
    assert pairs.tolist() == [1, 0, 2, 1, 1]


def test_swapped_labels_find_the_rest():
    one = video({0: [1, 2, 3], 1: [1, 2, 3]})
    features = oracle(one)
    features[[3, 4]] = features[[4, 3]]  # 1 and 2 look like each other in frame 1
    assert associate(one, features, [1])[0].tolist() == [3, 1, 1, 1]


def test_the_assignment_can_be_right_where_the_nearest_is_wrong():
    one = video({0: [1, 2], 1: [1, 2]})
    # 2 at 10° is nearer to 1' at 0° than to 2' at 30°; together 20° + 20° beat 50° + 10°.
    pairs, nearest, optimal, _ = associate(one, angles(-20, 10, 0, 30), [1])[0]
    assert (pairs, nearest, optimal) == (2, 1, 2)


def test_random_features_score_chance():
    one = video({frame: [1, 2, 3, 4, 5] for frame in range(200)})
    features = np.random.default_rng(0).normal(size=(len(one), 32)).astype(np.float32)
    pairs, nearest, optimal, chance = associate(one, features, [1])[0]
    assert (pairs, chance) == (995, pytest.approx(199))
    assert nearest / pairs == pytest.approx(0.2, abs=0.04)  # three standard errors
    assert optimal / pairs == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("width", [0, 3])
def test_features_that_say_nothing_score_chance_whatever_the_order_of_the_ids(width):
    one = video({frame: [1, 2, 3, 4, 5] for frame in range(200)})
    pairs, nearest, optimal, chance = associate(one, np.zeros((len(one), width), "f4"), [1])[0]
    assert nearest == pytest.approx(chance)
    assert optimal / pairs == pytest.approx(0.2, abs=0.06)


def test_ties_share_the_hit():
    one = video({0: [1], 1: [1, 2, 3]})
    assert associate(one, angles(0, 10, -10, 90), [1])[0][1] == pytest.approx(1 / 2)


def test_an_object_without_a_feature_is_neither_found_nor_chosen():
    one = video({0: [1, 2], 1: [1, 2]})
    blind = replace(one, placed=np.array([False, True, True, True]))
    assert associate(blind, oracle(one), [1])[0].tolist() == [2, 1, 1, 1]
    blind = replace(one, placed=np.array([True, True, False, True]))
    # 1 has nobody to find: it takes 2 in vain, and 2 keeps itself.
    assert associate(blind, oracle(one), [1])[0].tolist() == [2, 1, 1, 1]
    assert associate(replace(one, placed=np.zeros(4, bool)), oracle(one), [1])[0][1:3].sum() == 0


def test_empty_frames_one_frame_and_no_object():
    for frames in ({0: [1, 2], 1: [], 2: [1]}, {0: [1]}, {0: []}):
        one = video(frames)
        assert not associate(one, oracle(one), [1]).any()
