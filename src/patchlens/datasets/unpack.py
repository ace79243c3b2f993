"""Unpacks zip and tar archives from untrusted sources safely.

zipfile and tarfile (with its filter "data") extract. Before that, a member must have a path below
the folder and be a plain file. The number and size of members are limited, for a tar according to
the data that is actually read and not only to its headers.
"""

import bz2
import errno
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from patchlens.errors import DataError, of_machine
from patchlens.files import check_space
from patchlens.progress import bar

BY_HAND = "unpack it yourself and set datasets.<name>.root in params.yaml to the folder"
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz")
# First bytes -> how to read the tar inside.
COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
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


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> int:
    """Unpack the files of an archive into `folder`.

    Files from another archive are replaced. Modes, owners, times and empty folders are not kept.

    Returns:
        The number of files.

    Raises:
        DataError: it is not an archive, or is truncated, damaged or encrypted; a member would
            leave its folder, is not a plain file or occurs twice; or the content is too large or
            empty. The content of `folder` is then invalid.
        SourceError: the disk is too small.
    """
    limits = limits or Limits()
    most = max(limits.floor, limits.growth * archive.stat().st_size)
    guard = _Guard(archive, limits.members, most)
    with (
        archive.open("rb") as raw,
        bar(total=archive.stat().st_size, what="unpack", unit="B", scale=True) as shown,
    ):
        start = raw.read(6)
        raw.seek(0)
        try:
            if start.startswith(b"PK"):
                _unzip(raw, folder, guard, lambda at: shown.update(at - shown.n))
            else:
                compression = next((c for c in COMPRESSIONS if start.startswith(c)), None)
                stream = COMPRESSIONS[compression](raw) if compression else raw
                _untar(stream, folder, guard, lambda: shown.update(raw.tell() - shown.n))
        except NotImplementedError as error:  # an unknown compression
            raise DataError(f"{archive}: cannot be read ({error}); {BY_HAND}") from None
        except DAMAGE as error:
            raise guard.damaged(error) from None
    if not guard.paths:
        raise DataError(f"{archive}: contains no files; it is not the expected archive")
    return len(guard.paths)


@dataclass
class _Guard:
    """What is refused in one archive: more than `members`, more than `most` bytes, odd paths.

    `paths` are those of its files so far.
    """

    archive: Path
    members: int
    most: int
    paths: set[str] = field(default_factory=set)

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
        if count > self.members:
            raise DataError(
                f"{self.archive}: contains more than {self.members} members; nothing of it was kept"
            )

    def check_bytes(self, count: int) -> None:
        """Refuse more bytes than a genuine archive of this size can contain."""
        if count > self.most:
            raise DataError(
                f"{self.archive}: its content is more than {tqdm.format_sizeof(self.most, 'B')}, "
                "out of proportion to its size (a decompression bomb); nothing of it was kept"
            )

    def path(self, name: str, *, file: bool, folder: bool) -> str:
        """The path of a member below the folder, empty for a folder.

        Raises:
            DataError: it is outside the folder, neither file nor folder, or occurs twice.
        """
        # Windows also separates with a backslash, so it is as dangerous as a slash.
        parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".")]
        if name.startswith(("/", "\\")) or ".." in parts or "\0" in name:
            raise self.refused(name, "would be written outside its folder")
        if parts and DRIVE.match(parts[0]):
            raise self.refused(name, "would be written outside its folder, to a drive")
        if folder:
            return ""
        if not file:
            raise self.refused(name, "is not a plain file but a link, device or the like")
        path = "/".join(parts)
        if path in self.paths:
            raise self.refused(name, "occurs twice")
        self.paths.add(path)
        return path

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Tell a member that cannot be written from one that cannot be read."""
        try:
            yield
        except tarfile.FilterError as error:  # over a link that lies in the folder already
            raise self.refused(name, f"would be written outside its folder ({error})") from None
        except OSError as error:
            if error.errno is None:  # damage: only the system's own errors have a number
                raise
            if error.errno == errno.ENOSPC:
                raise of_machine(error, self.archive) or error from None
            raise self.refused(name, f"cannot be written ({error.strerror})") from None


def _unzip(raw: IO[bytes], folder: Path, guard: _Guard, at: Callable[[int], object]) -> None:
    with zipfile.ZipFile(raw) as zipped:
        infos = zipped.infolist()
        guard.check_count(len(infos))
        files = []
        for info in infos:
            kind = stat.S_IFMT(info.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            path = guard.path(info.filename, file=plain, folder=plain and info.is_dir())
            if info.flag_bits & 1:
                raise DataError(
                    f"{guard.archive}: member '{info.filename}' is encrypted; {BY_HAND}"
                )
            if path:
                files.append((info, info.filename, path))
        declared = sum(info.file_size for info in infos)  # zipfile reads no more of a member
        guard.check_bytes(declared)
        check_space(f"the content of {guard.archive.name}", [(folder, declared)])
        done = 0
        for info, name, path in files:
            info.filename = path
            with guard.writing(name):
                zipped.extract(info, folder)
            done += info.compress_size
            at(done)


def _untar(stream: IO[bytes], folder: Path, guard: _Guard, at: Callable[[], object]) -> None:
    bounded = _Forwards(stream, guard)
    try:
        tar: Any = tarfile.TarFile(fileobj=bounded)
    except tarfile.ReadError:
        raise DataError(f"{guard.archive}: is not a zip or tar archive; {BY_HAND}") from None
    count = 0
    while (member := tar.next()) is not None:
        count += 1
        guard.check_count(count)
        if member.size < 0:
            raise guard.damaged("a member of negative size")
        plain = member.isreg() and not member.issparse()
        if path := guard.path(member.name, file=plain, folder=member.isdir()):
            named = member.replace(name=path, deep=False)
            with guard.writing(member.name):
                tar.extract(named, folder, set_attrs=False, filter="data")
        tar.members.clear()  # else tarfile keeps all of them in memory
        at()
    # tarfile accepts the end of the file, or invalid data, as the end of the archive (zeros).
    if bounded.last != bytes(tarfile.BLOCKSIZE):
        raise guard.damaged("it has no end")
    while bounded.read(PIECE):  # to the checksum of the compression
        pass


class _Forwards(io.RawIOBase):
    """A stream for tarfile that only moves forwards and returns limited amounts.

    A header can claim any size, and tarfile reads it at once; a negative size makes it read the
    same members for ever.
    """

    def __init__(self, stream: IO[bytes], guard: _Guard) -> None:
        super().__init__()
        self.last = b""
        self._stream = stream
        self._guard = guard

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= PIECE:
            raise self._guard.damaged(f"a header of {size} bytes")
        self.last = self._stream.read(size)
        self._guard.check_bytes(self._stream.tell())
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset < self._stream.tell():
            raise self._guard.damaged("a member of negative size")
        self._guard.check_bytes(offset)
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()
