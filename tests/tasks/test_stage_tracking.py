"""The tracking stage: what it writes, on videos whose scores are known."""

import json
import shutil
from functools import partial
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest

from patchlens import paths
from patchlens.errors import DataError, FitError, SettingsError
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.tracking.metrics import weighted
from tasks.scene import GRID, box, image
from tasks.tracked import PLACES, SEEN, frames, maps, prepare, run
from tasks.world import PRUNE

pytestmark = pytest.mark.usefixtures("here")


def test_an_oracle_scores_1_and_counts_are_told(here):
    prepare(here, frames("a", "query", SEEN) + frames("b", "query", [[21, 22, 0], [21, 22, 0]]))
    cell = run(here)
    link = cell["link"]["raw"]
    assert {link[name] for name in ("assa", "idf1", "hota", "deta", "mota")} == {1}
    assert (link["idsw"], link["birth_threshold"]) == (0, 0.3)
    assert (link["assa_ci_low"], link["assa_ci_high"]) == (1, 1)
    near = cell["association"]["raw"]
    # Five pairs of neighbours: 11 and 13 of three among two, nobody in the third frame, 21 and 22.
    assert (near["d1"], near["optimal_d1"], near["chance_d1"]) == (1, 1, 0.5)
    assert "d5" not in near
    # 12 comes back, and 14 is new, where 13 was: without a threshold 14 becomes 13.
    assert cell["link_free"]["raw"]["assa"] < 1
    about = cell["protocol"]
    assert (about["videos"], about["boxes"], about["threshold_from"]) == (2, 12, "support")
    assert about["fit"] == "support"


def test_swapped_features_score_what_is_worked_out_by_hand(here):
    # Ten frames of two objects; in the last four each looks like the other.
    query = frames("a", "query", [[11, 12, 0]] * 10)
    swapped = maps(query[6:], looks=lambda instance: 3 - instance % 10)
    prepare(here, query, np.concatenate([maps(query[:6]), swapped]))
    cell = run(here)
    link = cell["link"]["raw"]
    assert link["assa"] == pytest.approx((6 * 6 / 14 + 4 * 4 / 16) / 10, abs=1e-4)
    assert (link["idf1"], link["idsw"], link["mota"]) == (0.6, 2, 0.9)
    near = cell["association"]["raw"]
    assert near["d1"] == near["optimal_d1"] == pytest.approx(16 / 18, abs=1e-4)
    assert near["d5"] == pytest.approx(2 / 10)  # frame 0 and 5 alone: 4 of the 5 pairs cross


def test_features_that_say_nothing_score_chance_in_every_variant(here):
    query = frames("a", "query", [[11, 12, 13]] * 6)
    prepare(here, query, np.ones((6, *GRID, 8)))
    cell = run(here, ("raw", "zscore", "prune", "pca_whiten"))
    for variant in ("raw", "zscore", "prune", "pca_whiten"):
        assert cell["association"][variant]["d1"] == pytest.approx(1 / 3, abs=1e-4)
        assert cell["link_free"][variant]["assa"] < 0.7


def test_a_variant_that_keeps_nothing_at_m_0_is_scored(here):
    prepare(here, frames("a", "query", [[11, 12, 13]] * 6))
    cell = run(here, ("keep_top",), chosen=PRUNE.model_copy(update={"m": 0.0}))
    assert cell["association"]["keep_top"]["d1"] == pytest.approx(1 / 3, abs=1e-4)
    assert 0 < cell["link"]["keep_top"]["assa"] < 1


def test_an_m_that_drops_all_dimensions_is_refused(here):
    prepare(here, frames("a", "query", [[11, 12, 13]] * 6))
    with pytest.raises(
        FitError, match=r"prune\.m: 0\.99 drops all 8 dimensions; use a share below"
    ):
        run(here, ("prune",), chosen=PRUNE.model_copy(update={"m": 0.99}))


def test_objects_that_are_not_evaluated_are_not_fed(here):
    query = frames("a", "query", [[11, 12, 0]] * 3)
    for entry in query:
        entry["objects"][1]["evaluated"] = False
    prepare(here, query)
    assert run(here)["protocol"]["boxes"] == 3


def test_a_box_outside_its_image_is_a_track_of_its_own(here):
    query = frames("a", "query", [[11, 12, 0]] * 3)
    gone = query[1]["objects"][1]
    gone |= box(12, 60, 0, 70, 10)
    prepare(here, query)
    cell = run(here)
    # 12 is track 2, 3, 2; of four pairs 12's two are missed.
    assert cell["link"]["raw"]["idsw"] == 2
    assert cell["association"]["raw"]["d1"] == 0.5
    assert cell["association"]["raw"]["d2"] == 1


@pytest.mark.parametrize("seen", [[[11, 0, 0]], [[11, 12, 0], [0, 0, 0], [0, 0, 13]]])
def test_a_video_of_one_frame_and_objects_in_one_frame_only(here, seen, caplog):
    prepare(here, frames("a", "query", seen))
    cell = run(here)
    assert "no object of the query is in two frames: these scores say nothing" in caplog.text
    assert cell["link"]["raw"]["assa"] == 1
    assert cell["association"]["raw"] == {}


def test_an_object_smaller_than_a_patch_is_tracked(here):
    query = [
        image(f"a_{t}", box(11, 2, 2, 3, 4), box(12, 41, 25, 43, 26), sequence="a", frame=t)
        for t in range(3)
    ]
    values = np.zeros((3, *GRID, 8))
    values[:, :2, :2], values[:, 2:, 4:] = np.eye(8)[1], np.eye(8)[2]
    prepare(here, query, values)
    assert run(here)["link"]["raw"]["assa"] == 1


def test_without_a_support_each_threshold_is_chosen_on_the_other_videos(here):
    # In a strangers never come; in b a stranger comes and must not be linked.
    query = frames("a", "query", [[11, 0, 0], [11, 0, 0]])
    query += frames("b", "query", [[21, 0, 0], [0, 0, 23]])
    prepare(here, query, support=[])
    cell = run(here, support=False)
    assert cell["protocol"]["threshold_from"] == "leave-one-out"
    # a learns 0.3 of b, b the lowest of a, by which 23 is linked to 21.
    assert cell["link"]["raw"]["birth_threshold"] == pytest.approx((0.3 + 0.0) / 2)
    assert cell["link"]["raw"]["assa"] == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)


def test_a_video_alone_takes_the_lowest_threshold(here):
    prepare(here, frames("a", "query", SEEN), support=[])
    assert run(here, support=False)["link"]["raw"]["birth_threshold"] == 0


def test_records_give_every_score_again(here):
    query = frames("a", "query", SEEN) + frames("b", "query", [[21, 22, 23]] * 4)
    values = np.random.default_rng(0).normal(size=(8, *GRID, 8))
    prepare(here, query, values)
    cell = run(here, ("raw", "prune_random"))
    table = pd.read_parquet(paths.cell(dataset="d", model="m") / "tracking.records.parquet")
    again = scored(partial(weighted, index=None), table, SharedResampler(100, 0))
    again["link"]["raw"]["birth_threshold"] = cell["link"]["raw"]["birth_threshold"]
    again["link"]["prune_random"]["birth_threshold"] = cell["link"]["prune_random"][
        "birth_threshold"
    ]
    assert again == {head: cell[head] for head in ("association", "link", "link_free")}
    assert set(table["draw"][table["variant"] == "prune_random"]) == {0, 1}
    assert set(table["unit"]) == {"a", "b"}
    curve = pd.read_csv(paths.cell(dataset="d", model="m") / "tracking.csv")
    ends = ["nearest_ci_low", "nearest_ci_high"]
    assert list(curve) == ["variant", "delta", "nearest", *ends, "optimal", "chance", "pairs"]
    for column, metric in zip(["nearest", *ends], ["d1", "d1_ci_low", "d1_ci_high"], strict=True):
        assert curve[column][0] == cell["association"]["raw"][metric]


def test_the_same_bytes_twice(here):
    prepare(here, frames("a", "query", SEEN), np.random.default_rng(0).normal(size=(4, *GRID, 8)))

    def written() -> dict[str, str]:
        run(here, ("raw", "prune_random"))
        files = [
            p
            for f in (paths.cell(dataset="d", model="m"), paths.tracks(dataset="d", model="m"))
            for p in f.rglob("*.*")
        ]
        return {p.as_posix(): sha256(p.read_bytes()).hexdigest() for p in files}

    first = written()
    assert len(first) == 3 + 2 * 2
    assert written() == first


def test_tracks_are_written_as_mot_and_bdd_files(here):
    prepare(here, frames("a", "query", [[11, 12, 0], [0, 0, 0], [11, 0, 0]]))
    run(here)
    folder = paths.tracks(dataset="d", model="m") / "raw"
    assert (folder / "mot/a.txt").read_text().splitlines() == [
        "1,1,1.00,1.00,8.00,16.00,1,-1,-1,-1",
        "1,2,25.00,1.00,8.00,16.00,1,-1,-1,-1",
        "3,1,1.00,1.00,8.00,16.00,1,-1,-1,-1",
    ]
    content = json.loads((folder / "bdd100k/a.json").read_text())
    assert [frame["index"] for frame in content] == [0, 1, 2]
    assert content[1]["labels"] == []
    assert content[2] == {
        "name": "a_2.png",
        "videoName": "a",
        "frameIndex": 2,
        "index": 2,
        "labels": [
            {"id": "1", "category": "car", "box2d": {"x1": 0.0, "y1": 0.0, "x2": 7.0, "y2": 15.0}}
        ],
    }


@pytest.mark.parametrize("step", [31, 33_366_700])
def test_frames_further_apart_than_the_age_are_an_error(here, step):
    query = frames("a", "query", SEEN)
    for position, entry in enumerate(query):
        entry["frame"] = step * position
    prepare(here, query)
    with pytest.raises(SettingsError) as caught:
        run(here)
    assert str(caught.value).startswith(
        f"params.yaml: tracking.age: 30 frames, but those of 'a' of 'd' are {step} apart, so that "
        "every track ends at once; number its images one by one"
    )


def test_errors_name_what_is_missing(here):
    prepare(here, [image("q0", box(11, *PLACES[0]))])
    with pytest.raises(
        SettingsError, match=r"tracking\.datasets: image 'q0' of 'd' is not a frame"
    ):
        run(here)
    shutil.rmtree("data")
    prepare(here, frames("a", "query", [[0, 0, 0]]))
    with pytest.raises(DataError, match="no evaluated objects, which T4 needs; choose a split"):
        run(here)
