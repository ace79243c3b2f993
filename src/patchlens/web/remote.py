"""What is to be downloaded, how long to insist, and whether a file is the published one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from patchlens.files import file_hash


@dataclass(frozen=True)
class Remote:
    """A file to be had, and where it goes.

    `checksum` is `md5:<hex>` or `sha256:<hex>`, `size` is in bytes; None: not published.
    `headers` are sent along, to this host only. `stable` names the file where the address changes
    from day to day (signed, or of a session), so that a download in part is still known.
    """

    url: str
    path: Path
    checksum: str | None = None
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stable: str | None = None


@dataclass(frozen=True)
class Patience:
    """How long to insist. `tries` counts failures in a row that brought no new byte.

    The pause before the second try is `wait` seconds and doubles from try to try; a server that
    asks for more than `longest` ends the download. `timeout` is what one read may take.
    """

    tries: int = 6
    wait: float = 1.0
    longest: float = 300.0
    timeout: float = 60.0


def fault_of(path: Path, checksum: str | None, size: int | None = None) -> str | None:
    """Why a file is not the published one; None if it is, or if nothing is published."""
    found = path.stat().st_size
    if found == 0:
        return "it is empty"
    if size is not None and found != size:
        return f"it has {found} bytes, published are {size}"
    if checksum is not None:
        algorithm, published = checksum.split(":")
        digest = file_hash(path, algorithm)
        if digest != published:
            return f"its {algorithm} is {digest}, published is {published}"
    return None
