"""Opens id maps, here and nowhere else: class masks and instance masks, whose pixels are numbers.

An id map is lossless and whole-numbered, has one channel, or colours that a table turns into
classes, and is upright as its picture is.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from patchlens.datasets.images import (
    BROKEN,
    UNSTATED,
    bits_of,
    changed,
    is_clear,
    opened,
    regular,
    stated_white,
    unreadable,
    upright,
)
from patchlens.datasets.layout import Terms
from patchlens.datasets.sbd import read_segmentation
from patchlens.errors import DataError

Mask = NDArray[np.uint8]
Ids = NDArray[Any]  # uint8, or int64
LOSSY = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "AVIF": "AVIF"}
LOSSY_TIFF = {6: "JPEG", 7: "JPEG", 34712: "JPEG 2000", 50001: "WebP", 50002: "JPEG XL"}
COLOURS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})  # that become RGB as they are
SAVE = "save masks as PNG"


class IdMap(NamedTuple):
    """An id map: its values [H, W], its mode, and the colour of each index of its palette."""

    ids: Ids
    mode: str
    palette: list[tuple[int, ...]]


def open_mask(path: Path, labels: Mapping[int, int], terms: Terms = UNSTATED) -> Mask:
    """Class ids [H, W] of a mask file, each of its values translated by `labels`.

    Raises:
        DataError: see `open_id_map`; or the file contains a value outside `labels`.
    """
    return translated(path, open_id_map(path, terms, colours=terms.colours).ids, labels, terms)


def open_ids(path: Path, terms: Terms = UNSTATED) -> Ids:
    """The values [H, W] of an id map, or of a label file of SBD.

    Palette images give their indices, and grey images of 8, 16 and 32 bits their values.

    Raises:
        DataError: see `open_id_map`.
    """
    return open_id_map(path, terms).ids


def open_id_map(path: Path, terms: Terms = UNSTATED, *, colours: bool = False) -> IdMap:
    """An id map with its palette.

    With `colours`, the value of a pixel is red · 65536 + green · 256 + blue.

    Raises:
        DataError: the file is missing, broken or too large; its compression is lossy; it has
            colours or transparency without a meaning, several pages, or values that are not whole.
    """
    if _is_matlab(path):
        try:
            return IdMap(read_segmentation(path), "MATLAB", [])
        except BROKEN as error:
            raise unreadable(path, "a mask", error) from None
    with opened(path, "a mask", terms) as image:
        _refuse(path, image)
        if colours and (image.mode not in COLOURS or bits_of(path, image) > 8):
            raise DataError(
                f"{path}: has the mode {image.mode} of {bits_of(path, image)} bits; colours are "
                f"RGB of 8 bits; {SAVE}"
            )
        image.load()
        mode, palette = image.mode, list[tuple[int, ...]]()
        if colours:
            ids = _packed(upright(image, _opaque(path, image).convert("RGB")))
        else:
            shown = _opaque(path, image)
            if len(shown.getbands()) != 1:
                raise DataError(
                    f"{path}: has {len(image.getbands())} channels; a mask must have one, or "
                    "colours with a meaning: `colours` in dataset.yaml says which is which class"
                )
            if shown.mode == "P":
                flat = shown.getpalette("RGB") or []
                palette = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
            ids = _whole(path, np.asarray(upright(image, shown)))
    return IdMap(ids, mode, palette)


def embedded_mask(place: str, data: bytes, largest: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask [h, w] of one object, as a PNG inside an annotation: what is opaque, or not black.

    Args:
        place: of the annotation, for messages.
        data: the PNG.
        largest: width and height of the picture, which no mask of a part exceeds.

    Raises:
        DataError: it is no PNG, or larger than the picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width > largest[0] or image.height > largest[1]:
                raise DataError(f"{place}: its mask is larger than its picture")
            image.load()
            alpha = image.has_transparency_data
            shown = image.convert("RGBA").getchannel("A") if alpha else image.convert("L")
            return np.asarray(shown) > 0
    except BROKEN as error:
        raise DataError(f"{place}: its mask is no PNG that can be read ({error})") from None


def translated(path: Path, ids: Ids, labels: Mapping[int, int], terms: Terms) -> Mask:
    """The class id of each value, by `labels`."""
    if ids.dtype == np.uint8:
        codes, occurring = ids, np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
        table = np.zeros(256, np.uint8)
    else:  # of the values that occur, which are few
        flat, occurring = pd.factorize(ids.ravel())
        codes, table = flat.reshape(ids.shape), np.zeros(len(occurring), np.uint8)
    for place, value in enumerate(int(v) for v in occurring):
        if value not in labels:
            raise DataError(f"{path}: contains {_unknown(value, labels, terms)}")
        table[value if codes is ids else place] = labels[value]
    return table[codes]


def _unknown(value: int, labels: Mapping[int, int], terms: Terms) -> str:
    if terms.colours:
        colour = list(value.to_bytes(3, "big"))
        return f"colour {colour}, which is neither in colours nor in ignore_colours of dataset.yaml"
    allowed = ", ".join(str(v) for v in sorted(labels))
    return f"id {value}, which is not among the classes ({allowed})"


def _is_matlab(path: Path) -> bool:
    try:
        with regular(path).open("rb") as stream:
            return stream.read(6) == b"MATLAB"
    except OSError:
        return False


def _refuse(path: Path, image: Any) -> None:
    """Refuse files whose values are not those that somebody drew."""
    lossy = LOSSY.get(image.format)
    if image.format == "WEBP" and _is_lossy_webp(path):
        lossy = "lossy WebP"
    if image.format == "TIFF":
        lossy = LOSSY_TIFF.get(image.tag_v2.get(259, 1))
    if lossy:
        raise DataError(
            f"{path}: is saved as {lossy}, which changes the ids near every edge; "
            f"{SAVE} from where they were drawn"
        )
    if (pages := getattr(image, "n_frames", 1)) > 1:
        raise DataError(f"{path}: has {pages} pages or frames; a mask must have one")
    if wrong := changed(image):
        raise DataError(f"{path}: {wrong}")
    few = re.match(r"\W*L;[24]", str(image.tile[0].args if image.tile else ""))
    inverted = image.format == "TIFF" and image.mode == "L" and image.tag_v2.get(262) == 0
    if few or inverted or stated_white(image) not in (255, 65535):
        what = "inverted (0 is white)" if inverted else "grey of other than 8 or 16 bits"
        raise DataError(f"{path}: is {what}, in which an id can mean two things; {SAVE} of 8 bits")


def _is_lossy_webp(path: Path) -> bool:
    """Whether a chunk of the file is a lossy picture; others, of any length, may come first."""
    with path.open("rb") as stream:
        stream.seek(12)
        while len(head := stream.read(8)) == 8:
            if head[:4] == b"VP8 ":
                return True
            length = int.from_bytes(head[4:], "little")
            inner = head[:4] == b"ANMF"  # a frame, whose chunks follow 16 bytes
            stream.seek(16 if inner else length + length % 2, io.SEEK_CUR)
    return False


def _opaque(path: Path, image: Image.Image) -> Image.Image:
    """The image without its alpha channel, which must hide nothing."""
    if is_clear(image):
        raise DataError(
            f"{path}: has transparent pixels, and an id behind them; {SAVE} without transparency"
        )
    if image.mode in ("LA", "PA"):
        return image.getchannel(0)
    return image


def _whole(path: Path, values: NDArray[Any]) -> Ids:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "f":
        odd = ~((np.abs(values) < 2**53) & (values == np.floor(values)))  # nor NaN
        if odd.any():
            y, x = np.argwhere(odd)[0]
            raise DataError(
                f"{path}: holds {values[y, x]:g} at x {x}, y {y}; ids are whole numbers below "
                f"2^53; {SAVE}"
            )
    return values.astype(np.int64)


def _packed(image: Image.Image) -> Ids:
    red, green, blue = np.moveaxis(np.asarray(image).astype(np.int64), 2, 0)
    packed: Ids = (red << 16) + (green << 8) + blue
    return packed
