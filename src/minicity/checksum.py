"""SHA-256 of rendered frames, which proves that two machines rendered the same bytes.

After a deliberate change of the renderer, ``python -m minicity.checksum``
rewrites the committed values in ``checksums.py`` beside this file.
"""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from minicity.render import Frame, scene_frames
from minicity.spec import SPLITS


def frames_checksum(frames: Iterable[Frame]) -> str:
    """SHA-256 (hex) of the frames' arrays: of each its image, semantic and instance ids.

    Arrays count in C order; instance ids as little-endian 16-bit integers.
    """
    digest = sha256()
    for frame in frames:
        digest.update(frame.image.tobytes())
        digest.update(frame.semantic.tobytes())
        digest.update(frame.instance.astype("<u2").tobytes())
    return digest.hexdigest()


def scene_checksum(split: str, index: int) -> str:
    """Render one scene (a still or a whole sequence) and take its checksum."""
    return frames_checksum(scene_frames(split, index))


def split_checksum(scenes: Iterable[str]) -> str:
    """SHA-256 (hex) of a split: of its scenes' hex checksums in order, joined by newlines."""
    return sha256("\n".join(scenes).encode()).hexdigest()


def _rewrite(jobs: int = 2) -> None:
    lines = ['"""Checksums of the evaluation scenes, in order; written by ``checksum.py``."""', ""]
    totals = {}
    lines.append("SCENES = {")
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for name, split in SPLITS.items():
            scenes = list(pool.map(scene_checksum, [name] * split.count, range(split.count)))
            totals[name] = split_checksum(scenes)
            lines += [f'    "{name}": (', *(f'        "{scene}",' for scene in scenes), "    ),"]
    lines += ["}", "", "SPLIT_TOTALS = {"]
    lines += [f'    "{name}": "{total}",' for name, total in totals.items()]
    text = "\n".join([*lines, "}", ""])
    Path(__file__).with_name("checksums.py").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _rewrite()
