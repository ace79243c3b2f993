"""Reads the files that users hand us, of which nothing is known before they are opened.

A path may be a folder, a FIFO (whose opening waits for ever), a device, a link to itself, or a file
of any size and encoding. All of these are a reason in words for the caller's one line.
"""

import os
import stat
from pathlib import Path

MEGABYTE = 1_000_000
TEXT = 2_000 * MEGABYTE  # annotations: the largest in public use take a few hundred
LFS = b"version https://git-lfs"  # the beginning of a file that Git LFS did not fetch
NOT_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Unreadable(Exception):
    """A file cannot be read; the text is the reason and the remedy, without the path."""


def why_not(path: Path) -> str | None:
    """Why `path` is no file that can be opened, such as `is a FIFO, not a file`; None if it is one.

    Nothing is opened.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "is a link to nothing" if os.path.lexists(path) else "no such file"
    except OSError as error:
        return _reason(error)
    except ValueError:
        return "its name contains a NUL character"
    if not stat.S_ISREG(mode):
        return f"is {NOT_FILES.get(stat.S_IFMT(mode), 'something else')}, not a file"
    return None


def content(path: Path, limit: int = TEXT) -> bytes:
    """The bytes of a regular file.

    Args:
        path: as the user wrote it.
        limit: the largest size that is read, in bytes.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        Unreadable: it is no regular file, is larger than `limit`, or may not be read.
    """
    if reason := why_not(path):
        if reason == "no such file":
            raise FileNotFoundError(path)
        raise Unreadable(f"{reason}; put a file there")
    try:
        with path.open("rb") as stream:
            found = stream.read(limit + 1)
    except (OSError, MemoryError) as error:
        raise Unreadable(_reason(error)) from None
    if found.startswith(LFS):
        raise Unreadable("is a pointer of Git LFS; run `git lfs pull` where it came from")
    if len(found) > limit:
        raise Unreadable(f"is larger than {limit / MEGABYTE:g} MB, the most that is read")
    return found


def text(path: Path, limit: int = TEXT) -> str:
    """The text of a regular file in UTF-8; a mark at its start is dropped. See `content`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        Unreadable: as in `content`, or the file is not UTF-8.
    """
    found = content(path, limit)
    try:
        return found.decode("utf-8-sig")  # editors on Windows write a mark at the start
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"line {line} is not UTF-8; save the file as UTF-8") from None


def printable(value: object) -> str:
    """Text that stays one line on any terminal: control characters and broken names as escapes."""
    shown = str(value)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "is larger than the memory of this machine"
    return (getattr(error, "strerror", None) or str(error)).lower()
