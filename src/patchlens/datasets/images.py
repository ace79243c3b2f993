"""Opens pictures, here and nowhere else, so that what is measured is what the labels were drawn on.

A picture is upright as its EXIF tag says, has 8 bits, three colours and one page; what a file alone
cannot say (which grey is white, what stands behind transparent pixels) is stated in `Terms`, or the
file is refused by name.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import (  # each format registers itself, so that Pillow never has to look for others
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from patchlens.datasets.layout import Terms
from patchlens.errors import DataError
from patchlens.given import LFS, why_not
from patchlens.stored import remedy_for

READ = {
    "JPEG": JpegImagePlugin,  # and MPO, a JPEG with previews, a map of light, or more pictures
    "PNG": PngImagePlugin,
    "WEBP": WebPImagePlugin,
    "TIFF": TiffImagePlugin,
    "BMP": BmpImagePlugin,
    "GIF": GifImagePlugin,
    "PPM": PpmImagePlugin,
    "JPEG2000": Jpeg2KImagePlugin,
    "AVIF": AvifImagePlugin,
}
FORMATS = tuple(READ)
UNSTATED = Terms()
# Raised by Pillow for files that are broken, whose headers hold anything.
BROKEN = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
ORIENTATION = 274  # the tag of EXIF and TIFF
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PLAIN = frozenset({"1", "L", "P", "RGB", "CMYK", "YCbCr"})  # modes that Pillow turns into RGB
CLEAR = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})  # with transparency
DEEP = {"I;16": "16 bits", "I;16B": "16 bits", "I;16L": "16 bits", "I;16N": "16 bits",
        "I": "integers of up to 32 bits", "F": "floats"}  # fmt: skip
TAIL = 1 << 16  # bytes; cameras and editors append a little after the end mark
END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM")
# What stands in place of a picture, by its bytes from 0 or 4.
OTHERS = {
    b"ftyp": "HEIC, as phones save it, or a video",
    b"<": "a web page or SVG",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "an array of NumPy",
    b"\xff\x0a": "JPEG XL",
}
LATE = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")  # may follow the pixels of a PNG
Image.MAX_IMAGE_PIXELS = None  # the limit is that of `Terms`, which users can set


class Seen(NamedTuple):
    """What the gate found in a picture.

    Attributes:
        size: width and height when upright, in pixels.
        mode: Pillow's name of its colours.
        orientation: 1 to 8 as in EXIF.
        profile: the name of its colour profile, if any; it is not applied.
        stamp: equal for files of equal bytes, and for few others.
    """

    size: tuple[int, int]
    mode: str = "RGB"
    orientation: int = 1
    profile: str | None = None
    stamp: tuple[int, int] = (0, 0)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture in pixels when upright, from its header alone.

    Raises:
        DataError: the file is missing, empty or not an image.
    """
    with opened(path, "an image") as image:
        return _upright_size(image, orientation_of(image, _tail(image)[1]))


def check_image(path: Path, terms: Terms) -> Seen:
    """Everything that can be wrong with a picture, decoded only where its header leaves doubt.

    JPEG and PNG files with their end mark, and TIFF files with all their strips, are whole.

    Raises:
        DataError: the file is missing, empty, truncated, too large, or not what can be measured.
    """
    with opened(path, "an image", terms) as image:
        length, tail = _tail(image)
        _refuse(path, image, terms)
        whole, turned = _is_whole(image, length, tail), orientation_of(image, tail)
        stamp = length, zlib.crc32(tail)
        seen = Seen(_upright_size(image, turned), image.mode, turned, _profile(image), stamp)
        decode = not whole or image.mode in DEEP or image.has_transparency_data
    if decode:
        return seen._replace(size=open_image(path, terms).size)
    return seen


def open_image(path: Path, terms: Terms = UNSTATED) -> Image.Image:
    """A whole picture, upright, in 8-bit RGB.

    Raises:
        DataError: see `check_image`.
    """
    with opened(path, "an image", terms) as image:
        _refuse(path, image, terms)
        white = stated_white(image)
        image.load()
        rgb = _rgb(path, image, terms, white)
        return upright(image, rgb)


@contextmanager
def opened(path: Path, what: str, terms: Terms | None = None) -> Iterator[ImageFile]:
    """A file, not yet decoded, within the limit of `terms`; every fault is one `DataError`."""
    try:
        with Image.open(regular(path), formats=FORMATS) as image:
            if terms is not None and image.width * image.height > terms.max_megapixels * 1e6:
                raise DataError(
                    f"{path}: has {image.width * image.height / 1e6:.1f} megapixels, more than the "
                    f"limit of {terms.max_megapixels:g}; if it is genuine, raise max_megapixels of "
                    "this dataset in params.yaml"
                )
            yield image
    except BROKEN as error:
        raise unreadable(path, what, error) from None


def orientation_of(image: ImageFile, tail: bytes = b"") -> int:
    """1 to 8 as in EXIF; 1 for a file that says nothing, or nothing that can be read.

    A PNG may say it after its pixels: in its `tail`, if it is not loaded.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        found = image.tag_v2.get(ORIENTATION, 1)
    else:
        if image.format == "PNG" and any(mark in tail for mark in LATE):
            image.load()
        try:
            found = image.getexif().get(ORIENTATION, 1) if _may_turn(image) else 1
        except Exception:  # a block of EXIF can be broken in any way; viewers show such files too
            found = 1
    return found if found in UPRIGHT else 1


def upright(image: ImageFile, pixels: Image.Image) -> Image.Image:
    """`pixels` of the loaded `image`, turned as it says; Pillow has turned a TIFF by itself."""
    turned = 1 if image.format == "TIFF" else orientation_of(image)
    return pixels.transpose(UPRIGHT[turned]) if turned in UPRIGHT else pixels


def regular(path: Path) -> Path:
    """`path`, which must be a regular file: opening a FIFO would wait for ever.

    Raises:
        OSError: it is not.
    """
    if found := why_not(path):
        raise OSError(found)
    return path


def reason(path: Path, error: Exception) -> str:
    """The reason why a file cannot be read, for the end of a message."""
    if found := why_not(path):
        return found
    with path.open("rb") as stream:
        head = stream.read(64)
    if not head:
        return "the file is empty"
    if head.startswith(LFS):
        return "it is a pointer of Git LFS; run `git lfs pull` where it came from"
    if isinstance(error, UnidentifiedImageError):
        if head[:2] in (b"II", b"MM"):
            return (
                "a TIFF of a kind that Pillow cannot read, such as colour in floats or many bands"
            )
        if head.startswith(BEGINNINGS):
            return "the file is broken or cut short; copy or download it again"
        kinds = [what for start, what in OTHERS.items() if head.startswith(start)]
        kinds += [OTHERS[head[4:8]]] if head[4:8] in OTHERS else []
        what = f"it is {kinds[0]}" if kinds else f"it is none of {', '.join(FORMATS)}"
        return f"{what}; get the picture itself, or save it as PNG"
    return str(error) or type(error).__name__


def unreadable(path: Path, what: str, error: Exception) -> DataError:
    """The error of a file that is no `what`, with the remedy if the pipeline made or fetched it."""
    remedy = remedy_for(path, "")
    again = f"; {remedy}" if remedy else ""
    return DataError(f"{path}: cannot be read as {what} ({reason(path, error)}){again}")


def _upright_size(image: ImageFile, turned: int) -> tuple[int, int]:
    if turned >= 5 and image.format != "TIFF":  # Pillow swaps those of a TIFF by itself
        return image.height, image.width
    return image.size


def _may_turn(image: ImageFile) -> bool:
    return not image.info.keys().isdisjoint(
        ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
    )


def _tail(image: ImageFile) -> tuple[int, bytes]:
    """The length of an opened file, and its end."""
    assert image.fp is not None
    place, length = image.fp.tell(), image.fp.seek(0, io.SEEK_END)
    image.fp.seek(max(0, length - TAIL))
    found = image.fp.read()
    image.fp.seek(place)  # where Pillow goes on reading
    return length, found


def _is_whole(image: ImageFile, length: int, tail: bytes) -> bool:
    if image.format in END_MARKS:
        return END_MARKS[image.format] in tail[-1024:]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        for offsets, sizes in ((273, 279), (324, 325)):  # of strips, of tiles
            if offsets in tags and sizes in tags:
                ends = [o + s for o, s in zip(tags[offsets], tags[sizes], strict=False)]
                return max(ends, default=length + 1) <= length
    return False


def _refuse(path: Path, image: ImageFile, terms: Terms) -> None:
    """Refuse what would lose something without a word."""
    if (pages := _pages(image)) > 1:
        raise DataError(
            f"{path}: has {pages} pages or frames, of which only the first would be used; save the "
            "one that was labelled as a file of its own"
        )
    if wrong := changed(image):
        raise DataError(f"{path}: {wrong}")
    if image.mode in DEEP:
        if terms.range is None:
            raise DataError(
                f"{path}: is grey of {DEEP[image.mode]} (mode {image.mode}), and nothing says "
                "which values are black and white; state `range: [black, white]` in dataset.yaml, "
                "or save it with 8 bits"
            )
    elif image.mode not in PLAIN | CLEAR:
        raise DataError(
            f"{path}: is in the colour mode {image.mode}, which is not read; save it as RGB"
        )
    elif (bits := bits_of(path, image)) > 8:
        raise DataError(
            f"{path}: has {bits} bits per channel, of which Pillow would keep 8; save it with 8"
        )
    elif (bands := _bands(image)) > len(image.getbands()):
        raise DataError(
            f"{path}: has {bands} bands, of which Pillow would keep {len(image.getbands())}; save "
            "the three that the labels were drawn on as RGB"
        )


def _pages(image: Any) -> int:
    """Pages or frames of a file, without smaller copies of the first and maps that belong to it."""
    count: int = getattr(image, "n_frames", 1)
    if count == 1 or image.format not in ("TIFF", "MPO"):
        return count
    pages, first = 1, image.size
    for page in range(1, count):
        image.seek(page)
        if image.format == "TIFF":
            pages += not image.tag_v2.get(254, 0) & 1  # of reduced resolution
        else:
            kind = image.mpinfo[0xB002][page]["Attribute"]["MPType"]
            pages += kind.startswith("Multi") or (kind == "Undefined" and image.size == first)
    image.seek(0)
    return pages


def changed(image: Any) -> str | None:
    """Why the pixels that Pillow gives are not those of the file, and what to do."""
    if image.format != "TIFF":
        return None
    tags = image.tag_v2
    if tags.get(254, 0) & 1 or 50706 in tags:  # of reduced resolution; the version of DNG
        return "its first page is a preview, as in a camera's raw file; develop it and save as PNG"
    if 2 in tags.get(339, ()) and max(tags.get(258, (1,))) == 8:
        return "has signed values of 8 bits, which Pillow reads as 0 to 255; save it unsigned"
    return None


def stated_white(image: Any) -> int:
    """White in a PNM file, which Pillow stretches to 255 or 65535; 255 for other formats."""
    raw = image.tile[0].args if image.format == "PPM" and image.tile else ""
    return int(raw[1]) if isinstance(raw, tuple) and image.mode != "F" else 255


def bits_of(path: Path, image: Any) -> int:
    """Bits per channel in the file; Pillow reduces colours to 8 without a word."""
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(258, (1,))))
    if image.format == "PPM":
        return 16 if stated_white(image) > 255 else 8
    if image.format == "PNG" and image.tile:
        return 16 if ";16" in str(image.tile[0].args) else 8
    if image.format in ("JPEG2000", "AVIF"):
        with path.open("rb") as stream:
            head = stream.read(TAIL)
        mark, at = (b"\xff\x51", 40) if image.format == "JPEG2000" else (b"pixi", 9)
        place = head.find(mark) + at
        value: int = head[place] if at <= place < len(head) else 8
        return (value & 0x7F) + 1 if image.format == "JPEG2000" else value
    return 8


def _bands(image: Any) -> int:
    return int(image.tag_v2.get(277, 1)) if image.format == "TIFF" else 0


def is_clear(image: Image.Image) -> bool:
    """Whether a pixel of an image shows what is behind it."""
    return image.has_transparency_data and bool(
        np.asarray(image.convert("RGBA").getchannel("A")).min() < 255
    )


@lru_cache
def _named(profile: bytes) -> str:
    try:
        name: str = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return "unreadable"
    return " ".join(name.split())


def _profile(image: ImageFile) -> str | None:
    """The name of the colour profile in a file."""
    profile = image.info.get("icc_profile")
    return _named(profile) if profile else None


def _rgb(path: Path, image: ImageFile, terms: Terms, white: int) -> Image.Image:
    if image.mode in DEEP:
        return _scaled(path, image, terms, white)
    if not is_clear(image):
        clear = image.has_transparency_data  # in vain: Pillow would warn of a palette's
        return (image.convert("RGBA") if clear else image).convert("RGB")
    if terms.background is None:
        raise DataError(
            f"{path}: has transparent pixels, and nothing says what stands behind them; state "
            "`background: [255, 255, 255]` or another colour in dataset.yaml, or save it without "
            "transparency"
        )
    behind = Image.new("RGBA", image.size, (*terms.background, 255))
    return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")


def _scaled(path: Path, image: ImageFile, terms: Terms, white: int) -> Image.Image:
    """A grey picture in 8 bits: `range` becomes 0 … 255, and what lies outside is cut off."""
    assert terms.range is not None
    low, high = terms.range
    values = np.asarray(image).astype(np.float64)
    if (values == image.info.get("transparency")).any():
        raise DataError(
            f"{path}: has transparent pixels in grey of {DEEP[image.mode]}; save it without "
            "transparency"
        )
    if white not in (255, 65535):
        values = np.rint(values * (white / 65535))
    if not np.isfinite(values).all():
        raise DataError(f"{path}: contains NaN or Inf; a picture needs a number in every pixel")
    if ((values < low) | (values > high)).mean() > 0.5:
        raise DataError(
            f"{path}: has values from {values.min():g} to {values.max():g}, most of them outside "
            f"range: [{low:g}, {high:g}] in dataset.yaml; correct one of the two"
        )
    grey = np.rint((values.clip(low, high) - low) * (255 / (high - low)))
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
