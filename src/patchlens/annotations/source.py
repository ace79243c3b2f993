"""The files that a user gives: a folder, one file, or an archive, which is unpacked within limits.

No path that stands in an annotation is ever opened: names are compared with what is listed here.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from patchlens.datasets.below import check_name, files_below, hidden, nfc
from patchlens.datasets.reading import json_of, pictures, xml_of
from patchlens.datasets.unpack import is_archive, unpack
from patchlens.errors import DataError, SourceError
from patchlens.given import NOT_FILES, printable, why_not

VIDEOS = (".mp4", ".mov", ".m4v", ".avi")
ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


class Source:
    """What lies at a path.

    Attributes:
        given: the path as written.
        root: the folder in which it is found: itself, that of an unpacked archive, or around a
            single file.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        self.given, self.root = path, path
        self._only: Path | None = None
        self._parsed: dict[Path, Any] = {}
        if path.is_dir():
            return
        if fault := why_not(path):
            kinds = {f"is {kind}, not a file" for kind in NOT_FILES.values()}
            if fault in kinds:
                raise DataError(f"{path}: {fault}")
            raise SourceError(f"{path}: {fault}")
        if is_archive(path.name) or head(path, 8).startswith(ARCHIVES):
            self.root = scratch / f"unpacked-{len(list(scratch.glob('unpacked-*')))}"
            self.root.mkdir(parents=True)
            unpack(path, self.root)
        else:
            self.root, self._only = path.parent, path

    @cached_property
    def files(self) -> list[Path]:
        """Every file, sorted, without those that archivers and desktops add."""
        if self._only is not None:
            return [self._only]
        found = [path for path, _ in files_below(self.root, follow_links=False)]
        kept = [p for p in found if not any(map(hidden, p.relative_to(self.root).parts))]
        for path in kept:
            check_name(path)
        return sorted(kept)

    @cached_property
    def pictures(self) -> list[Path]:
        """Those that are pictures."""
        listed = set(self.files)
        folders = sorted({path.parent for path in self.files})
        return [p for folder in folders for p in pictures(folder, quiet=True) if p in listed]

    @cached_property
    def videos(self) -> list[Path]:
        """Those that are videos by their suffix, or the only file if it is no picture."""
        if self._only is not None:
            return [] if self.pictures else [self._only]
        return self.named(*VIDEOS)

    def named(self, *suffixes: str) -> list[Path]:
        """The files with these suffixes, such as `.json`."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def with_keys(self, *keys: str) -> list[Path]:
        """The JSON files whose content has these keys."""
        found = [(path, self.json(path)) for path in self.named(".json")]
        return [p for p, content in found if isinstance(content, dict) and {*keys} <= {*content}]

    def xml(self, path: Path) -> Any:
        """The root of an XML file, which is parsed once; see `xml_of`."""
        if path not in self._parsed:
            self._parsed[path] = xml_of(path, self.shown(path))
        return self._parsed[path]

    def json(self, path: Path) -> Any:
        """The content of a JSON file, which is parsed once."""
        if path not in self._parsed:
            self._parsed[path] = json_of(path)
        return self._parsed[path]

    def inside(self, path: Path) -> str:
        """The path of a file below the root, without its suffix, as annotations name pictures."""
        return nfc(path.relative_to(self.root).with_suffix("").as_posix())

    def shown(self, path: Path) -> str:
        """A file as messages name it: below what was given."""
        return str(self.given / path.relative_to(self.root)) if path != self._only else str(path)


def head(path: Path, size: int) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as stream:
        return stream.read(size)


def below(written: str) -> Iterator[str]:
    """The ends of a path, the longest first, in the form in which names are compared."""
    parts = [
        p for p in PurePosixPath(nfc(written).replace("\\", "/")).parts if p not in ("/", "..")
    ]
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def short(names: list[str]) -> str:
    """A few of many names, for a note."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(printable(name) for name in names[:3]) + more


def left_out(counts: Counter[str], why: str) -> list[str]:
    """A note of shapes that are not read."""
    shown = ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items()))
    return [f"shapes left out, with {why}: {shown}"] if counts else []
