"""The animation of tracks: its size, its colours, and what it says where there is nothing."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from configured import configured
from patchlens import paths
from patchlens.cli import app
from patchlens.errors import DataError, SettingsError
from patchlens.features.cell import Cell
from patchlens.tasks.tracking import show as show_tracking
from patchlens.tasks.tracking.animation import LARGEST, TRACK_COLOURS, WIDTHS, Mark, animation
from patchlens.tasks.tracking.files import TrackFiles
from patchlens.tasks.tracking.videos import Video
from tasks.scene import box, dataset, image, write_index

pytestmark = pytest.mark.usefixtures("here")


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as gif:
        found = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            found.append(np.asarray(gif.convert("RGB")))
    return found


def coloured(frame: np.ndarray, track: int) -> np.ndarray:
    return (frame == TRACK_COLOURS[(track - 1) % len(TRACK_COLOURS)]).all(axis=-1)


def test_a_track_keeps_its_colour_and_its_place(here):
    rng = np.random.default_rng(0)
    still = Image.fromarray(rng.integers(0, 256, (128, 256, 3), np.uint8))
    marks = [
        [Mark(1, (20, 40, 60, 100)), Mark(2, (120, 40, 200, 100))],
        [Mark(2, (20, 40, 60, 100))],
    ]
    animation([(still, m) for m in marks], here / "a.gif")
    first, second = frames_of(here / "a.gif")
    assert first.shape == (256, 512, 3)
    for frame, track, x in ((first, 1, 40), (first, 2, 240), (second, 2, 40)):
        where = coloured(frame, track)
        assert where[120, x]  # the left edge of its box, in twice the size
        assert where.sum() > 200
    assert not coloured(second, 1).any()


def test_a_mask_is_drawn_as_it_is(here):
    mask = np.zeros((128, 256), dtype=bool)
    mask[50:90, 100:140] = True
    still = Image.new("RGB", (256, 128), "grey")
    animation([(still, [Mark(3, (100, 50, 140, 90), mask)])] * 2, here / "a.gif")
    inside = coloured(frames_of(here / "a.gif")[0], 3)[110:170, 210:270]
    assert 0.4 < inside.mean() < 0.6  # what is below stays visible


def test_no_animation_is_above_its_size(here):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (90, 160, 3), np.uint8)) for _ in range(40)]
    animation([(one.resize((1280, 720)), []) for one in noise], here / "a.gif")
    assert (here / "a.gif").stat().st_size <= LARGEST
    assert len(frames_of(here / "a.gif")) == 40


def test_where_the_narrowest_is_too_large_every_second_frame_is_dropped(here):
    rng = np.random.default_rng(0)
    tall = rng.integers(0, 256, (40, 640, 160, 3), np.uint8)
    marks = [Mark(t % 8 + 1, (20, 40, 60, 100)) for t in range(40)]
    animation([(Image.fromarray(p), [m]) for p, m in zip(tall, marks, strict=True)], here / "a.gif")
    assert (here / "a.gif").stat().st_size <= LARGEST
    found = frames_of(here / "a.gif")
    assert found[0].shape[1] == WIDTHS[-1]
    assert len(found) == 10  # of every 4th: of every 2nd it is still larger
    for frame, mark in zip(found, marks[::4], strict=True):
        assert coloured(frame, mark.track)[70, 20]


def a_sequence(root: Path, frames: int = 3) -> None:
    entries = [
        image(f"a_{t}", box(11, 0, 0, 8, 16), box(12, 24, 0, 40, 24), sequence="a", frame=t)
        for t in range(frames)
    ]
    index = write_index(root, entries, support=[])
    frame = np.repeat(np.arange(frames), 2)
    boxes = np.tile([[0, 0, 8, 16], [24, 0, 40, 24]], (frames, 1)).astype(float)
    nobody = np.zeros(len(frame), dtype=np.int64)
    video = Video("a", np.arange(frames), frame, nobody, nobody, boxes, nobody == 0)
    files = TrackFiles(index, "folder", {"a": [e["image_id"] for e in entries]})
    files.write(video, np.tile([1, 2], frames), paths.tracks(dataset="d", model="m") / "raw")


def draw(root: Path, sequence: str | None = "a", model: str = "m") -> list[np.ndarray]:
    asked = configured(datasets={"d": dataset(root, support=False)})
    show_tracking.run(root / "drawn.gif", Cell(dataset="d", model=model, settings=asked), sequence)
    return frames_of(root / "drawn.gif")


def test_the_written_tracks_are_drawn(here):
    a_sequence(here)
    found = draw(here)
    assert len(found) == 3
    for frame in found:
        scale = frame.shape[1] / 48
        assert coloured(frame, 1)[round(14 * scale), 0]
        assert coloured(frame, 2)[round(20 * scale), round(24 * scale)]


def test_a_long_sequence_is_thinned_out(here):
    a_sequence(here, 100)
    assert len(draw(here)) == 34


def test_what_is_missing_is_named(here):
    a_sequence(here)
    with pytest.raises(SettingsError, match="unknown sequence 'b' of 'd'"):
        draw(here, "b")
    with pytest.raises(DataError, match=r"no tracks; run `dvc repro tracking` first"):
        draw(here, model="other")
    assert not (here / "drawn.gif").exists()


def test_images_without_a_sequence_are_an_error(here):
    write_index(here, [image("a", box(1, 0, 0, 8, 16))], support=[])
    with pytest.raises(SettingsError, match="no query image of 'd' is a frame of a sequence"):
        draw(here, None)


@pytest.mark.parametrize(
    ("option", "file"), [([], "d-m.gif"), (["--sequence", "a"], "d-m-a.gif")], ids=["first", "a"]
)
def test_the_command_draws_the_sequence_that_is_asked_for_or_the_first(root, here, option, file):
    a_sequence(here)
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    content["datasets"]["d"] = dataset(here, support=False).model_dump()
    content["fetch"]["placed"] = ["d"]
    content["models"]["m"] = {"source": "pixels", "patch_size": 8}
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    result = CliRunner().invoke(app, ["show", "tracking", "d", "--model", "m", *option])
    assert (result.exit_code, result.stdout) == (0, f"reports/tracking/{file}\n"), result.stderr
    draw(here)
    drawn = (here / "drawn.gif").read_bytes()
    assert (paths.REPORTS / "tracking" / file).read_bytes() == drawn
