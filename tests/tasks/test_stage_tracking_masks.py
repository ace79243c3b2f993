"""Label propagation through the stage, on masks whose scores are known."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cells import compute
from patchlens import paths
from patchlens.datasets import indexing as index
from patchlens.errors import DataError
from patchlens.features.cell import Cell
from patchlens.settings.datasets import Collected, Query, View
from patchlens.tasks.tracking import explore, show
from tasks.scene import GRID, write_features
from tasks.tracked import of

pytestmark = pytest.mark.usefixtures("here")


def davis2017(root: Path, masks: list[np.ndarray], name: str = "v") -> None:
    """A video of DAVIS 2017 with these masks, whose patches look like what they show."""
    (root / "ImageSets/2017").mkdir(parents=True, exist_ok=True)
    with (root / "ImageSets/2017/val.txt").open("a") as listed:
        listed.write(f"{name}\n")
    for t, mask in enumerate(masks):
        for part, content, suffix in (
            ("JPEGImages", mask * 20, "jpg"),
            ("Annotations", mask, "png"),
        ):
            path = root / part / "480p" / name / f"{t:05}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)


def collected(kind: str, root: Path, split: str) -> Collected:
    query = Query(split=split, images="all", per="total", unit="sequence")
    view = View(mode="whole", grid="equal", patches=list(GRID))
    return Collected(kind=kind, root=str(root), view=view, support=None, query=query)


def propagated(
    root: Path, masks: list[np.ndarray], looks: list[np.ndarray], extra: str | None = None
) -> dict:
    """T4c on masks, with one-hot features of `looks`, a value for each patch of 8 pixels.

    `extra` is another video of as many frames, with the same features.
    """
    davis2017(root, masks)
    found = collected("davis2017", root, "val")
    index.run("d", found)
    videos = [name for name in (extra, "v") if name]
    ids = [f"{name}/{t:05}" for name in videos for t in range(len(masks))]
    shown = np.stack([look[4::8, 4::8] for look in looks] * len(videos))
    write_features("query", ids, np.eye(8)[shown])
    return tracked(found)


def tracked(found: Collected) -> dict:
    asked = of(found, ("raw", "keep_top"))
    compute("prune", dataset="d", model="m", settings=asked)
    compute("tracking", dataset="d", model="m", settings=asked)
    return json.loads((paths.cell(dataset="d", model="m") / "tracking.json").read_text())


def two_objects(shift: int = 0) -> np.ndarray:
    mask = np.zeros((32, 48), np.uint8)
    mask[8:24, 8 + shift : 16 + shift], mask[16:32, 32:48] = 1, 2
    return mask


def test_an_oracle_propagates_the_given_objects(here):
    masks = [two_objects(8 * t) for t in range(4)]
    for mask in masks:  # as high as the image: bilinear edges would round the corners
        mask[:] = mask.max(axis=0)
    cell = propagated(here, masks, masks)
    names = ("j_mean", "j_recall", "f_mean", "f_recall", "jf_mean")
    assert {cell["davis"]["raw"][name] for name in names} == {1}
    assert (cell["davis"]["raw"]["j_decay"], cell["davis"]["raw"]["f_decay"]) == (0, 0)
    assert (cell["protocol"]["videos"], cell["protocol"]["objects"]) == (1, 2)


def test_masks_are_written_with_the_values_of_the_objects(here):
    masks = [np.array([0, 1, 200], np.uint8)[two_objects()]] * 3
    propagated(here, masks, [two_objects()] * 3)
    folder = paths.tracks(dataset="d", model="m") / "raw/davis/v"
    with Image.open(folder / "00000.png") as first:
        assert first.mode == "P"
        assert np.array_equal(np.asarray(first), masks[0])
    assert set(np.unique(np.asarray(Image.open(folder / "00002.png")))) == {0, 1, 200}


def test_swapped_objects_keep_their_given_ids(here):
    masks = [two_objects()] * 4
    looks = [masks[0], *[np.array([0, 2, 1], np.uint8)[masks[0]]] * 3]
    cell = propagated(here, masks, looks)
    # Each id covers the other's place; a matching of ids to objects would score 1.
    assert cell["davis"]["raw"]["j_mean"] == 0
    assert cell["protocol"]["objects"] == 2


def test_the_last_frame_and_void_do_not_count(here):
    masks = [two_objects() for _ in range(4)]
    looks = list(masks)
    masks[3] = np.zeros_like(masks[3])  # would be wrong, but is the last
    masks[1], masks[2] = masks[1].copy(), masks[2].copy()
    for mask in masks[1:3]:
        mask[16:32, 32:48] = 255  # the second object is void: neither there nor missed
    whole = propagated(here, masks, looks)["davis"]["raw"]
    assert whole["j_mean"] > 0.9


def test_a_video_whose_first_frame_is_empty_is_skipped(here, caplog):
    masks = [two_objects()] * 3
    davis2017(here, [np.zeros_like(masks[0]), *masks[1:]], "empty")
    assert propagated(here, masks, masks, extra="empty")["protocol"]["videos"] == 1
    assert "empty: skipped, its first frame 'empty/00000' has no object" in caplog.text


def test_a_video_without_a_frame_between_its_ends_is_an_error(here):
    masks = [two_objects()] * 2
    with pytest.raises(DataError, match="no video has three frames"):
        propagated(here, masks, masks)


def own_video(
    root: Path, masks: list[np.ndarray], labelled: list[int], looks: list[np.ndarray] | None = None
) -> dict:
    """T4c on a user's own video, of which these frames have an instance mask."""
    for t, mask in enumerate(masks):
        for part, content, suffix in (("images", mask * 20, "jpg"), ("instances", mask, "png")):
            if part == "images" or t in labelled:
                path = root / part / "v" / f"{t:06}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(content).save(path)
    (root / "instances.csv").write_text("instance,class\n1,thing\n2,thing\n")
    about = {"classes": ["thing"], "sequences": ["v"], "splits": {"video": ["v"]}, "partial": True,
             "instances": "instances.csv", "instance_scope": "sequence"}  # fmt: skip
    (root / "dataset.yaml").write_text(json.dumps(about))
    found = collected("folder", root, "video")
    index.run("d", found)
    ids = [f"v/{t:06}" for t in range(len(masks))]
    write_features("query", ids, np.eye(8)[np.stack([look[4::8, 4::8] for look in looks or masks])])
    return tracked(found)


def moving() -> list[np.ndarray]:
    masks = [two_objects(8 * t) for t in range(4)]
    for mask in masks:
        mask[:] = mask.max(axis=0)
    return masks


@pytest.mark.parametrize("given", [0, 2])
def test_one_labelled_frame_is_carried_to_both_ends_and_not_scored(here, given):
    masks = moving()
    cell = own_video(here / "own", masks, [given])
    assert [*cell] == ["protocol"]
    assert (cell["protocol"]["videos"], cell["protocol"]["objects"]) == (1, 2)
    folder = paths.tracks(dataset="d", model="m") / "raw/davis/v"
    for t, mask in enumerate(masks):
        assert np.array_equal(np.asarray(Image.open(folder / f"{t:06}.png")), mask), t


def test_the_other_labelled_frames_are_scored(here):
    masks = moving()
    cell = own_video(here / "own", masks, [1, 3])
    assert {cell["davis"]["raw"][name] for name in ("j_mean", "f_mean")} == {1}
    swapped = [masks[0], masks[0], np.array([0, 2, 1], np.uint8)[masks[0]]]
    cell = own_video(here / "other", swapped, [0, 1, 2], [masks[0]] * 3)
    assert cell["davis"]["raw"]["j_mean"] == 0.5  # of the frames 1 and 2


def test_a_film_shows_what_was_carried(here):
    own_video(here / "own", moving(), [1])
    settings = of(collected("folder", here / "own", "video"), ("raw",))
    show.run(here / "film.gif", Cell(dataset="d", model="m", settings=settings))
    with Image.open(here / "film.gif") as shown:
        assert shown.n_frames == 4


def test_the_film_has_a_colour_for_each_carried_object_and_no_background(here: Path) -> None:
    values = np.array([[0, 1], [9, 2]], dtype=np.uint8)
    (here / "walk").mkdir()
    for name in ("00001", "00004"):
        Image.fromarray(values).save(here / f"walk/{name}.png")
    [first, second] = explore._carried(here / "walk", ["walk/00001", "walk/00004"])["masks"]
    assert first == second
    drawn = Image.open(io.BytesIO(base64.b64decode(first.partition(",")[2]))).convert("RGBA")
    pixels = np.asarray(drawn)
    assert (pixels[..., 3] > 0).tolist() == [[False, True], [True, True]]
    colours = [tuple(pixels[at][:3]) for at in ((0, 1), (1, 1), (1, 0))]
    assert colours == [explore.TRACK_COLOURS[n] for n in (0, 1, 0)]  # of eight, in turn
