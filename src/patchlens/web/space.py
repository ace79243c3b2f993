"""Checks of the free disk space."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from patchlens.errors import SourceError


def check_space(what: str, needed: Iterable[tuple[Path, float]], margin: float = 0) -> None:
    """Compare the space that will be needed with the free space.

    Args:
        what: what will be written, for the message.
        needed: folders (they need not exist yet) and the bytes that will be written to them.
        margin: bytes of each disk to keep free.

    Raises:
        SourceError: a disk is too small.
    """
    wanted: dict[Path, float] = {}
    for folder, size in needed:
        disk = next(p for p in (folder.resolve() / "_").parents if p.is_mount())
        wanted[disk] = wanted.get(disk, margin) + size
    for disk, size in wanted.items():
        free = shutil.disk_usage(disk).free
        if size > free:
            want, have = (tqdm.format_sizeof(n, "B") for n in (size, free))
            raise SourceError(
                f"{disk}: not enough space for {what}: about {want} are needed, {have} are free; "
                "free some space and run this again"
            )
