"""The files to download, how long to retry, and whether a file is the published one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from patchlens.files import file_hash


@dataclass(frozen=True)
class Remote:
    """A file to download, and its path.

    `checksum` is `md5:<hex>` or `sha256:<hex>`, `size` is in bytes; None if not published.
    `headers` are sent to this host only.
    """

    url: str
    path: Path
    checksum: str | None = None
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Patience:
    """How long to retry. `tries` counts consecutive failures without a new byte.

    The pause before the second try is `wait` seconds and doubles with each try; the download ends
    if the server asks for more than `longest`. `timeout` is the limit of one read.
    """

    tries: int = 6
    wait: float = 1.0
    longest: float = 300.0
    timeout: float = 60.0


def fault_of(path: Path, checksum: str | None, size: int | None = None) -> str | None:
    """Why a file is not the published one; None if it is, or if nothing is published about it."""
    found = path.stat().st_size
    if found == 0:
        return "it is empty"
    if size is not None and found != size:
        return f"its size is {found} bytes, but the published size is {size}"
    if checksum is not None:
        algorithm, published = checksum.split(":")
        digest = file_hash(path, algorithm)
        if digest != published:
            return f"its {algorithm} is {digest}, but the published one is {published}"
    return None
