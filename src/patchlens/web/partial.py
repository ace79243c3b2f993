"""A partial download: `<name>.part`, and `<name>.part.json` to resume it."""

import json
from pathlib import Path
from typing import Any

from patchlens.errors import SourceError
from patchlens.files import write_json
from patchlens.web.remote import Remote, fault_of


def place(remote: Remote) -> Path:
    """The path of a file until it is complete."""
    return remote.path.with_name(f"{remote.path.name}.part")


class Partial:
    """The bytes of a file that were downloaded so far.

    Attributes:
        path: where they are stored.
        validator: ETag or date of the file; empty if the server gave none.
        total: bytes of the complete file, if known.
    """

    def __init__(self, remote: Remote) -> None:
        self.path = place(remote)
        self.validator, self.total = "", remote.size
        self._remote = remote
        self._about = remote.path.with_name(f"{remote.path.name}.part.json")
        about = self._read()
        known = about.get("url") == remote.url
        # Without one of the two, parts of two different files could be joined.
        if known and (about["validator"] or remote.checksum):
            self.validator, self.total = about["validator"], about["total"]
        else:
            self.clear()

    def _read(self) -> dict[str, Any]:
        """What the last run noted; nothing if there was none, or if the note is damaged."""
        try:
            about = json.loads(self._about.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        whole = isinstance(about, dict) and {"url", "validator", "total"} <= about.keys()
        return about if whole else {}

    def size(self) -> int:
        """Bytes downloaded so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def begin(self, validator: str, total: int | None) -> None:
        """Start from zero with what the server states about the file."""
        # Emptied first: a run killed in between must not mistake old bytes for the new file.
        self.path.write_bytes(b"")
        self.validator, self.total = validator, total
        about = {"url": self._remote.url, "validator": validator, "total": total}
        write_json(about, self._about)

    def clear(self) -> None:
        """Discard the bytes downloaded so far."""
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)
        self.validator, self.total = "", self._remote.size

    def finish(self) -> None:
        """Check the complete file and rename it into place.

        Raises:
            SourceError: it is not the published file; it was removed.
        """
        fault = fault_of(self.path, self._remote.checksum, self._remote.size)
        if fault is not None:
            self.clear()
            raise SourceError(
                f"{self._remote.url}: {fault}. The file was removed: it was damaged in transit, or "
                "it changed on the server. Run this again; if the error remains, the source has "
                "changed"
            )
        self.path.replace(self._remote.path)
        self._about.unlink(missing_ok=True)
