"""Lists and folders of official layouts, read so that a mistake is named with its place."""

import csv
from collections.abc import Iterator
from pathlib import Path

from patchlens.errors import DataError, SourceError


def top(root: Path, *markers: str, how: str) -> Path:
    """The folder that a dataset's archives make: `root`, or the one folder in it.

    Archives differ in whether their members lie in a folder of their own.

    Args:
        root: the dataset's root.
        markers: patterns below the folder; it holds at least one of them.
        how: the steps to get the dataset, for the message.

    Raises:
        SourceError: no folder, or nothing that matches.
        DataError: several folders match.
    """
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder. {how}")
    if _holds(root, markers):
        return root
    found = [path for path in folders(root) if _holds(path, markers)]
    if len(found) > 1:
        raise DataError(f"{root}: {found[0].name} and {found[1].name} both hold the dataset")
    if not found:
        raise SourceError(f"{root}: holds no {' and no '.join(markers)}. {how}")
    return found[0]


def _holds(folder: Path, markers: tuple[str, ...]) -> bool:
    return any(next(folder.glob(marker), None) is not None for marker in markers)


def folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted by name; hidden ones are left out."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers (1-based).

    Raises:
        SourceError: no such file.
        DataError: the file is not text.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not a text file in UTF-8") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def table(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header: file and line, then column -> text ("" where missing).

    Raises:
        SourceError: no such file.
        DataError: the file is not text, or lacks one of `columns`.
    """
    numbered = list(lines(path))
    rows = csv.DictReader(text for _, text in numbered)
    names = rows.fieldnames or ()
    if missing := [column for column in columns if column not in names]:
        raise DataError(f"{path}: has no column '{missing[0]}'")
    for (number, _), row in zip(numbered[1:], rows, strict=False):
        yield f"{path}, line {number}", {name: row[name] or "" for name in names}


def whole(text: str) -> int:
    """An integer, also where it is written as 3.0.

    Raises:
        ValueError: it is no integer.
    """
    value = float(text)
    if not value.is_integer():
        raise ValueError(f"'{text.strip()}' is no whole number")
    return int(value)


def frames(folder: Path, pattern: str) -> dict[int, Path]:
    """The files of a sequence by the number that ends their stems, in the order of the numbers.

    Raises:
        SourceError: no such folder.
        DataError: a name without a number, one number twice, or no file.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    found: dict[int, Path] = {}
    for path in sorted(folder.glob(pattern)):
        if path.name.startswith(".") or not path.is_file():
            continue
        digits = path.stem[len(path.stem.rstrip("0123456789")) :]
        if not digits:
            raise DataError(f"{path}: a frame's name ends in its number")
        if int(digits) in found:
            raise DataError(f"{path}: has the frame number of {found[int(digits)].name}")
        found[int(digits)] = path
    if not found:
        raise DataError(f"{folder}: holds no {pattern}")
    return dict(sorted(found.items()))
