"""What tools and systems add or change is tolerated in every reader, or refused in one line.

Each reader reads a miniature in its layout twice: plain, and with one kind of litter everywhere.
"""

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from patchlens.datasets import readers
from patchlens.datasets.below import at, folders, listed
from patchlens.datasets.layout import ImageEntry
from patchlens.datasets.reading import by_stem, frames, lines, pictures, table
from patchlens.errors import DataError, SourceError


def image(path: Path, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(path)


def ids(path: Path, value: int = 0, kind: type = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8), value, kind)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def folder(root: Path) -> None:
    for name in ("a", "b", "walk/000001", "walk/000002"):
        image(root / f"images/{name}.png")
        ids(root / f"masks/{name}.png")
    write(root / "tracks/walk.txt", "1,1,2,2,3,2,1,1,1.0\n2,1,2,2,3,2,1,1,1.0\n")
    write(root / "query.txt", "b\nwalk\n")
    text = {
        "classes": ["cup"],
        "sequences": ["walk"],
        "splits": {"support": ["a"], "query": "query.txt"},
        "objects": "objects.json",
        "tracks": {1: "cup"},
    }
    write(root / "dataset.yaml", yaml.safe_dump(text))
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 6}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 2]}],
    }
    write(root / "objects.json", json.dumps(coco))


def ade20k(root: Path) -> None:
    for split in ("training", "validation"):
        image(root / f"images/{split}/ADE_1.jpg")
        ids(root / f"annotations/{split}/ADE_1.png")


def bdd100k_seg(root: Path) -> None:
    image(root / "images/10k/val/x.jpg")
    ids(root / "labels/sem_seg/masks/val/x.png")


def bdd100k_track(root: Path) -> None:
    shown: list[dict[str, Any]] = []
    for frame in range(2):
        image(root / f"images/track/val/v/v-{frame + 1:07d}.jpg")
        edges = {"x1": 1.0, "y1": 1.0, "x2": 3.0, "y2": 3.0}
        labels = [{"id": "7", "category": "car", "box2d": edges}]
        shown.append({"name": f"v-{frame + 1:07d}.jpg", "frameIndex": frame, "labels": labels})
    write(root / "labels/box_track_20/val/v.json", json.dumps(shown))


def camvid(root: Path) -> None:
    image(root / "val/0001TP_1.png")
    ids(root / "valannot/0001TP_1.png")
    write(root / "val.txt", "/home/x/val/0001TP_1.png /home/x/valannot/0001TP_1.png\n")


def cityscapes(root: Path) -> None:
    stem = "ulm_000000_000019"
    image(root / f"leftImg8bit/train/ulm/{stem}_leftImg8bit.png")
    ids(root / f"gtFine/train/ulm/{stem}_gtFine_labelIds.png", 7)
    ids(root / f"gtFine/train/ulm/{stem}_gtFine_instanceIds.png", 26001, np.uint16)


def coil100(root: Path) -> None:
    image(root / "obj1__0.png")
    image(root / "obj2__5.png")


def davis(root: Path) -> None:
    for frame in range(2):
        image(root / f"JPEGImages/480p/bear/{frame:05d}.jpg")
        ids(root / f"Annotations/480p/bear/{frame:05d}.png", 1)
    write(root / "ImageSets/2017/val.txt", "bear\n")


def kitti(root: Path) -> None:
    for frame in range(2):
        image(root / f"training/image_02/0000/{frame:06d}.png")
    rest = "0 0 0.0 1.0 1.0 4.0 4.0 1 1 1 1 1 1 1\n"
    write(root / "training/label_02/0000.txt", f"0 1 Car {rest}1 1 Car {rest}")


def mot(root: Path) -> None:
    here = root / "train/MOT16-02"
    for frame in (1, 2):
        image(here / f"img1/{frame:06d}.jpg")
    write(here / "gt/gt.txt", "1,1,2,2,3,2,1,1,1\n2,1,2,2,3,2,1,1,1\n")
    write(here / "seqinfo.ini", "[Sequence]\nimDir=img1\nseqLength=2\nimWidth=8\nimHeight=6\n")


def cub200(root: Path) -> None:
    image(root / "images/001.Crow/Crow_1.jpg")
    write(root / "images.txt", "1 001.Crow/Crow_1.jpg\n")
    write(root / "classes.txt", "1 001.Crow\n")
    write(root / "image_class_labels.txt", "1 1\n")
    write(root / "train_test_split.txt", "1 1\n")
    write(root / "bounding_boxes.txt", "1 1.0 1.0 3.0 2.0\n")


def voc(root: Path) -> None:
    here = root / "VOCdevkit/VOC2012"
    image(here / "JPEGImages/2007_1.jpg")
    ids(here / "SegmentationClass/2007_1.png")
    write(here / "ImageSets/Segmentation/val.txt", "2007_1\n")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "folder": folder, "ade20k": ade20k, "bdd100k_seg": bdd100k_seg, "cub200": cub200,
    "bdd100k_track": bdd100k_track, "camvid": camvid, "cityscapes": cityscapes, "voc2012": voc,
    "coil100": coil100, "davis2017": davis, "kitti_tracking": kitti, "mot16": mot,
}  # fmt: skip


def entries(kind: str, root: Path) -> list[ImageEntry]:
    return list(readers.read(kind, root).images)


def everywhere(root: Path) -> list[Path]:
    return [root, *(path for path in root.rglob("*") if path.is_dir())]


def dots(root: Path) -> None:
    for path in [p for p in root.rglob("*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    for path in everywhere(root):
        (path / ".DS_Store").write_bytes(b"x")


def desktops(root: Path) -> None:
    for path in everywhere(root):
        for name in ("Thumbs.db", "desktop.ini"):
            (path / name).write_bytes(b"x")


def macosx(root: Path) -> None:
    for path in everywhere(root):
        (path / "__MACOSX").mkdir()
        (path / "__MACOSX/x.png").write_bytes(b"x")


def sidecars(root: Path) -> None:
    for path in [p for p in root.rglob("*") if p.suffix in (".png", ".jpg")]:
        for suffix in (".aux.xml", ".tfw", ".xyz"):
            path.with_name(f"{path.stem}{suffix}").write_text("beside")
        path.with_name("notes.md").write_text("beside")


def marks(root: Path) -> None:
    for path in [p for p in root.rglob("*") if p.suffix in (".txt", ".json", ".yaml", ".ini")]:
        text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")


def loops(root: Path) -> None:
    for path in everywhere(root):
        (path / "latest").symlink_to(".")
        if path != root:
            (path / "up").symlink_to("..")


LITTER = [dots, desktops, macosx, sidecars, marks, loops]


@pytest.mark.parametrize("adds", LITTER)
@pytest.mark.parametrize("kind", LAYOUTS)
def test_litter_changes_nothing(kind: str, adds: Callable[[Path], None], tmp_path: Path) -> None:
    LAYOUTS[kind](tmp_path / "data")
    plain = entries(kind, tmp_path / "data")
    assert plain
    adds(tmp_path / "data")
    assert entries(kind, tmp_path / "data") == plain


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("cityscapes", ("leftImg8bit", "gtFine")),
        ("bdd100k_seg", ("images", "labels")),
        ("bdd100k_track", ("images", "labels")),
        ("ade20k", ("images", "annotations")),
        ("kitti_tracking", ("training/image_02", "training/label_02")),
    ],
)
def test_archives_may_be_unpacked_side_by_side(
    kind: str, parts: tuple[str, str], tmp_path: Path
) -> None:
    LAYOUTS[kind](tmp_path / "one")
    plain = [i.image_id for i in entries(kind, tmp_path / "one")]
    apart = tmp_path / "apart"
    for part in parts:
        there = apart / f"{Path(part).name}_zip" / part
        there.parent.mkdir(parents=True)
        (tmp_path / "one" / part).rename(there)
    found = entries(kind, apart)
    assert [i.image_id for i in found] == plain
    assert all((apart / i.path).is_file() for i in found)
    assert all((apart / i.mask).is_file() for i in found if i.mask)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_pointer_of_git_lfs_says_how_to_get_the_file(kind: str, tmp_path: Path) -> None:
    LAYOUTS[kind](tmp_path)
    texts = [p for p in tmp_path.rglob("*") if p.suffix in (".txt", ".json", ".ini", ".yaml")]
    for path in texts:
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    if texts:
        with pytest.raises(DataError, match=r"pointer of Git LFS; run `git lfs pull`"):
            entries(kind, tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for reads in (listed, pictures, frames, lambda path: by_stem(tmp_path, path)):
        with pytest.raises(SourceError, match="gone: no such folder"):
            reads(tmp_path / "gone")


def test_the_first_bytes_tell_a_picture_where_the_suffix_does_not(tmp_path: Path) -> None:
    for name in ("a.png", "blob", "photo.heic"):
        image(tmp_path / "x.png")
        (tmp_path / "x.png").rename(tmp_path / name)
    (tmp_path / "broken.png").write_text("no picture")  # kept: an error when it is opened
    (tmp_path / "notes.txt").write_text("beside")
    found = [path.name for path in pictures(tmp_path)]
    assert found == ["a.png", "blob", "broken.png", "photo.heic"]


def test_a_picture_with_a_sidecar_of_its_stem_is_alone(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    for name in ("a.json", "a.txt", "a.tfw", "a.png.aux.xml", "a (copy).xml"):
        (tmp_path / name).write_text("{}")
    assert by_stem(tmp_path, tmp_path) == {"a": "a.png"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_names_are_found_in_every_form_of_unicode(stored: Any, form: Any, tmp_path: Path) -> None:
    disk, text = (unicodedata.normalize(f, "Müsli é") for f in (stored, form))
    for name in (disk, f"{disk} walk/000001"):
        image(tmp_path / f"images/{name}.png")
    write(tmp_path / f"tracks/{disk} walk.txt", "1,1,2,2,3,2,1,1,1\n")
    coco = {
        "images": [{"id": 1, "file_name": f"{text}.png"}],
        "categories": [{"id": 1, "name": text}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 2]}],
    }
    write(tmp_path / f"{disk}.json", json.dumps(coco))
    about = {
        "classes": [unicodedata.normalize("NFC", text)],
        "splits": {"query": [text, f"{text} walk"]},
        "sequences": [f"{text} walk"],
        "objects": f"{text}.json",
        "tracks": {1: text},
    }
    write(tmp_path / "dataset.yaml", yaml.safe_dump(about, allow_unicode=True))
    found = entries("folder", tmp_path)
    assert [len(i.objects) for i in found] == [1, 1]
    assert all((tmp_path / i.path).is_file() for i in found)


@pytest.mark.parametrize("form", ["{}", "{}.png", "images/{}", "images\\{}.png", "./{}"])
def test_a_list_may_name_files(form: str, tmp_path: Path) -> None:
    for name in ("a", "b.v2", "walk/000001"):
        image(tmp_path / f"images/{name}.png")
        ids(tmp_path / f"masks/{name}.png")
    names = [form.format("a"), form.format("b.v2"), form.format("walk").removesuffix(".png")]
    about = {"classes": ["x", "y"], "sequences": ["walk"], "splits": {"query": names}}
    write(tmp_path / "dataset.yaml", yaml.safe_dump(about))
    assert [i.image_id for i in entries("folder", tmp_path)] == ["a", "b.v2", "walk/000001"]


def test_a_backslash_separates_and_what_is_not_there_stays_as_written(tmp_path: Path) -> None:
    image(tmp_path / "a/b.png")
    assert at(tmp_path, "a\\b.png") == tmp_path / "a/b.png"
    assert at(tmp_path, "a/b.png") == tmp_path / "a/b.png"
    assert at(tmp_path, "é/c.png") == tmp_path / "é/c.png"


def test_a_folder_is_listed_once(tmp_path: Path) -> None:
    for name in ("b", "a/inner"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "0").symlink_to("b")
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "a/inner/up").symlink_to("../..")
    assert [path.name for path in folders(tmp_path)] == ["a", "b"]
    assert folders(tmp_path / "a/inner") == []


TABLES = {
    "plain": "instance,class\n1,cup\n2,big mug\n",
    "floats": "instance,class\n1.0,cup\n2.0,big mug\n",
    "semicolons": "instance;class\n1;cup\n2;big mug\n",
    "tabs": "instance\tclass\n1\tcup\n2\tbig mug\n",
    "blanks": "instance, class\n1, cup\n2 ,  big mug \n",
    "index column": ",instance,class\n0,1,cup\n1,2,big mug\n",
    "quotes": '"instance","class"\n"1","cup"\n"2","big mug"\n',
    "ends": "\ufeffinstance,class,\r\n1,cup,\r\n\r\n2,big mug,\r\n",
    "order": "class,extra,instance\ncup,,1\nbig mug,,2\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_it_is_meant(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    found = [(float(row["instance"]), row["class"]) for _, row in table(path, "instance", "class")]
    assert found == [(1, "cup"), (2, "big mug")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instance,class\n1,cup,mug\n", ", line 2: has 3 columns, but the header 2"),
        ("instance,class,class\n1,cup,mug\n", ": has 2 columns 'class'"),
        ("instance class\n1 cup\n", ": has no column 'instance'"),
        ('instance,class\n1,"cup\n', ", line 2: unexpected end of data"),
    ],
)
def test_a_table_that_would_be_guessed_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        list(table(path, "instance", "class"))
    assert str(caught.value) == f"{path}{message}"


@pytest.mark.parametrize("ends", ["\n \n \n", "\r\n \r\n \r\n", "\r \r \r", "\r\n \r\n \n"])
def test_lines_end_as_they_like(ends: str, tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    first, blank, last = ends.split(" ")
    path.write_bytes(f"\ufeffa{first}{blank} b {last}".encode())
    assert list(lines(path)) == [(1, "a"), (3, "b")]


@pytest.mark.parametrize("content", [None, {}, {"frames": []}, {"frames": None}, []])
def test_labels_without_frames_are_refused(content: Any, tmp_path: Path) -> None:
    bdd100k_track(tmp_path)
    write(tmp_path / "labels/box_track_20/val/v.json", json.dumps(content))
    with pytest.raises(DataError, match=r"v\.json: is not a list of frames"):
        entries("bdd100k_track", tmp_path)


def test_scalabel_may_write_a_dict_numbers_and_null(tmp_path: Path) -> None:
    bdd100k_track(tmp_path)
    path = tmp_path / "labels/box_track_20/val/v.json"
    plain, shown = entries("bdd100k_track", tmp_path), json.loads(path.read_text())
    for frame in shown:
        frame["labels"][0] |= {"id": 7, "attributes": None}
        frame["labels"] += [
            {"id": 8, "category": "car", "box2d": None},
            {"id": "lane", "poly2d": []},
        ]
    write(path, json.dumps({"frames": shown, "config": {}}))
    assert entries("bdd100k_track", tmp_path) == plain


def test_cityscapes_needs_no_instances_for_segmentation(tmp_path: Path) -> None:
    cityscapes(tmp_path)
    for path in tmp_path.rglob("*_instanceIds.png"):
        path.unlink()
    [found] = entries("cityscapes", tmp_path)
    assert (found.mask is not None, found.instances) == (True, None)
    [labels] = tmp_path.rglob("*_labelIds.png")
    labels.rename(labels.with_name(labels.name.replace("labelIds", "labelTrainIds")))
    with pytest.raises(DataError, match=r"_gtFine_labelIds\.png: missing, .*labelTrainIds are not"):
        entries("cityscapes", tmp_path)


def test_a_name_that_no_index_can_hold_is_refused(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/z\xff.png", "wb"):
        pass
    with pytest.raises(DataError, match=r"z\\udcff\.png: its name is not UTF-8"):
        pictures(tmp_path)
