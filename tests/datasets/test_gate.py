"""What a file says is what is measured, or a refusal: pictures, id maps, copies, empty units."""

import ast
import io
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageCms, TiffImagePlugin

from patchlens.datasets import catalogue, check
from patchlens.datasets.folder import read
from patchlens.datasets.images import UNSTATED, UPRIGHT, check_image, image_size, open_image
from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE, Terms
from patchlens.datasets.masks import open_id_map, open_ids, open_mask
from patchlens.datasets.sheet import contact_sheet
from patchlens.errors import DataError

FOLDER = catalogue.find("folder")
SRC = Path(__file__).parents[2] / "src/patchlens"
NOISE = np.random.default_rng(0).integers(0, 256, (24, 36, 3)).astype(np.uint8)
GREY = np.tile(np.linspace(0, 1, 36), (24, 1))
STORED = {1: None, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the tag that undoes each
Make = Callable[..., Any]


def turned(path: Path, orientation: Any, upright: Image.Image, **options: Any) -> Path:
    """A file that shows `upright` after its EXIF orientation is applied."""
    inverse = STORED.get(orientation)
    stored = upright.transpose(UPRIGHT[inverse]) if inverse else upright
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.webp", "a.tif", pytest.param("a.avif", marks=pytest.mark.slow)]
)
def test_pictures_are_upright(tmp_path: Path, name: str, orientation: int) -> None:
    smooth = Image.fromarray(NOISE).resize((8, 4)).resize((36, 24), Image.Resampling.BICUBIC)
    lossless = {"lossless": True} if name.endswith("webp") else {}
    path = turned(tmp_path / name, orientation, smooth, **lossless)
    assert image_size(path) == check_image(path, UNSTATED).size == (36, 24)
    assert check_image(path, UNSTATED).orientation == orientation
    off = np.abs(np.asarray(open_image(path), int) - np.asarray(smooth, int))
    assert off.max() <= (0 if name in ("a.png", "a.webp", "a.tif") else 40)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_id_maps_are_upright(tmp_path: Path, orientation: int) -> None:
    ids = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
    path = turned(tmp_path / "m.png", orientation, Image.fromarray(ids))
    np.testing.assert_array_equal(open_ids(path), ids)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff", b"\xff" * 40])
@pytest.mark.parametrize("value", [None, 0, 9, 65535])
def test_an_orientation_that_means_nothing_leaves_a_picture_as_it_is(
    tmp_path: Path, exif: bytes, value: int | None
) -> None:
    block: Any = exif
    if value is not None:
        block = Image.Exif()
        block[274] = value
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", exif=block)
    assert check_image(tmp_path / "a.jpg", UNSTATED)[:3] == ((36, 24), "RGB", 1)
    assert open_image(tmp_path / "a.jpg").size == (36, 24)


def test_the_orientation_of_a_png_may_follow_its_pixels(tmp_path: Path) -> None:
    path = turned(tmp_path / "a.png", 6, Image.fromarray(NOISE))
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + struct.unpack(">I", content[start : start + 4])[0]
    tail = content.index(b"IEND") - 4
    path.write_bytes(content[:start] + content[end:tail] + content[start:end] + content[tail:])
    assert image_size(path) == check_image(path, UNSTATED).size == (36, 24)
    np.testing.assert_array_equal(open_image(path), NOISE)


DEEP = {
    "16 bit PNG": ("a.png", (GREY * 65535).astype(np.uint16), [0, 65535]),
    "12 of 16 bits": ("a.png", (GREY * 4095).astype(np.uint16), [0, 4095]),
    "16 bit TIFF": ("a.tif", (GREY * 65535).astype(np.uint16), [0, 65535]),
    "big endian": ("a.tif", (GREY * 65535).astype(">u2"), [0, 65535]),
    "32 bits": ("a.tif", (GREY * 1e6).astype(np.int32), [0, 1e6]),
    "floats": ("a.tif", GREY.astype(np.float32), [0, 1]),
    "below zero": ("a.tif", (GREY * 50 - 20).astype(np.float32), [-20, 30]),
    "PGM": ("a.pgm", (GREY * 65535).astype(np.int32), [0, 65535]),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_grey_is_scaled_by_a_stated_range_or_refused(tmp_path: Path, kind: str) -> None:
    name, values, limits = DEEP[kind]
    path = tmp_path / name
    Image.fromarray(values).save(path)
    for reads in (open_image, lambda p: check_image(p, UNSTATED)):
        with pytest.raises(DataError, match=rf"{name}: is grey of .* state `range: "):
            reads(path)
    terms = Terms(range=(limits[0], limits[1]))
    assert check_image(path, terms).size == (36, 24)
    found = np.asarray(open_image(path, terms))
    np.testing.assert_allclose(found[..., 0], GREY * 255, atol=0.6)
    with pytest.raises(DataError, match=r"most of them outside range: \[1e\+07, 2e\+07\]"):
        open_image(path, Terms(range=(1e7, 2e7)))


def test_the_range_of_a_pgm_is_that_of_its_file(tmp_path: Path) -> None:
    values = np.rint(GREY * 1000).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 36 24 1000\n" + values.tobytes())
    found = np.asarray(open_image(tmp_path / "a.pgm", Terms(range=(0, 1000))))
    np.testing.assert_allclose(found[..., 0], GREY * 255, atol=0.7)


def test_deep_grey_hides_nothing_behind_transparency(tmp_path: Path) -> None:
    grey = Image.fromarray((GREY * 65535).astype(np.uint16))
    grey.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for value, hidden in ((0, True), (1, False)):
        chunk = b"tRNS" + struct.pack(">H", value)
        chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "b.png").write_bytes(content[:33] + chunk + content[33:])
        if hidden:
            with pytest.raises(DataError, match=r"b\.png: has transparent pixels in grey of 16"):
                check_image(tmp_path / "b.png", Terms(range=(0, 65535)))
        else:
            assert check_image(tmp_path / "b.png", Terms(range=(0, 65535))).mode == "I;16"


NO_PICTURES = {
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(60), "it is HEIC"),
    "a page": (b"<!doctype html>" + bytes(60), "it is a web page"),
    "a PDF": (b"%PDF-1.7" + bytes(60), "it is a PDF"),
    "JPEG XL": (b"\xff\x0a" + bytes(60), "it is JPEG XL"),
    "NumPy": (b"\x93NUMPY" + bytes(60), "it is an array of NumPy"),
    "a PNG that is cut short": (b"\x89PNG\r\n\x1a\n" + bytes(9), "broken or cut short; copy"),
    "else": (b"8BPS" + bytes(60), "it is none of JPEG, PNG"),
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_is_no_picture_says_what_it_is_and_what_to_do(tmp_path: Path, kind: str) -> None:
    content, message = NO_PICTURES[kind]
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=f"{message}.*(get the picture itself|download it again)"):
        image_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("tags", [{254: 1}, {50706: b"\1\4\0\0"}])
def test_the_preview_in_a_raw_file_of_a_camera_is_refused(
    tmp_path: Path, tags: dict[int, Any]
) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.tif", tiffinfo=tags)
    for reads in (open_image, lambda p: check_image(p, UNSTATED)):
        with pytest.raises(DataError, match=r"a\.tif: its first page is a preview"):
            reads(tmp_path / "a.tif")


def test_nan_is_no_grey(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "n.tif")
    with pytest.raises(DataError, match="contains NaN or Inf"):
        check_image(tmp_path / "n.tif", Terms(range=(0, 1)))


def deep_png(path: Path) -> None:
    """A PNG of 16 bits per channel, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + bytes(12))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
                     + chunk(b"IEND", b""))  # fmt: skip


def pages(path: Path, **options: Any) -> None:
    frames = [Image.fromarray(np.roll(NOISE, n)) for n in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


REFUSED: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "16 bit colour": ("a.png", deep_png, "has 16 bits per channel"),
    "16 bit PPM": ("a.ppm", lambda p: p.write_bytes(b"P6 2 1 65535\n" + bytes(12)), "has 16 bits"),
    "LAB": ("a.tif", lambda p: Image.new("LAB", (4, 4)).save(p), "in the colour mode LAB"),
    "pages": ("a.tif", pages, "has 2 pages or frames"),
    "GIF": ("a.gif", pages, "has 2 pages or frames"),
    "APNG": ("a.png", pages, "has 2 pages or frames"),
    "WebP": ("a.webp", pages, "has 2 pages or frames"),
    "MPO": ("a.jpg", lambda p: pages(p, format="MPO"), "has 2 pages or frames"),
    "a pointer": (
        "a.jpg",
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        r"a pointer of Git LFS; run `git lfs pull`",
    ),
    "no format of ours": ("a.tga", lambda p: Image.new("L", (4, 4)).save(p), "none of JPEG, PNG"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_lose_something_is_refused(tmp_path: Path, kind: str) -> None:
    name, write, message = REFUSED[kind]
    write(tmp_path / name)
    for reads in (open_image, lambda p: check_image(p, UNSTATED)):
        with pytest.raises(DataError, match=message) as caught:
            reads(tmp_path / name)
        assert len(str(caught.value).splitlines()) == 1


def thumbnail_page(path: Path) -> None:
    small = TiffImagePlugin.ImageFileDirectory_v2()
    small[254] = 1
    with TiffImagePlugin.AppendingTiffWriter(str(path), True) as out:
        for image, tags in ((Image.fromarray(NOISE), None), (Image.new("RGB", (9, 6)), small)):
            image.save(out, format="TIFF", **({"tiffinfo": tags} if tags else {}))
            out.newFrame()


def map_of_light(path: Path) -> None:
    Image.fromarray(NOISE).save(
        path, "MPO", save_all=True, append_images=[Image.new("L", (9, 6))], quality=100
    )


@pytest.mark.parametrize(("name", "write"), [("a.tif", thumbnail_page), ("a.jpg", map_of_light)])
def test_previews_are_no_pages(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    assert check_image(tmp_path / name, UNSTATED).size == (36, 24)
    assert (
        np.abs(np.asarray(open_image(tmp_path / name), int) - NOISE).mean() < 60
    )  # of strangers: 85


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_plain_modes_are_converted_by_the_library(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(NOISE).convert(mode)
    image.save(tmp_path / "a.tif")
    assert check_image(tmp_path / "a.tif", UNSTATED).mode == mode
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif"), image.convert("RGB"))


def clear(mode: str, alpha: int) -> Image.Image:
    image = Image.fromarray(NOISE)
    image.putalpha(alpha)
    if mode == "P":
        found = Image.fromarray(NOISE[..., 0]).convert("P")
        found.info["transparency"] = bytes([alpha] * 256)
        return found
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_is_composited_on_a_stated_colour_or_refused(
    tmp_path: Path, mode: str
) -> None:
    for name, alpha in (("opaque", 255), ("clear", 0)):
        image = clear(mode, alpha)
        image.save(tmp_path / f"{name}.png", transparency=image.info.get("transparency"))
    opaque = np.asarray(open_image(tmp_path / "opaque.png"))
    np.testing.assert_array_equal(opaque, clear(mode, 255).convert("RGB"))
    with pytest.raises(DataError, match=r"clear\.png: has transparent pixels.*`background: "):
        check_image(tmp_path / "clear.png", UNSTATED)
    found = open_image(tmp_path / "clear.png", Terms(background=(1, 2, 3)))
    assert np.unique(np.asarray(found).reshape(-1, 3), axis=0).tolist() == [[1, 2, 3]]


def test_the_limit_of_pixels_is_a_setting_and_a_line(tmp_path: Path) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    small = Terms(max_megapixels=0.004)
    for reads in (open_image, check_image, open_ids):
        with pytest.raises(DataError, match=r"a\.png: has 0\.0 megapixels.*raise max_megapixels"):
            reads(tmp_path / "a.png", small)
        reads(tmp_path / "a.png", Terms(max_megapixels=0.0041))


def test_a_colour_profile_is_named_and_a_lying_suffix_does_no_harm(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", format="PNG", icc_profile=profile)
    assert "sRGB" in str(check_image(tmp_path / "a.jpg", UNSTATED).profile)
    np.testing.assert_array_equal(open_image(tmp_path / "a.jpg"), NOISE)


IDS = np.array([[0, 1, 2], [3, 1, 0]], np.uint8)


def in_pgm(most: int) -> bytes:
    return b"P5 3 2 %d\n" % most + IDS.tobytes()


ID_FAULTS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "JPEG": ("m.jpg", lambda p: Image.fromarray(IDS).save(p), "is saved as JPEG"),
    "JPEG named PNG": ("m.png", lambda p: Image.fromarray(IDS).save(p, "JPEG"), "saved as JPEG"),
    "lossy WebP": ("m.webp", lambda p: Image.fromarray(IDS).save(p), "is saved as lossy WebP"),
    "JPEG 2000": ("m.jp2", lambda p: Image.fromarray(IDS).save(p), "is saved as JPEG 2000"),
    "JPEG in TIFF": (
        "m.tif",
        lambda p: Image.fromarray(IDS).save(p, compression="jpeg"),
        "is saved as JPEG",
    ),
    "fractions": (
        "m.tif",
        lambda p: Image.fromarray(IDS.astype(np.float32) * 0.9999).save(p),
        r"holds 0\.9999 at x 1, y 0; ids are whole numbers",
    ),
    "NaN": (
        "m.tif",
        lambda p: Image.fromarray(np.array([[0, np.nan]], np.float32)).save(p),
        "holds nan at x 1, y 0",
    ),
    "colours": ("m.png", lambda p: Image.fromarray(NOISE).save(p), "has 3 channels"),
    "pages": ("m.tif", pages, "has 2 pages or frames; a mask must have one"),
    "hidden ids": (
        "m.png",
        lambda p: Image.merge("LA", [Image.fromarray(IDS)] * 2).save(p),
        "has transparent pixels, and an id behind them",
    ),
    "stretched": ("m.pgm", lambda p: p.write_bytes(in_pgm(3)), "other than 8 or 16 bits"),
    "lossy WebP after a long profile": (
        "m.webp",
        lambda p: Image.fromarray(IDS).save(p, icc_profile=b"x" * 9001),
        "is saved as lossy WebP",
    ),
    "beyond a float's integers": (
        "m.tif",
        lambda p: Image.fromarray(IDS.astype(np.float32) * 1e30).save(p),
        r"holds 1e\+30 at x 1, y 0; ids are whole numbers below 2\^53",
    ),
    "signed": (
        "m.tif",
        lambda p: Image.fromarray(IDS).save(p, tiffinfo={339: 2}),
        "has signed values of 8 bits",
    ),
    "inverted": (
        "m.tif",
        lambda p: Image.fromarray(IDS).save(p, tiffinfo={262: 0}),
        "is inverted",
    ),
}


@pytest.mark.parametrize("kind", ID_FAULTS)
def test_ids_that_nobody_drew_are_refused(tmp_path: Path, kind: str) -> None:
    name, write, message = ID_FAULTS[kind]
    write(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: .*{message}"):
        open_ids(tmp_path / name)


DEEP_COLOURS: dict[str, tuple[str, Image.Image]] = {
    "grey of 16 bits": ("m.png", Image.fromarray(IDS.astype(np.uint16) * 300)),
    "floats": ("m.tif", Image.fromarray(IDS.astype(np.float32))),
    "CMYK": ("m.tif", Image.fromarray(NOISE).convert("CMYK")),
    "LAB": ("m.tif", Image.merge("LAB", [Image.fromarray(IDS)] * 3)),
}


@pytest.mark.parametrize("kind", DEEP_COLOURS)
def test_colours_that_would_be_converted_are_refused(tmp_path: Path, kind: str) -> None:
    name, image = DEEP_COLOURS[kind]
    image.save(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: has the mode .* colours are RGB of 8 bits"):
        open_id_map(tmp_path / name, colours=True)


ID_FILES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "8 bits": ("m.png", lambda p: Image.fromarray(IDS).save(p)),
    "PGM": ("m.pgm", lambda p: p.write_bytes(in_pgm(255))),
    "BMP": ("m.bmp", lambda p: Image.fromarray(IDS).save(p)),
    "16 bits": ("m.tif", lambda p: Image.fromarray(IDS.astype(np.uint16)).save(p)),
    "big endian": ("m.tif", lambda p: Image.fromarray(IDS.astype(">u2")).save(p)),
    "32 bits": ("m.tif", lambda p: Image.fromarray(IDS.astype(np.int32)).save(p)),
    "whole floats": ("m.tif", lambda p: Image.fromarray(IDS.astype(np.float32)).save(p)),
    "opaque": ("m.png", lambda p: Image.fromarray(IDS).convert("LA").save(p)),
    "deflated": ("m.tif", lambda p: Image.fromarray(IDS).save(p, compression="tiff_lzw")),
}


@pytest.mark.parametrize("kind", ID_FILES)
def test_lossless_whole_ids_are_read_as_they_are(tmp_path: Path, kind: str) -> None:
    name, write = ID_FILES[kind]
    write(tmp_path / name)
    np.testing.assert_array_equal(open_ids(tmp_path / name), IDS)


def test_one_bit_is_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(IDS > 1).save(tmp_path / "m.png")
    np.testing.assert_array_equal(open_ids(tmp_path / "m.png"), IDS > 1)


def test_colours_are_classes_by_a_table(tmp_path: Path) -> None:
    table = np.array([[220, 40, 40], [40, 200, 60], [0, 0, 0], [9, 9, 9]], np.uint8)
    labels = {0xDC2828: 0, 0x28C83C: 1, 0: IGNORE}
    terms = Terms(colours=True)
    ids = np.minimum(IDS, 2)
    Image.fromarray(table[ids]).save(tmp_path / "a.png")
    Image.fromarray(table[ids]).convert("RGBA").save(tmp_path / "b.png")
    with_palette(tmp_path / "c.png", ids, table.ravel().tolist())
    for name in ("a.png", "b.png", "c.png"):
        found = open_mask(tmp_path / name, labels, terms)
        np.testing.assert_array_equal(found, np.where(ids == 2, IGNORE, ids))
    Image.fromarray(table[IDS]).save(tmp_path / "d.png")
    with pytest.raises(DataError, match=r"contains colour \[9, 9, 9\], which is neither"):
        open_mask(tmp_path / "d.png", labels, terms)


def describe(root: Path, **keys: Any) -> None:
    content = yaml.safe_load((root / "dataset.yaml").read_text(encoding="utf-8"))
    (root / "dataset.yaml").write_text(yaml.safe_dump(content | keys), encoding="utf-8")


def layout_of(root: Path) -> Any:
    return replace(read(root, FOLDER), reader="folder")


def test_classes_may_count_from_1_with_0_unlabelled(own: Path, indexed: Make) -> None:
    control = indexed(layout_of(own), own).mask("a")
    (own.parent / "index").rename(own.parent / "earlier")
    for path in (own / "masks").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.where(ids == 255, 0, ids + 1).astype(np.uint8)).save(path)
    describe(own, classes={1: "road", 2: "car"}, ignore=[0])
    np.testing.assert_array_equal(indexed(layout_of(own), own).mask("a"), control)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"classes": {1: "a", 300000: "b"}}, "'300000' is no pixel value from 0 to 65535"),
        ({"classes": {"1": "a"}}, "'1' is no pixel value"),
        ({"classes": {1: "a", 2: "a"}}, "'a' is listed twice"),
        ({"colours": {"road": [1, 2, 3]}}, "'car' is only in one of classes and colours"),
        (
            {"ignore": [], "colours": {"road": [1, 2, 3], "car": [1, 2, 3]}},
            "two classes have the colour",
        ),
        ({"ignore_colours": [[0, 0, 0]]}, "ignore is for masks of values"),
        ({"range": [5, 5]}, "must rise"),
    ],
)
def test_a_table_that_means_nothing(own: Path, keys: dict[str, Any], message: str) -> None:
    describe(own, **keys)
    with pytest.raises(DataError, match=message):
        read(own, FOLDER)


def test_colours_range_and_background_reach_the_index(own: Path, indexed: Make) -> None:
    table = {0: (1, 2, 3), 1: (4, 5, 6), 255: (0, 0, 0)}
    for path in (own / "masks").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.array([[table[i] for i in row] for row in ids.tolist()], np.uint8)).save(
            path
        )
    describe(own, ignore=[], ignore_colours=[[0, 0, 0]], range=[0, 1000], background=[9, 9, 9],
             colours={"road": [1, 2, 3], "car": [4, 5, 6]})  # fmt: skip
    (own / "images/a.png").unlink()
    Image.fromarray(np.full((6, 8), 500, np.uint16)).save(own / "images/a.png")
    index = indexed(layout_of(own), own)
    assert index.palette == [[1, 2, 3], [4, 5, 6]]
    assert np.unique(index.mask("a")).tolist() == [0, 1, IGNORE]
    assert np.unique(np.asarray(index.image("a"))).tolist() == [128]


def with_palette(path: Path, ids: np.ndarray, palette: list[int]) -> None:
    image = Image.fromarray(ids, mode="P")
    image.putpalette(palette)
    image.save(path)


RED, GREEN = [200, 0, 0], [0, 200, 0]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ([0, 1], (RED, GREEN, GREEN, RED), "id 0 is the colour"),
        ([0, 1], (RED, GREEN, RED, GREEN), None),
        ([0, 0], ([0] * 3, RED, [9] * 3, GREEN), "id 0 is the colour"),
    ],
)
def test_one_colour_is_one_id_over_the_dataset(
    own: Path,
    indexed: Make,
    tmp_path: Path,
    first: list[int],
    second: tuple[list[int], ...],
    clash: str | None,
) -> None:
    describe(own, ignore=[])
    a, b, c, d = second
    for n, path in enumerate(sorted((own / "masks").iterdir())):
        ids = np.zeros((6, 8), np.uint8)
        ids[:, 4:] = 1
        with_palette(path, ids, [*a, *b] if n % 2 else [*c, *d])
    if clash is None:
        index = indexed(layout_of(own), own)
        assert index.classes == ["road", "car"]
        assert dict(check.gate(index))["palettes of masks"] == "agree: 5"
        return
    with pytest.raises(DataError, match=rf"{clash}.*save all masks with one palette"):
        indexed(layout_of(own), own)
    shutil.rmtree(tmp_path / "index")
    published = indexed(replace(layout_of(own), reader="voc"), own)
    assert dict(check.gate(published))["palettes of masks"] == f"differ: {published.palettes[0]}"
    assert clash in published.palettes[0]


def test_one_class_left_is_an_error(own: Path, indexed: Make) -> None:
    for path in (own / "masks").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.where(ids == 1, 255, ids).astype(np.uint8)).save(path)
    with pytest.raises(DataError, match=r"contain one class only \(road\)"):
        indexed(layout_of(own), own)


def test_equal_bytes_in_support_and_query(
    own: Path, indexed: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("images/d.jpg", "images/e.png"):
        (own / name).write_bytes((own / "images/a.png").read_bytes())
    layout = layout_of(own)
    with pytest.raises(DataError, match=r"query image 'd' has the bytes of 'a'.*\(2 in total\)"):
        indexed(layout, own, {"images": 3})
    (own.parent / "index").rename(own.parent / "earlier")
    published = indexed(replace(layout, reader="camvid"), own, {"images": 3})
    assert published.copies == [["a", "d", "e"]]
    assert "query image 'd' has the bytes of 'a' (2 in total)" in caplog.text


def test_support_images_without_a_label_are_an_error(own: Path, indexed: Make) -> None:
    for name in "abc":
        Image.fromarray(np.full((6, 8), 255, np.uint8)).save(own / f"masks/{name}.png")
    with pytest.raises(DataError, match=r"no support image of seed 0 has a labelled pixel, such"):
        indexed(layout_of(own), own)


def test_query_images_without_a_label_are_named(
    own: Path, indexed: Make, caplog: pytest.LogCaptureFixture
) -> None:
    void = Image.fromarray(np.full((6, 8), 255, np.uint8))
    void.save(own / "masks/e.png")
    index = indexed(layout_of(own), own)
    assert index.images["labelled"].to_dict() == {"a": 40, "b": 40, "c": 40, "d": 40, "e": 0}
    assert "1 of 2 query images have no labelled pixel, such as 'e'" in caplog.text
    void.save(own / "masks/d.png")
    (own.parent / "index").rename(own.parent / "earlier")
    with pytest.raises(DataError, match="no query image has a labelled pixel"):
        indexed(layout_of(own), own)


def test_the_sheet_and_the_sizes_are_those_of_the_upright_picture(own: Path, indexed: Make) -> None:
    whole = [open_image(path) for path in sorted((own / "images").iterdir())]
    sheets = []
    for orientation in (1, 6):
        for path, picture in zip(sorted((own / "images").iterdir()), whole, strict=True):
            turned(path, orientation, picture, format="PNG")
        index: Index = indexed(layout_of(own), own)
        assert set(zip(index.images["width"], index.images["height"], strict=True)) == {(8, 6)}
        sheets.append(np.asarray(contact_sheet(index, "own")))
        (own.parent / "index").rename(own.parent / f"index{orientation}")
    np.testing.assert_array_equal(*sheets)


def test_check_says_what_the_gate_found(own: Path, indexed: Make) -> None:
    picture = open_image(own / "images/a.png")
    turned(own / "images/a.png", 6, picture)
    found = dict(check.gate(indexed(layout_of(own), own)))
    assert found["modes"] == "RGB: 5"
    assert found["orientations"] == "upright: 4, EXIF 6: 1"
    assert found["sizes"] == "8×6: 5"
    assert found["modes of masks"] == "L: 5"
    assert found["equal files"] == found["masks without a label"] == "0"


def test_re_encoded_twins_are_found_and_strangers_are_not(own: Path, indexed: Make) -> None:
    rng = np.random.default_rng(5)
    for name in "abcde":
        rough = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
        for path in (own / "images").glob(f"{name}.*"):
            rough.resize((8, 6), Image.Resampling.BICUBIC).resize((96, 72)).save(path, "PNG")
        Image.open(own / "masks" / f"{name}.png").resize((96, 72), 0).save(
            own / "masks" / f"{name}.png"
        )
    with io.BytesIO() as stream:
        Image.open(own / "images/a.png").save(stream, "JPEG", quality=80)
        (own / "images/e.png").write_bytes(stream.getvalue())
    index = indexed(layout_of(own), own, {"images": 3})
    assert index.copies == []
    assert check.alike(index) == [("e", "a")]


def test_nothing_else_opens_a_file_of_a_dataset() -> None:
    """Only images.py and masks.py decode files; the rest are pictures that the package made."""
    made = {"lettering.py", "tasks/identification/copies.py"}
    found = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "Image.open", "PIL.Image.open", "plt.imread", "cv2.imread", "imageio.imread",
            ):  # fmt: skip
                found.add(path.relative_to(SRC).as_posix())
    assert found == made | {"datasets/images.py", "datasets/masks.py"}


def test_a_palette_is_told_with_its_ids(tmp_path: Path) -> None:
    with_palette(tmp_path / "m.png", IDS, [*RED, *GREEN, 1, 2, 3, 4, 5, 6])
    found = open_id_map(tmp_path / "m.png")
    assert (found.mode, found.palette[:2]) == ("P", [(200, 0, 0), (0, 200, 0)])
    np.testing.assert_array_equal(found.ids, IDS)
