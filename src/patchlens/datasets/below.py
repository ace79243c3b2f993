"""What lies below a dataset's root: a walk that never leaves it, and names that users write.

A link that leads out of the root is an error unless `follow_links: true` stands in params.yaml.
Names are compared in Unicode's form NFC, because macOS stores them in another (NFD).
"""

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from patchlens.errors import DataError, SourceError
from patchlens.given import NOT_FILES, printable, why_not
from patchlens.progress import log

LITTER = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))  # what archivers and desktops add
REMEDY = "copy its target there, or set follow_links: true for this dataset in params.yaml"


def files_below(root: Path, *, follow_links: bool) -> Iterator[tuple[Path, os.stat_result]]:
    """Every regular file below `root`, sorted by path, with its stat; each folder once.

    Whatever cannot be listed is skipped with a note: FIFOs, sockets and devices, which are never
    opened, links to nothing or to themselves, and names that are not UTF-8.

    Raises:
        SourceError: `root` or a folder below it cannot be read.
        DataError: a link leads out of `root`, and `follow_links` is not set.
    """
    inside = Path(os.path.realpath(root))
    skipped: list[str] = []
    seen = set[tuple[int, int]]()
    yield from _walk(root, inside, follow_links, seen, skipped)
    if skipped:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        log.warning("%s: skipped %s%s", printable(root), skipped[0], more)


def check_links(root: Path) -> None:
    """Refuse a root with a link that leads out of it; a root that is no folder has none.

    See `files_below`.
    """
    inside = Path(os.path.realpath(root))
    for _ in _walk(root, inside, False, set(), []) if root.is_dir() else ():
        pass  # the stage `manifest` notes what is skipped


def _walk(
    root: Path,
    inside: Path,
    follow_links: bool,
    seen: set[tuple[int, int]],
    skipped: list[str],
) -> Iterator[tuple[Path, os.stat_result]]:
    todo = [root]  # folders, the next one last; not a recursion, whose depth a user could choose
    while todo:
        folder = todo.pop()
        try:
            about = os.stat(folder)
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise SourceError(
                f"{printable(folder)}: {(error.strerror or str(error)).lower()}; correct root in "
                "params.yaml, or the rights of this folder"
            ) from None
        below = []
        for entry in entries:
            path = Path(entry.path)
            shown = printable(path.relative_to(root))
            if not _is_utf8(entry.name):
                skipped.append(f"{shown} (its name is not UTF-8)")
                continue
            if entry.is_symlink() and not follow_links:
                _check_link(path, inside)
            try:
                about = entry.stat()
            except OSError:
                skipped.append(f"{shown} ({why_not(path) or 'it vanished'})")
                continue
            if stat.S_ISDIR(about.st_mode):
                below.append(path)
            elif stat.S_ISREG(about.st_mode):
                yield path, about
            else:
                kind = NOT_FILES.get(stat.S_IFMT(about.st_mode), "neither file nor folder")
                skipped.append(f"{shown} ({kind})")
        # Real folders first, so that a folder is listed under its own name and not a link's.
        todo += sorted(below, key=lambda path: (path.is_symlink(), path), reverse=True)


def _check_link(path: Path, inside: Path) -> None:
    target = Path(os.path.realpath(path))  # of a link to itself: the link
    if not target.is_relative_to(inside):
        raise DataError(
            f"{printable(path)}: this link leads out of the dataset's root, to "
            f"{printable(target)}; {REMEDY}"
        )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that no codec could read stand in it as surrogates
        return False
    return True


def check_name(path: Path) -> None:
    """Refuse a file whose name is not UTF-8, which no index can hold.

    Raises:
        DataError: names the file with its bytes as escapes.
    """
    if not _is_utf8(path.name):
        raise DataError(f"{printable(path)}: its name is not UTF-8; rename or remove it")


def nfc(name: str) -> str:
    """A name or text in the form in which it is compared."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def hidden(name: str) -> bool:
    """Whether a name is one that no reader sees: a dot file, or what archivers and desktops add."""
    return name.startswith(".") or name in LITTER


def listed(folder: Path, pattern: str = "*") -> list[Path]:
    """The regular files of a folder whose names match, sorted by name, without `hidden` ones.

    Anything else, such as a FIFO, is skipped with a note. A pattern that begins with `**/` also
    finds those in folders below, without hidden folders.

    Raises:
        SourceError: the folder does not exist.
        DataError: the name of a file is not UTF-8.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    found = sorted(folder.glob(pattern))
    steps = len(folder.parts)
    return [p for p in found if not any(map(hidden, p.parts[steps:])) and _usable(p)]


def folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted by name, without `hidden` ones.

    Each is listed once: not by a link to it, and not by a link to a folder around it.
    """
    found = [p for p in path.iterdir() if p.is_dir() and not hidden(p.name)]
    here = Path(os.path.realpath(path))
    seen = {here, *here.parents}
    once = []
    for folder in sorted(found, key=lambda p: (p.is_symlink(), p.name)):
        check_name(folder)
        if (real := Path(os.path.realpath(folder))) not in seen:
            seen.add(real)
            once.append(folder)
    return sorted(once)


def at(folder: Path, written: str) -> Path:
    """The path below `folder` that a file or a setting names.

    A backslash separates as a slash does, and a name that is stored in another form of Unicode is
    found. If there is nothing, the path is that as written.
    """
    path = folder / written
    if os.path.lexists(path):
        return path
    path = folder
    for part in PurePosixPath(written.replace("\\", "/")).parts:
        step = path / part
        if not part.isascii() and not step.exists() and path.is_dir():
            step = next((p for p in path.iterdir() if nfc(p.name) == nfc(part)), step)
        path = step
    return path


def _usable(path: Path) -> bool:
    if (reason := why_not(path)) is None:
        check_name(path)
        return True
    if not path.is_dir():
        log.warning("%s: skipped, because it %s", printable(path), reason)
    return False


def check_inside(written: str, place: str) -> None:
    """Refuse a path in a file of a dataset that could leave the folder it is relative to.

    Args:
        written: the path.
        place: the file and the key or line in which it stands, for the message.

    Raises:
        DataError: it is absolute, begins with `~`, or has `..` or a NUL in it.
    """
    path = PurePosixPath(written.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\x00" in written or path.parts[:1] == ("~",):
        raise DataError(
            f"{place}: '{printable(written)}' may leave the dataset's root; write a path relative "
            "to the root, without '..'"
        )
