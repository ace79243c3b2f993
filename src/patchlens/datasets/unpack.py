"""Unpacks zip and tar archives from untrusted sources safely.

No member leaves its folder or is a link or a device. The number and size of members are limited,
according to the data that is actually read and not only to the headers of the archive.
"""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from patchlens.datasets.members import DAMAGE, PIECE, Limits, Members
from patchlens.errors import DataError
from patchlens.progress import bar

BY_HAND = "unpack it yourself and set datasets.<name>.root in params.yaml to the folder"
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz")
# First bytes -> how to read the tar inside.
COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> int:
    """Unpack the files of an archive into `folder`.

    Files from another archive are replaced. Modes, owners, times and empty folders are not kept.
    folders neither.

    Returns:
        The number of files.

    Raises:
        DataError: it is not an archive, or is truncated, damaged or encrypted; a member would
            leave its folder, is not a plain file or occurs twice; or the content is too large or
            empty. The content of `folder` is then invalid.
        SourceError: the disk is too small.
    """
    members = Members(archive, folder, limits or Limits())
    with (
        archive.open("rb") as raw,
        bar(total=archive.stat().st_size, what="unpack", unit="B", scale=True) as shown,
    ):
        start = raw.read(6)
        raw.seek(0)
        try:
            if start.startswith(b"PK"):
                _unzip(raw, members, lambda at: shown.update(at - shown.n))
            else:
                compression = next((c for c in COMPRESSIONS if start.startswith(c)), None)
                stream = COMPRESSIONS[compression](raw) if compression else raw
                _untar(stream, members, lambda: shown.update(raw.tell() - shown.n))
        except NotImplementedError as error:  # an unknown compression
            raise DataError(f"{archive}: cannot be read ({error}); {BY_HAND}") from None
        except DAMAGE as error:
            raise members.damaged(error) from None
    if members.files == 0:
        raise DataError(f"{archive}: contains no files; it is not the expected archive")
    return members.files


def _unzip(raw: IO[bytes], members: Members, at: Callable[[int], object]) -> None:
    with zipfile.ZipFile(raw) as zipped:
        infos = zipped.infolist()
        members.check_count(len(infos))
        for info in infos:
            members.place(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise members.refused(
                    info.filename, "is not a plain file but a link, device or the like"
                )
            if info.flag_bits & 1:
                raise DataError(
                    f"{members.archive}: member '{info.filename}' is encrypted; {BY_HAND}"
                )
        declared = sum(info.file_size for info in infos)
        members.check_bytes(declared)
        members.check_space(declared)
        done = 0
        for info in infos:
            if not info.is_dir():
                with zipped.open(info) as source:
                    members.write(info.filename, source)
            done += info.compress_size
            at(done)


def _untar(stream: IO[bytes], members: Members, at: Callable[[], object]) -> None:
    bounded = _Forwards(stream, members)
    try:
        tar: Any = tarfile.TarFile(fileobj=bounded)
    except tarfile.ReadError:
        raise DataError(f"{members.archive}: is not a zip or tar archive; {BY_HAND}") from None
    count = 0
    while (member := tar.next()) is not None:
        count += 1
        members.check_count(count)
        members.place(member.name)
        if member.isreg() and not member.issparse():
            members.write(member.name, tar.extractfile(member))
        elif not member.isdir():
            raise members.refused(member.name, "is not a plain file but a link, device or the like")
        tar.members.clear()  # else tarfile keeps all of them in memory
        at()
    # tarfile accepts the end of the file, or invalid data, as the end of the archive (zeros).
    if bounded.last != bytes(tarfile.BLOCKSIZE):
        raise members.damaged("it has no end")
    while bounded.read(PIECE):  # to the checksum of the compression
        pass


class _Forwards(io.RawIOBase):
    """A stream for tarfile that only moves forwards and returns limited amounts.

    A header can claim any size, and tarfile reads it at once; a negative size makes it read the
    same members for ever.
    """

    def __init__(self, stream: IO[bytes], members: Members) -> None:
        super().__init__()
        self.last = b""
        self._stream = stream
        self._members = members

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= PIECE:
            raise self._members.damaged(f"a header of {size} bytes")
        self.last = self._stream.read(size)
        self._members.check_bytes(self._stream.tell())
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset < self._stream.tell():
            raise self._members.damaged("a member of negative size")
        self._members.check_bytes(offset)
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()
