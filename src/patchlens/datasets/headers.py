"""The size of an image without decoding it, and whether the file is complete."""

from pathlib import Path

from PIL import Image

from patchlens.datasets.index import READ_ERRORS, read_image, reason, regular
from patchlens.errors import DataError

TAIL = 1024  # bytes; cameras and editors append a little after the end mark
END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image file in pixels.

    JPEG and PNG files with their end mark, and TIFF files with all their strips, are not decoded.
    All other files are decoded completely, so that only unreadable files are refused.

    Raises:
        DataError: the file is missing, empty, truncated or not an image.
    """
    try:
        with Image.open(regular(path)) as image:
            size, whole = image.size, _is_whole(path, image)
    except READ_ERRORS as error:
        raise DataError(f"{path}: cannot be read as an image ({reason(path, error)})") from None
    if not whole:
        read_image(path)
    return size


def _is_whole(path: Path, image: Image.Image) -> bool:
    length = path.stat().st_size
    if image.format in END_MARKS:
        with path.open("rb") as stream:
            stream.seek(max(0, length - TAIL))
            return END_MARKS[image.format] in stream.read()
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        for offsets, sizes in ((273, 279), (324, 325)):  # of strips, of tiles
            if offsets in tags and sizes in tags:
                ends = [o + s for o, s in zip(tags[offsets], tags[sizes], strict=False)]
                return max(ends, default=length + 1) <= length
    return False
