"""What is refused in annotations from anyone: one line that names the file and the remedy."""

import base64
import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotations import written
from annotations.test_convert import converted
from annotations.written import HEIGHT, WIDTH, png, scene, text
from patchlens.annotations.convert import FORMATS, MASKS
from patchlens.errors import DataError, SourceError

TURNED = {"id": 5, "file_name": "a.png", "width": HEIGHT, "height": WIDTH}
BOMB = {"data": base64.b64encode(zlib.compress(bytes(1 << 25))).decode(), "origin": [0, 0]}
LONG = [0, 0, 18, 192, *written.packed(np.full(6000, 255))[4:]]  # says 40×30 × 4 values
BIG = np.ones((HEIGHT + 1, WIDTH), dtype=np.uint8)
ENTITY = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'
LAUGHS = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><annotations>&y;</annotations>'


def changed(
    write: Callable[..., Path], folder: Path, name: str, change: Callable[[Any], None]
) -> Path:
    """A file of a tool with its content changed."""
    given = write(folder)
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    text(path, content)
    return given


def coco(folder: Path, **keys: Any) -> Path:
    """COCO whose first annotation has other keys."""
    return changed(
        written.coco, folder, "instances.json", lambda c: c["annotations"][0].update(keys)
    )


def rle(counts: Any, size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    return {"segmentation": {"size": [*size], "counts": counts}}


def labelme(folder: Path, **keys: Any) -> Path:
    return changed(written.labelme, folder, "a.json", lambda c: c["shapes"][1].update(keys))


def of_mask(mask: Any) -> dict[str, Any]:
    return {"shape_type": "mask", "points": [[0, 0], [9, 9]], "mask": mask}


def yolo(folder: Path, line: str, names: str = "road\ncar\n") -> Path:
    text(folder / "classes.txt", names)
    text(folder / "a.txt", line)
    return folder


def supervisely(folder: Path, **keys: Any) -> Path:
    return changed(
        written.supervisely, folder, "ann/a.png.json", lambda c: c["objects"][1].update(keys)
    )


def studio(folder: Path, kind: str, **value: Any) -> Path:
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    about = {"id": "x", "type": kind, "value": {kind: ["car"], **value}, **size}
    return written.label_studio(folder, about)


def cvat(folder: Path, shape: str) -> Path:
    return written.cvat(folder, shape)


def saved(folder: Path, values: np.ndarray, name: str = "a_mask.png", **options: Any) -> Path:
    written.masks(folder)
    (folder / "a_mask.png").unlink()
    Image.fromarray(values).save(folder / name, **options)
    return folder


def two_palettes(folder: Path) -> Path:
    """Masks whose tools gave the same colours other ids."""
    written.masks_palette(folder)
    mask = Image.fromarray(scene(road=2, car=1))
    mask.putpalette([0, 0, 0, 0, 0, 142, 128, 64, 128])
    mask.save(folder / "b_mask.png")
    return folder


def named(name: str, lines: str, folder: Path) -> Path:
    saved(folder, scene())
    (folder / "classes.txt").unlink()
    text(folder / name, lines)
    return folder


def both(folder: Path) -> Path:
    written.coco(folder)
    return written.labelme(folder)


def twice(folder: Path) -> Path:
    written.labelme(folder)
    content = json.loads((folder / "a.json").read_text(encoding="utf-8"))
    text(folder / "copy.json", content)
    return folder


PLAIN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no format": (lambda f: text(f / "notes.txt", "hello").parent, "is in no format"),
    "an empty folder": (lambda f: text(f / ".hidden", "").parent, "is in no format"),
    "two formats": (both, r"COCO JSON \(.*instances.json\) and LabelMe JSON"),
    "broken JSON": (lambda f: text(f / "a.json", "{"), "is not valid JSON"),
    "deep JSON": (lambda f: text(f / "a.json", "[" * 100_000), "too deeply"),
    "broken XML": (lambda f: text(f / "a.xml", "<annotations>"), "is not valid XML"),
    "XML with a file": (lambda f: text(f / "a.xml", ENTITY), "declares a document type"),
    "XML with entities": (lambda f: text(f / "a.xml", LAUGHS), "declares a document type"),
    "one picture twice": (twice, "labels 'a.png', as .*a.json does"),
    "COCO without categories": (partial(written.coco, categories=[]), "category_id 7 is not in"),
    "COCO of another size": (
        partial(written.coco, images=[TURNED]),
        "is 40×30, but .* says 30×40: it was turned",
    ),
    "COCO with a name twice": (
        partial(written.coco, categories=[{"id": i, "name": "road"} for i in (7, 8)]),
        "categories: 'road' is listed twice",
    ),
    "COCO with a bad box": (partial(coco, bbox=[1, 2, 3]), "x, y, width, height"),
    "COCO with NaN": (partial(coco, bbox=[float("nan"), 0, 1, 1]), "not finite"),
    "COCO with nothing": (partial(coco, bbox=[], segmentation=[[]]), "has neither bbox nor"),
    "COCO with text": (partial(coco, bbox="here"), "annotations.0.bbox"),
    "a polygon of two points": (partial(coco, segmentation=[[1, 1, 2, 2]]), "3 points or more"),
    "a polygon of 7 numbers": (partial(coco, segmentation=[[1, 1, 2, 2, 3, 3, 4]]), "7 numbers"),
    "a point without end": (partial(coco, segmentation=[[0, 0, 9, 9, float("inf"), 0]]), "finite"),
    "a point far away": (partial(coco, segmentation=[[0, 0, 9, 9, 1e12, 0]]), "a point is at 1e"),
    "RLE of another size": (partial(coco, **rle([4], (2, 2))), "its RLE is of 2×2"),
    "RLE too short": (partial(coco, **rle([5, 5])), "does not have 1200 pixels"),
    "RLE too long": (partial(coco, **rle([10**15])), "does not have 1200 pixels"),
    "RLE below 0": (partial(coco, **rle([1300, -100])), "does not have 1200 pixels"),
    "RLE of bad text": (partial(coco, **rle("\u00ff\u00ff")), "compressed RLE is broken"),
    "RLE of long text": (partial(coco, **rle("o" * 40)), "compressed RLE is broken"),
    "RLE cut short": (partial(coco, **rle("o")), "cut short"),
    "COCO of endless width": (
        partial(written.coco, images=[TURNED | {"width": float("inf")}]), "images.0.width"
    ),
    "a class without a name": (
        partial(written.coco, categories=[{"id": 3, "name": "road"}, {"id": 7, "name": ""}]),
        "a class is called ''",
    ),
    "LabelMe without a list": (partial(written.labelme, shapes=None), "shapes is no list"),
    "LabelMe without a label": (partial(labelme, label=None), "has no label"),
    "LabelMe with words": (partial(labelme, points=[["a", "b"]] * 3), "pairs of numbers"),
    "LabelMe with a new shape": (partial(labelme, shape_type="spline"), "'spline' is not read"),
    "an embedded mask of words": (partial(labelme, **of_mask("?!")), "is no base64"),
    "an embedded mask of nothing": (partial(labelme, **of_mask("aGk=")), "no PNG"),
    "an embedded mask too large": (partial(labelme, **of_mask(png(BIG))), "larger than its pic"),
    "an embedded mask outside": (
        partial(labelme, **of_mask(png(BIG[:9, :9])) | {"points": [[35, 0], [44, 9]]}),
        "reaches out of its picture",
    ),
    "YOLO in pixels": (partial(yolo, line="1 10 10 20 20\n"), "a.txt, line 1: holds numbers"),
    "YOLO with confidences": (partial(yolo, line="1 .5 .5 .1 .1 .9\n"), "5 numbers"),
    "YOLO without a name": (partial(yolo, line="7 .5 .5 .1 .1\n"), "class 7 has no name"),
    "YOLO with words": (partial(yolo, line="1 .5 .5 .1 .1\ncar .1\n"), "line 2: is not a class"),
    "YOLO with no width": (partial(yolo, line="1 .5 .5 0 .1\n"), "a box of width 0"),
    "CVAT with words": (partial(cvat, shape='<polygon label="car" points="a,b"/>'), "no numbers"),
    "CVAT without a label": (partial(cvat, shape='<polygon points="1,1"/>'), "has no label"),
    "CVAT turned without end": (
        partial(cvat, shape='<box label="car" xtl="1" ytl="1" xbr="9" ybr="9" rotation="inf"/>'),
        "rotation='inf' is no number",
    ),
    "CVAT with a bad mask": (
        partial(cvat, shape='<mask label="car" rle="0, 9" left="0" top="0" width="9" height="9"/>'),
        "does not have 9×9 pixels",
    ),
    "CVAT with a huge mask": (
        partial(cvat, shape='<mask label="car" rle="90000000000" left="0" top="0" width="300000" '
                            'height="300000"/>'),
        "is larger than its picture",
    ),
    "CVAT with a box inside out": (
        partial(cvat, shape='<box label="car" xtl="9" ytl="9" xbr="1" ybr="1"/>'),
        "a box is -8 wide",
    ),
    "Label Studio with a short brush": (
        partial(studio, kind="brushlabels", rle=[0, 0]), "cut short"
    ),
    "Label Studio with a huge brush": (
        partial(studio, kind="brushlabels", rle=[255] * 20), "values, a picture of 40×30"
    ),
    "Label Studio with a long brush": (
        partial(studio, kind="brushlabels", rle=LONG), "has more values than its picture"
    ),
    "Label Studio with words": (
        partial(studio, kind="rectanglelabels", x="a"), "its value is not that of rectanglelabels"
    ),
    "Supervisely with a bomb": (partial(supervisely, bitmap=BOMB), "no PNG"),
    "Supervisely without points": (
        partial(supervisely, geometryType="polygon", points=[]), "is no polygon"
    ),
    "Supervisely from nowhere": (
        partial(supervisely, bitmap={"data": "", "origin": [float("inf"), 0]}), "is no bitmap"
    ),
    "masks of another size": (partial(saved, values=BIG), "must have the size of its picture"),
    "masks as JPEG": (partial(saved, values=scene(), name="a_mask.jpg"), "is in no format"),
    "masks as lossy WebP": (
        partial(saved, values=np.stack([scene()] * 3, -1), name="a_mask.webp"), "lossy WebP"
    ),
    "masks of two palettes": (two_palettes, "is the colour .* in its palette, and .* in that of"),
    "a list with a name twice": (partial(named, "classes.txt", "a\na\nb"), "'a' is listed twice"),
    "a list with a value twice": (partial(named, "classes.txt", "1 a\n1 b"), "'1' is listed"),
    "a label map with a name twice": (
        partial(named, "labelmap.txt", "a:0,0,0::\nb:1,0,0::\nb:2,0,0::"), "'b' is listed twice"
    ),
    "a label map with a colour twice": (
        partial(named, "labelmap.txt", "a:0,0,0::\nb:1,0,0::\nc:1,0,0::"), "'1,0,0' is listed"
    ),
    "YOLO with a name twice": (
        partial(yolo, line="1 .5 .5 .1 .1\n", names="car\ncar\n"), "'car' is listed twice"
    ),
    "masks with an unnamed value": (partial(saved, values=scene(car=9)), "contains id 9, which"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_it_is_one_clear_line_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    write, expected = PLAIN[name]
    given = write(tmp_path / "labels")
    with pytest.raises(DataError, match=expected) as caught:
        converted(tmp_path, given)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_an_unknown_format_lists_those_that_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        converted(tmp_path, text(tmp_path / "labels/notes.txt", "hello"))
    assert all(form.title in str(caught.value) for form in [*FORMATS.values(), MASKS])


ADDRESSES = ["/etc/passwd", "../../secret/a.jpg", "http://169.254.169.254/a.jpg", "file:///b.jpg",
             "s3://bucket/b.jpg", "C:\\b.jpg", "\x00"]  # fmt: skip


@pytest.mark.parametrize("position", range(len(ADDRESSES)))
@pytest.mark.parametrize("form", ["COCO", "CVAT", "Label Studio", "LabelMe"])
def test_a_path_or_an_address_in_an_annotation_is_never_opened(
    tmp_path: Path, form: str, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`b.jpg` is not among the photos: whatever stands before it, no other file is looked for."""
    address = ADDRESSES[position]
    if form == "CVAT" and address == "\x00":
        address = "nothing.jpg"
    folder = tmp_path / "labels"
    (tmp_path / "secret").mkdir()
    written.photos(tmp_path / "secret", "a.jpg", "b.jpg")
    if form == "COCO":
        images = [{"id": 5, "file_name": address}]
        given = written.coco(folder, images=images)
    elif form == "CVAT":
        given = written.cvat(folder)
        content = given.read_text(encoding="utf-8").replace("photos/a.png", address)
        given.write_text(content, encoding="utf-8")
    elif form == "LabelMe":
        given = written.labelme(folder, imagePath=address)
        (folder / "a.json").rename(folder / "z.json")
    else:
        given = written.label_studio(folder)
        content = json.loads(given.read_text(encoding="utf-8"))
        content[0]["data"]["image"] = address.replace("\x00", "\x00.jpg")
        text(given, content)
    with pytest.raises(DataError, match="no picture that it labels is there"):
        converted(tmp_path, given, "c.png")


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("b"), io.BytesIO())
    return path


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "leaves": (lambda f: zipped(f, **{"../a.json": b"{}"}), "outside its folder"),
    "links": (tarred, "is not a plain file"),
    "is broken": (lambda f: text(f, "PK\x03\x04 no"), "truncated or damaged"),
    "is empty": (lambda f: zipped(f), "damaged|contains no files|is in no format"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_of_annotations_has_the_limits_of_all_archives(
    tmp_path: Path, name: str
) -> None:
    make, expected = ARCHIVES[name]
    given = make(tmp_path / ("labels.tar" if name == "links" else "labels.zip"))
    with pytest.raises(DataError, match=expected):
        converted(tmp_path, given)
    assert not list(tmp_path.glob(".out*"))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.json")
    with pytest.raises(DataError, match="is a FIFO"):
        converted(tmp_path, tmp_path / "labels.json")
    with pytest.raises(SourceError, match="no such file"):
        converted(tmp_path, tmp_path / "missing")


def test_a_link_out_of_the_given_folder_is_refused(tmp_path: Path) -> None:
    folder = written.labelme(tmp_path / "labels")
    (folder / "b.json").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="leads out"):
        converted(tmp_path, folder)
