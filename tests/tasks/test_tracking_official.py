"""Official ground truth with its distractors, crowds and spellings, as TrackEval is given it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchlens import paths
from patchlens.datasets import indexing as index
from patchlens.datasets.index import Index
from patchlens.errors import DataError
from patchlens.settings.datasets import Collected, Query, View
from patchlens.tasks.tracking.files import TrackFiles
from patchlens.tasks.tracking.official import scorer
from patchlens.tasks.tracking.track_scores import link_metrics
from patchlens.tasks.tracking.videos import Video

pytestmark = pytest.mark.usefixtures("here")
KEY = ("link", "raw", 0)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 100)).save(path)


def indexed(kind: str, split: str) -> tuple[TrackFiles, Video]:
    """The only video of the dataset in `root`, and how its files are named."""
    dataset = Collected(
        kind=kind,
        root="root",
        view=View(mode="whole", grid="equal", patches=[4, 4]),
        support=None,
        query=Query(split=split, images="all", per="total", unit="sequence"),
    )
    index.run("d", dataset)
    found = Index(paths.index("d"), Path("root"))
    (name,) = found.images["sequence"].unique()
    objects = found.objects[found.objects["evaluated"]]
    frames = found.images["frame"]
    video = Video(
        name=name,
        frames=frames.to_numpy(dtype=np.int64),
        frame=frames[objects["image_id"]].to_numpy(dtype=np.int64),
        instance=objects["instance"].to_numpy(),
        class_id=objects["class_id"].to_numpy(),
        boxes=objects[["x0", "y0", "x1", "y1"]].to_numpy(),
        placed=np.ones(len(objects), dtype=bool),
    )
    return TrackFiles(found, kind, {name: list(found.images.index)}), video


def score(kind: str, split: str, tracks: list[int], work: Path) -> tuple[Video, dict]:
    files, video = indexed(kind, split)
    counts = scorer(files, work)[0](video, {KEY: np.array(tracks)})[KEY]
    return video, counts | {
        name: float(value)
        for name, value in link_metrics({k: np.array(v) for k, v in counts.items()}).items()
    }


def mot17(lines: list[str]) -> None:
    for detector in ("DPM", "SDP"):  # copies that share images and ground truth
        folder = Path(f"root/train/MOT17-02-{detector}")
        for frame in (1, 2, 3):
            picture(folder / f"img1/{frame:06}.jpg")
        (folder / "gt").mkdir()
        (folder / "gt/gt.txt").write_text("\n".join(lines) + "\n")
        (folder / "seqinfo.ini").write_text(
            "[Sequence]\nname=x\nimDir=img1\nframeRate=30\nseqLength=3\nimWidth=200\n"
            "imHeight=100\nimExt=.jpg\n"
        )


TWO = [f"{t},{i},{60 * i},10,20,40,1,1,1" for t in (1, 3) for i in (1, 2)]  # none in frame 2
# A distractor and a pedestrian of flag 0: TrackEval forgives them, nobody is to be fed them.
OTHERS = ["1,7,5,60,20,30,1,8,1", "1,8,100,60,20,30,0,1,1"]


def test_mot17_feeds_the_evaluated_pedestrians_alone(here):
    mot17(TWO + OTHERS)
    video, found = score("mot17", "train", [1, 2, 1, 2], here / "work")
    assert len(video) == 4
    assert (found["clr_tp"], found["clr_fn"], found["clr_fp"]) == (4, 0, 0)
    assert {found[name] for name in ("assa", "idf1", "hota", "deta", "mota")} == {1}
    assert (here / "work/trackers/link-raw-0/data/MOT17-02-DPM.txt").is_file()


@pytest.mark.parametrize("mark", [", ", "\t", " ; "])
def test_mot17_is_scored_as_it_is_read(here, mark):
    flat = "1,9,5,60,20,0,1,1,1"
    mot17(
        ["\ufeff" + TWO[0].replace(",", mark), *(row.replace(",", mark) for row in TWO[1:]), flat]
    )
    video, found = score("mot17", "train", [1, 2, 1, 2], here / "work")
    assert len(video) == 4
    assert (found["clr_tp"], found["clr_fn"], found["clr_fp"]) == (4, 0, 0)


def test_mot17_swapped_tracks_by_hand(here):
    mot17(TWO + OTHERS)
    _, found = score("mot17", "train", [1, 2, 2, 1], here / "work")
    # Every pair of id and track shares one box: 1 / (2 + 2 - 1).
    assert found["assa"] == pytest.approx(1 / 3)
    assert (found["idf1"], found["idsw"], found["deta"]) == (0.5, 2, 1)
    assert found["mota"] == pytest.approx(1 - 2 / 4)


def test_a_ground_truth_that_trackeval_refuses_is_named(here):
    mot17(TWO)
    files, video = indexed("mot17", "train")
    Path("root/train/MOT17-02-DPM/gt/gt.txt").write_text("\n".join([*TWO, TWO[0]]) + "\n")
    with pytest.raises(DataError, match="ground truth of 'MOT17-02-DPM': TrackEval: Ground-truth"):
        scorer(files, here / "work")[0](video, {KEY: np.array([1, 2, 1, 2])})


def label(instance: str, category: str, x: float, crowd: str | None = None) -> dict:
    box = {"x1": x, "y1": 10.0, "x2": x + 19, "y2": 49.0}
    about = {"id": instance, "category": category, "box2d": box}
    return about | ({"attributes": {crowd: True}} if crowd else {})


def bdd(number: str, frames: list[list[dict] | None]) -> None:
    folder = Path("root/labels/box_track_20/val")
    folder.mkdir(parents=True)
    content = []
    for t, labels in enumerate(frames):
        name = f"v-{t + 1:07}.jpg"
        picture(Path("root/images/track/val/v") / name)
        content.append({"name": name, "videoName": "v", number: t, "labels": labels})
    (folder / "v.json").write_text(json.dumps(content))


@pytest.mark.parametrize("number", ["index", "frameIndex"])
def test_bdd100k_in_both_spellings_with_crowds_and_distractors(here, number):
    frame = [
        label("a", "car", 0),
        label("b", "bike", 40),
        label("c", "other vehicle", 80),
        label("d", "car", 120, "crowd"),
        label("e", "car", 160, "Crowd"),
    ]
    bdd(number, [frame, None, frame])
    video, found = score("bdd100k_track", "val", [1, 2, 1, 2], here / "work")
    assert len(video) == 4
    assert (found["clr_tp"], found["clr_fp"], found["clr_fn"]) == (4, 0, 0)
    assert {found[name] for name in ("assa", "idf1", "hota", "deta", "mota")} == {1}


def test_bdd100k_is_scored_as_it_is_read(here):
    frame = [label("1", "car", 0), label("2", "bus", 40)]
    bdd("index", [frame, frame])
    path = Path("root/labels/box_track_20/val/v.json")
    shown = json.loads(path.read_text())
    for one in shown:
        one["labels"] += [label("3", "car", 80) | {"box2d": None}, {"id": "4", "poly2d": []}]
    apart = Path("root/labels.zip") / path.relative_to("root")
    apart.parent.mkdir(parents=True)
    path.rename(apart)
    path.parent.rmdir()
    apart.write_text(json.dumps({"frames": shown, "config": {}}))
    video, found = score("bdd100k_track", "val", [1, 2, 1, 2], here / "work")
    assert len(video) == 4
    assert (found["clr_tp"], found["clr_fn"], found["clr_fp"]) == (4, 0, 0)


def test_bdd100k_swapped_tracks_by_hand(here):
    # Two cars that swap, and a bus that does not: sums over the classes.
    frame = [label("1", "car", 0), label("2", "car", 40), label("3", "bus", 80)]
    bdd("index", [frame, frame])
    _, found = score("bdd100k_track", "val", [1, 2, 3, 2, 1, 3], here / "work")
    assert found["assa"] == pytest.approx((4 * (1 / 3) + 2) / 6)
    assert (found["idf1"], found["idsw"]) == (pytest.approx(4 / 6), 2)


@pytest.mark.parametrize("kind", ["mot17", "bdd100k_track"])
def test_frames_that_are_not_in_the_query_are_not_missed(here, kind):
    mot17(TWO)
    bdd("index", [[label("1", "car", 0), label("2", "bus", 40)]] * 2)
    files, video = indexed(kind, "train" if kind == "mot17" else "val")
    first = video.frame == video.frames[0]
    cut = Video(
        name=video.name,
        frames=video.frames[:1],
        frame=video.frame[first],
        instance=video.instance[first],
        class_id=video.class_id[first],
        boxes=video.boxes[first],
        placed=video.placed[first],
    )
    files.sequences[video.name][1:] = []
    found = scorer(files, here / "work")[0](cut, {KEY: np.array([1, 2])})[KEY]
    assert (found["clr_tp"], found["clr_fn"]) == (2, 0)
