"""Videos, and frames in a folder, become sequences with masks to propagate or tracks."""

import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from annotations import written
from annotations.written import HEIGHT, LABELS, WIDTH, joined, photos, text
from patchlens.annotations import video
from patchlens.annotations.convert import Converted, convert, with_splits
from patchlens.datasets import readers
from patchlens.datasets.layout import Terms
from patchlens.datasets.masks import open_ids
from patchlens.errors import DataError

SIZE = (64, 48)
FRAMES = 9


def filmed(path: Path, frames: int = FRAMES, turn: int = 0) -> Path:
    """A video whose frame i is grey of 20 i, brighter in its top left quarter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for i in range(frames):
            pixels = np.full((48, 64, 3), 20 * i, dtype=np.uint8)
            pixels[:24, :32] += 60
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    if turn:
        rotated(path, turn)
    return path


def rotated(path: Path, degrees: int) -> None:
    """Write into the header that the video is shown turned clockwise, as phones do."""
    content = path.read_bytes()
    unit = 1 << 16
    plain = struct.pack(">9i", unit, 0, 0, 0, unit, 0, 0, 0, 1 << 30)
    turned = {90: (0, unit, 0, -unit, 0, 0, 0, 0, 1 << 30)}[degrees]
    at = content.index(plain, content.index(b"tkhd"))
    path.write_bytes(content[:at] + struct.pack(">9i", *turned) + content[at + len(plain) :])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filmed(tmp_path_factory.mktemp("video") / "walk.mp4")


def mask(path: Path, size: tuple[int, int] = SIZE, things: int = 1) -> Path:
    values = np.zeros(size[::-1], dtype=np.uint8)
    for thing in range(things):
        values[10:30, 10 + 12 * thing : 20 + 12 * thing] = thing + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def images_of(out: Path, found: Converted) -> dict[str, tuple[int | None, str | None]]:
    with_splits(out, {"video": [*found.sequences]})
    images = readers.read("folder", out).images
    return {image.image_id: (image.frame, image.instances) for image in images}


@pytest.mark.parametrize("suffix", ["mp4", "mov", "avi"])
def test_every_nth_frame_of_a_video_is_kept_with_its_number(tmp_path: Path, suffix: str) -> None:
    path = filmed(tmp_path / f"walk.{suffix}")
    found = convert(path, None, tmp_path / "out", every=4)
    assert images_of(tmp_path / "out", found) == {
        "walk/000000": (0, None), "walk/000004": (4, None), "walk/000008": (8, None)
    }  # fmt: skip
    for number in (0, 4, 8):
        pixels = np.asarray(Image.open(tmp_path / f"out/images/walk/{number:06}.jpg")).astype(int)
        assert pixels.shape == (48, 64, 3)
        assert abs(pixels[40, 50].mean() - 20 * number) < 12
        assert pixels[8, 8].mean() - pixels[40, 50].mean() > 40


def test_a_video_of_a_phone_is_upright(tmp_path: Path) -> None:
    [(_, picture), *_] = video.frames(filmed(tmp_path / "a.mp4", frames=3, turn=90), 1)
    pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (64, 48, 3)
    bright = [(y, x) for y in (8, 56) for x in (8, 40) if pixels[y, x].mean() > 40]
    assert bright == [(8, 40)]  # the top left is the top right after a quarter turn clockwise


@pytest.mark.parametrize(
    ("name", "frame"),
    [("first.png", 0), ("walk_000003.png", 3), ("00005.png", 5), ("frame_7_mask.png", 7)],
)
def test_one_mask_belongs_to_the_frame_that_it_names(
    tmp_path: Path, walk: Path, name: str, frame: int
) -> None:
    found = convert(walk, mask(tmp_path / "masks" / name), tmp_path / "out", every=2)
    assert found.sequences == {"walk": 1}
    named = {k: v for k, (_, v) in images_of(tmp_path / "out", found).items() if v is not None}
    assert [*named] == [f"walk/{frame:06}"]
    assert open_ids(tmp_path / "out" / named[f"walk/{frame:06}"]).max() == 1
    assert any("taken for the first one" in note for note in found.notes) == (frame == 0)


def test_masks_of_several_frames_name_the_same_objects(tmp_path: Path, walk: Path) -> None:
    for number in (0, 6):
        mask(tmp_path / f"masks/{number:06}.png", things=2)
    found = convert(walk, tmp_path / "masks", tmp_path / "out", every=3)
    assert found.sequences == {"walk": 2}
    images = images_of(tmp_path / "out", found)
    assert [k for k, (_, v) in images.items() if v] == ["walk/000000", "walk/000006"]
    table = (tmp_path / "out/instances.csv").read_text(encoding="utf-8").splitlines()
    assert table == ["instance,class", "1,value 1", "2,value 2"]


def test_masks_in_folders_belong_to_the_videos_of_these_names(tmp_path: Path, walk: Path) -> None:
    for name in ("walk", "run"):
        (tmp_path / "videos").mkdir(exist_ok=True)
        (tmp_path / f"videos/{name}.mp4").write_bytes(walk.read_bytes())
        mask(tmp_path / f"masks/{name}/00002.png")
    found = convert(tmp_path / "videos", tmp_path / "masks", tmp_path / "out", every=8)
    assert found.sequences == {"run": 1, "walk": 1}
    images = images_of(tmp_path / "out", found)
    assert [k for k, (_, v) in images.items() if v] == ["run/000002", "walk/000002"]


def cvat(folder: Path, *tracks: str, size: tuple[int, int] = SIZE) -> Path:
    return text(folder / "annotations.xml", (
        f"<annotations><meta><task><mode>interpolation</mode>{LABELS}<original_size>"
        f"<width>{size[0]}</width><height>{size[1]}</height></original_size></task>"
        f"<source>walk.mp4</source></meta>{''.join(tracks)}</annotations>"
    ))  # fmt: skip


def boxes(track: int, label: str, frames: range, outside: int = 99) -> str:
    lines = [
        f'<box frame="{f}" outside="{int(f >= outside)}" keyframe="1" xtl="{10 + f}" ytl="10" '
        f'xbr="{20 + f}" ybr="30" z_order="0"/>'
        for f in frames
    ]
    return f'<track id="{track}" label="{label}">{"".join(lines)}</track>'


def test_boxes_of_cvat_that_recur_are_tracks(tmp_path: Path, walk: Path) -> None:
    tracks = boxes(4, "car", range(6), outside=5), boxes(7, "road", range(2, 4))
    found = convert(walk, cvat(tmp_path / "labels", *tracks), tmp_path / "out")
    assert (found.format, found.sequences, found.boxes) == ("cvat", {"walk": 5}, 7)
    with_splits(tmp_path / "out", {"video": ["walk"]})
    images = list(readers.read("folder", tmp_path / "out").images)
    assert [len(i.objects) for i in images] == [1, 1, 2, 2, 1, 0, 0, 0, 0]
    assert images[3].objects[0].box == (13, 10, 23, 30)
    assert {o.instance for i in images for o in i.objects} == {"walk/1", "walk/2"}
    classes = readers.read("folder", tmp_path / "out").classes
    assert [classes[o.class_id] for o in images[2].objects] == ["car", "road"]


MOT = "1,4,11,11,10,20,1,{c}\n2,4,12,11,10,20,1,{c}\n2,7,31,11,10,20,0,{c}\n"


@pytest.mark.parametrize(
    ("rest", "labels", "classes"),
    [
        ("3,1.0", "road\nbus\ncar\n", ["car"]),
        ("3,0.5", "", ["class 3"]),
        ("-1,-1,-1", "", ["object"]),
    ],
)
def test_tracks_of_mot_are_of_a_video_or_of_its_frames(
    tmp_path: Path, walk: Path, rest: str, labels: str, classes: list[str]
) -> None:
    path = text(tmp_path / "walk/gt/gt.txt", MOT.format(c=rest))
    if labels:
        text(tmp_path / "walk/gt/labels.txt", labels)
    frames = photos(tmp_path / "walk/img1", *(f"{n:06}.png" for n in (1, 2, 3)))
    for given, name in ((walk, "walk"), (frames, "img1")):
        found = convert(given, path, tmp_path / f"out-{name}")
        assert (found.format, found.sequences, found.boxes) == ("mot", {name: 2}, 2)
        with_splits(tmp_path / f"out-{name}", {"video": [name]})
        read = readers.read("folder", tmp_path / f"out-{name}")
        images = list(read.images)
        assert [len(i.objects) for i in images][:3] == [1, 2, 0]
        assert images[0].objects[0].box == (10, 10, 20, 30)
        assert [o.evaluated for o in images[1].objects] == [True, False]
        assert [read.classes[images[0].objects[0].class_id]] == classes


def test_a_class_of_mot_without_a_name_is_refused(tmp_path: Path, walk: Path) -> None:
    path = text(tmp_path / "gt.txt", MOT.format(c="3,1.0"))
    text(tmp_path / "labels.txt", "road\n")
    with pytest.raises(DataError, match=r"gt\.txt, line 1: class 3 is not in labels\.txt"):
        convert(walk, path, tmp_path / "out")


def test_one_box_in_one_frame_is_an_object_to_propagate(tmp_path: Path, walk: Path) -> None:
    path = cvat(tmp_path / "labels", boxes(4, "car", range(3, 4)))
    found = convert(walk, path, tmp_path / "out", every=4)
    images = images_of(tmp_path / "out", found)
    assert [k for k, (_, v) in images.items() if v] == ["walk/000003"]
    ids = open_ids(tmp_path / "out/instances/walk/000003.png")
    assert ids[10:30, 13:23].min() == 1
    assert ids.sum() == 200
    assert "propagated as full boxes" in found.notes[-1]


def test_outlines_of_cvat_are_instance_masks_by_track(tmp_path: Path, walk: Path) -> None:
    def outline(x: int) -> str:
        return joined([x, 10, x + 10, 10, x + 10, 30, x, 30])

    tracks = [
        f'<track id="{t}" label="car">'
        + "".join(
            f'<polygon frame="{f}" outside="0" keyframe="1" points="{outline(5 + 20 * t + f)}" '
            'z_order="0"/>' for f in (1, 4)
        )
        + "</track>"
        for t in (0, 1)
    ]  # fmt: skip
    found = convert(walk, cvat(tmp_path / "labels", *tracks), tmp_path / "out")
    assert found.sequences == {"walk": 2}
    ids = open_ids(tmp_path / "out/instances/walk/000004.png")
    assert (ids[20, 10], ids[20, 30]) == (1, 2)
    assert np.unique(ids).tolist() == [0, 1, 2]


def test_a_folder_of_frames_is_a_video_if_asked(tmp_path: Path) -> None:
    folder = photos(tmp_path / "run", *(f"img{n}.png" for n in (8, 9, 10, 11)))
    path = mask(tmp_path / "img9.png", (WIDTH, HEIGHT))
    found = convert(folder, path, tmp_path / "out", frames=True, every=3)
    assert found.sequences == {"run": 1}
    frames = {k: f for k, (f, _) in images_of(tmp_path / "out", found).items()}
    assert frames == {"run/img8": 8, "run/img9": 9, "run/img11": 11}


def test_labelme_beside_the_frames_is_paired(tmp_path: Path) -> None:
    folder = photos(tmp_path / "run", "a1.png", "a2.png")
    written.labelme(folder, imagePath="a2.png")
    found = convert(folder, folder, tmp_path / "out", frames=True)
    assert found.sequences == {"run": 1}
    assert images_of(tmp_path / "out", found)["run/a2"] == (2, "instances/run/a2.png")


def bytes_of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def cut(path: Path) -> Path:
    content = filmed(path).read_bytes()
    return bytes_of(path, content[: len(content) // 3])


def audio(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return path


BOX = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nfile:///etc/passwd\n"
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a playlist": (partial(bytes_of, content=PLAYLIST), "is no mp4, mov or avi"),
    "a list of concat": (
        partial(bytes_of, content=b"ffconcat version 1.0\nfile /etc/passwd\n"), "is no mp4, mov"
    ),
    "a manifest of DASH": (partial(bytes_of, content=b"<?xml?><MPD></MPD>"), "is no mp4, mov"),
    "a playlist in a box": (partial(bytes_of, content=BOX + PLAYLIST), "cannot be decoded"),
    "Matroska": (partial(bytes_of, content=b"\x1a\x45\xdf\xa3" * 9), "is no mp4, mov or avi"),
    "HEIC": (partial(bytes_of, content=b"\x00\x00\x00\x18ftypheic" * 9), "is no mp4, mov or avi"),
    "nothing": (partial(bytes_of, content=b""), "is no mp4, mov or avi"),
    "a video cut short": (cut, "cannot be decoded"),
    "sound only": (audio, "has no pictures"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video_is_one_line(tmp_path: Path, name: str) -> None:
    make, expected = BAD[name]
    path = make(tmp_path / "walk.mp4")
    with pytest.raises(DataError, match=expected) as caught:
        convert(path, None, tmp_path / "out")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_frames_and_pixels_are_limited(
    tmp_path: Path, walk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MOST", 3)
    with pytest.raises(DataError, match="more than 3 frames to keep"):
        list(video.frames(walk, 1))
    assert len(list(video.frames(walk, 4))) == 3
    monkeypatch.setattr(video, "Terms", partial(Terms, max_megapixels=0.002))
    with pytest.raises(DataError, match="have more than"):
        list(video.frames(walk, 4))


def test_videos_and_pictures_are_not_mixed(tmp_path: Path, walk: Path) -> None:
    folder = photos(tmp_path / "all", "a.png")
    (folder / "walk.mp4").write_bytes(walk.read_bytes())
    with pytest.raises(DataError, match=r"videos \(1\) and pictures \(1\)"):
        convert(folder, None, tmp_path / "out")


def test_a_frame_of_another_size_is_refused(tmp_path: Path, walk: Path) -> None:
    path = cvat(tmp_path / "labels", boxes(1, "car", range(2)), size=(128, 96))
    with pytest.raises(DataError, match="it was resized after labelling"):
        convert(walk, path, tmp_path / "out")
    with pytest.raises(DataError, match="must have the size of its picture"):
        convert(walk, mask(tmp_path / "first.png", (32, 24)), tmp_path / "out")
