"""Whether what is to come fits on the disk."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from patchlens.errors import SourceError


def check_space(what: str, needed: Iterable[tuple[Path, float]], margin: float = 0) -> None:
    """Compare what will be written with what is free.

    Args:
        what: what will be written, for the message.
        needed: folders (they need not exist yet) and bytes that will be written below them.
        margin: bytes of each disk that stay free.

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
                f"{disk}: about {want} are needed for {what}, {have} are free on this disk; free "
                "some space and run this again"
            )
