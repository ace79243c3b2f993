"""The allowed paths of members of an archive, and the allowed size of its content."""

import errno
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from patchlens.errors import DataError, SourceError
from patchlens.web.space import check_space

PIECE = 1 << 20
DAMAGE = (
    EOFError,
    LookupError,
    OSError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Limits:
    """Limits of an archive: the number of members; and `growth` times its size, or `floor` bytes.

    The largest dataset has 300 000 files. Archives do not compress photographs, but lists of boxes
    by a factor of about 30.
    """

    members: int = 2_000_000
    growth: int = 100
    floor: int = 1 << 30


class Members:
    """The members of one archive, which are written to `folder`.

    Attributes:
        most: allowed bytes of its content.
        files: the number of written files.
    """

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.archive = archive
        self.most = max(limits.floor, limits.growth * archive.stat().st_size)
        self.files = 0
        self._folder = folder
        self._limits = limits
        self._bytes = 0
        self._names: set[str] = set()

    def damaged(self, error: object) -> DataError:
        """The error for an unreadable archive."""
        return DataError(
            f"{self.archive}: this archive is truncated or damaged ({error}); download it again"
        )

    def refused(self, name: str, reason: str) -> DataError:
        """The error for a member that no genuine dataset has."""
        return DataError(
            f"{self.archive}: member '{name}' {reason}; nothing of this archive was kept; it is "
            "not the published one, or not trustworthy"
        )

    def check_count(self, count: int) -> None:
        """Refuse more members than a dataset has."""
        if count > self._limits.members:
            raise DataError(
                f"{self.archive}: contains more than {self._limits.members} members; nothing of it "
                "was kept"
            )

    def check_bytes(self, count: int) -> None:
        """Refuse more bytes than a genuine archive of this size can contain."""
        if count > self.most:
            raise DataError(
                f"{self.archive}: its content is more than {tqdm.format_sizeof(self.most, 'B')}, "
                "out of proportion to its size (a decompression bomb); nothing of it was kept"
            )

    def check_space(self, count: int) -> None:
        """Refuse content that does not fit on the disk."""
        check_space(f"the content of {self.archive.name}", [(self._folder, count)])

    def place(self, name: str) -> Path:
        """The path of a member.

        Raises:
            DataError: the path is outside the folder.
        """
        # Windows also separates with a backslash, so it is as dangerous as a slash.
        parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".")]
        if name.startswith(("/", "\\")) or ".." in parts or "\0" in name:
            raise self.refused(name, "would be written outside its folder")
        if parts and DRIVE.match(parts[0]):
            raise self.refused(name, "would be written outside its folder, to a drive")
        return self._folder.joinpath(*parts)

    def write(self, name: str, source: IO[bytes]) -> None:
        """Write a file with the actual content of the archive.

        Raises:
            DataError: it is a repeated name, cannot be read or written, or exceeds a limit.
            SourceError: the disk is full.
        """
        path = self.place(name)
        if str(path) in self._names:
            raise self.refused(name, "occurs twice")
        self._names.add(str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for chunk in self._read(source):
                    file.write(chunk)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise SourceError(
                    f"{path}: the disk is full; free some space and run this again"
                ) from None
            raise self.refused(name, f"cannot be written ({error.strerror})") from None
        self.files += 1

    def _read(self, source: IO[bytes]) -> Iterator[bytes]:
        while True:
            try:
                chunk = source.read(PIECE)
            except DAMAGE as error:
                raise self.damaged(error) from None
            if not chunk:
                return
            self._bytes += len(chunk)
            self.check_bytes(self._bytes)
            yield chunk
