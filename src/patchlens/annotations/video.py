"""Frames of a video, by PyAV (FFmpeg).

The first bytes tell the container, and FFmpeg is given the open file and that one demuxer: it never
sees a path or an address, tries no playlist, and opens nothing else. Frames are turned as the video
says, and kept as JPEG of the highest usual quality, without subsampled colours.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from patchlens.annotations.source import head
from patchlens.datasets.layout import Terms
from patchlens.errors import DataError

MOST = 10_000  # frames of a video that are kept
LONGEST = 1_000_000  # frames that are decoded
STILL = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # at byte 4; older .mov too
SAFE = {"enable_drefs": "0", "use_absolute_path": "0", "protocol_whitelist": "file"}
NAMES = "mp4, mov or avi"
QUALITY = {"quality": 95, "subsampling": 0}


def demuxer(path: Path) -> str | None:
    """FFmpeg's name of the container of a video, by its first bytes; None: it is no video."""
    start = head(path, 12)
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "avi"
    if start[4:8] in BOXES and start[8:12] not in STILL:
        return "mov"
    return None


def frames(path: Path, every: int, wanted: Collection[int] = ()) -> Iterator[tuple[int, Any]]:
    """Number (from 0) and picture of every n-th frame of a video, and of those that are `wanted`.

    Raises:
        DataError: it is no video of a known container or broken, has no pictures, more than `MOST`
            frames to keep, or frames of more pixels than `Terms.max_megapixels`.
    """
    import av

    form = demuxer(path)
    if form is None:
        raise DataError(f"{path}: is no {NAMES} by its content; convert it with `ffmpeg`")
    most = round(Terms().max_megapixels * 1e6)
    kept = 0
    with path.open("rb") as stream:
        try:
            with av.open(stream, "r", format=form, options=SAFE) as container:
                if not container.streams.video:
                    raise DataError(
                        f"{path}: has no pictures, only {len(container.streams)} tracks"
                    )
                video = container.streams.video[0]
                size = video.codec_context.width * video.codec_context.height
                if size > most:
                    raise DataError(f"{path}: its frames have more than {most / 1e6:g} megapixels")
                video.codec_context.options = {"max_pixels": str(most)}
                video.thread_type = "AUTO"
                for number, frame in enumerate(container.decode(video)):
                    if number % every and number not in wanted:
                        continue
                    kept += 1
                    if kept > MOST or number > LONGEST:
                        raise DataError(
                            f"{path}: has more than {MOST} frames to keep; take every n-th only, "
                            "or a part of the video"
                        )
                    yield number, _upright(frame)
        except av.FFmpegError as error:
            what = (error.strerror or str(error)).lower()
            raise DataError(f"{path}: cannot be decoded after {kept} frames ({what})") from None
    if not kept:
        raise DataError(f"{path}: has no frames")


def _upright(frame: Any) -> Image.Image:
    """A frame as it is shown: phones store upright videos lying."""
    turns = round(frame.rotation / 90) % 4  # counter-clockwise
    return Image.fromarray(np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns)))


def save(picture: Image.Image, path: Path) -> None:
    """Write a frame."""
    picture.save(path, format="JPEG", **QUALITY)
