"""TrackEval's scores: hand-made sequences, sums of videos against its own combination."""

import numpy as np
import pytest

from patchlens.tasks.tracking.linking import association_counts
from patchlens.tasks.tracking.track_scores import ALPHAS, as_data, counts, link_metrics, scorers
from tasks.footage import video


def scores(frames, tracks) -> dict[str, float]:
    found = counts(as_data(video(frames), np.asarray(tracks)))
    return {
        k: float(v) for k, v in link_metrics({k: np.array(v) for k, v in found.items()}).items()
    }


def test_perfect_tracks():
    found = scores({0: [1, 2], 1: [], 2: [2, 1]}, [7, 9, 9, 7])
    assert found == {"assa": 1, "idf1": 1, "idsw": 0, "hota": 1, "deta": 1, "mota": 1}


def test_one_object_cut_in_halves():
    found = scores({frame: [1] for frame in range(10)}, [1] * 5 + [2] * 5)
    assert found["assa"] == pytest.approx(0.5)  # each box: 5 of 10
    assert found["hota"] == pytest.approx(np.sqrt(0.5))
    assert found["idf1"] == pytest.approx(0.5)  # IDTP 5, IDFN 5, IDFP 5
    assert (found["idsw"], found["mota"], found["deta"]) == (1, pytest.approx(0.9), 1)


def test_two_objects_that_swap_tracks():
    frames = {frame: [1, 2] for frame in range(10)}
    found = scores(frames, [1, 2] * 6 + [2, 1] * 4)
    assert found["assa"] == pytest.approx((6 * 6 / 14 + 4 * 4 / 16) / 10)
    assert found["idf1"] == pytest.approx(12 / 20)
    assert (found["idsw"], found["mota"]) == (2, pytest.approx(0.9))


def test_boxes_that_overlap_are_still_told_apart():
    one = video({0: [1, 2], 1: [1, 2]})
    one.boxes[:] = one.boxes[0]
    found = counts(as_data(one, np.array([1, 2, 2, 1])))
    assert (found["idsw"], found["hota_tp_95"], found["hota_fn_95"]) == (2, 4, 0)


def some_videos() -> list[dict]:
    rng = np.random.default_rng(0)
    found = []
    for length in (4, 9, 20):
        one = video({f: sorted(rng.choice(6, 4, replace=False)) for f in range(length)})
        data = as_data(one, np.concatenate([rng.permutation(8)[:4] for _ in range(length)]))
        # Boxes that fit badly or not at all, so that DetA is below 1 and differs by threshold.
        data["similarity_scores"] = [s * rng.random(s.shape) for s in data["similarity_scores"]]
        found.append(data)
    empty = as_data(video({0: [], 1: []}), np.empty(0, int))
    return [*found, empty]


def test_the_thresholds_of_hota_are_those_of_trackeval():
    assert [int(alpha) / 100 for alpha in ALPHAS] == pytest.approx(scorers()["hota"].array_labels)


def test_sums_over_videos_give_what_trackeval_combines():
    videos = some_videos()
    per_video = [counts(data) for data in videos]
    sums = {name: np.array([sum(v[name] for v in per_video)]) for name in per_video[0]}
    found = {name: float(value[0]) for name, value in link_metrics(sums).items()}
    combined = {
        name: metric.combine_sequences({i: metric.eval_sequence(d) for i, d in enumerate(videos)})
        for name, metric in scorers().items()
    }
    assert found["deta"] < 0.7
    assert found == pytest.approx(
        {
            "assa": combined["hota"]["AssA"].mean(),
            "hota": combined["hota"]["HOTA"].mean(),
            "deta": combined["hota"]["DetA"].mean(),
            "idf1": combined["identity"]["IDF1"],
            "idsw": combined["clear"]["IDSW"],
            "mota": combined["clear"]["MOTA"],
        }
    )


def test_the_sums_that_choose_thresholds_are_trackevals_assa():
    rng = np.random.default_rng(1)
    one = video({f: [1, 2, 3] for f in range(12)})
    tracks = np.concatenate([rng.permutation(4)[:3] for _ in range(12)])
    quality, boxes = association_counts(one.instance, tracks)
    found = counts(as_data(one, tracks))
    assert quality == pytest.approx(found["ass_50"])
    assert boxes == found["hota_tp_50"] == found["hota_tp_95"]


def test_a_resample_without_a_box_has_no_score():
    sums = {name: np.array([0.0, 8.0]) for name in ("clr_tp", "id_tp")}
    sums |= dict.fromkeys(("clr_fn", "clr_fp", "idsw", "id_fn", "id_fp"), np.zeros(2))
    for alpha in ALPHAS:
        sums |= {f"hota_tp_{alpha}": np.array([0.0, 8.0]), f"ass_{alpha}": np.array([0.0, 8.0])}
        sums |= {f"hota_{kind}_{alpha}": np.zeros(2) for kind in ("fn", "fp")}
    found = link_metrics(sums)
    assert found.pop("idsw").tolist() == [0, 0]
    assert all(np.isnan(value[0]) and value[1] == 1 for value in found.values())
