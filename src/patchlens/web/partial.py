"""A file that is not whole yet: `<name>.part`, and `<name>.part.json` to ask for the rest."""

import json
from pathlib import Path

from patchlens.errors import SourceError
from patchlens.files import write_json
from patchlens.web.remote import Remote, fault_of


def place(remote: Remote) -> Path:
    """Where the bytes of a file lie until it is whole."""
    return remote.path.with_name(f"{remote.path.name}.part")


class Partial:
    """The bytes of a file that are there.

    Attributes:
        path: where they are.
        validator: ETag or date of the file that they belong to; empty if the server gave none.
        total: bytes of the whole file, if anyone has said so.
    """

    def __init__(self, remote: Remote) -> None:
        self.path = place(remote)
        self.validator, self.total = "", remote.size
        self._remote = remote
        self._about = remote.path.with_name(f"{remote.path.name}.part.json")
        about = json.loads(self._about.read_text("utf-8")) if self._about.is_file() else {}
        known = about.get("url") == (remote.stable or remote.url)
        # Without one of the two, the end of another file could be sewn to the beginning of this.
        if known and (about["validator"] or remote.checksum):
            self.validator, self.total = about["validator"], about["total"]
        else:
            self.clear()

    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def begin(self, validator: str, total: int | None) -> None:
        """Start at zero with what the server says of the file."""
        # Emptied first: a run killed in between must not take old bytes for the new file's.
        self.path.write_bytes(b"")
        self.validator, self.total = validator, total
        url = self._remote.stable or self._remote.url
        about = {"url": url, "validator": validator, "total": total}
        write_json(about, self._about)

    def clear(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)
        self.validator, self.total = "", self._remote.size

    def finish(self) -> None:
        """Check the whole file and give it its name.

        Raises:
            SourceError: it is not the published file; it has been removed.
        """
        fault = fault_of(self.path, self._remote.checksum, self._remote.size)
        if fault is not None:
            self.clear()
            raise SourceError(
                f"{self._remote.url}: {fault}. The file was removed: it was damaged on the way, or "
                "it changed at its source. Run this again; if it stays so, the source has changed"
            )
        self.path.replace(self._remote.path)
        self._about.unlink(missing_ok=True)
