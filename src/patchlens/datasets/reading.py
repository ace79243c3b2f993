"""Reads lists and folders of official layouts; errors name the file and line."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from patchlens import given
from patchlens.datasets.below import check_name, usable
from patchlens.errors import DataError, SourceError


def top(root: Path, *markers: str, how: str) -> Path:
    """The folder of a dataset: `root`, or the only folder in it that matches.

    Some archives have their members in a folder, others do not.

    Args:
        root: the dataset's root.
        markers: patterns of files in the folder; at least one must match.
        how: the steps to obtain the dataset, for the message.

    Raises:
        SourceError: the folder does not exist, or nothing matches.
        DataError: several folders match.
    """
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder. {how}")
    if _holds(root, markers):
        return root
    found = [path for path in folders(root) if _holds(path, markers)]
    if len(found) > 1:
        both = f"{found[0].name} and {found[1].name}"
        raise DataError(f"{root}: {both} both contain the dataset; remove one")
    if not found:
        raise SourceError(f"{root}: contains no {' and no '.join(markers)}. {how}")
    return found[0]


def _holds(folder: Path, markers: tuple[str, ...]) -> bool:
    return any(next(folder.glob(marker), None) is not None for marker in markers)


def folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted by name, without hidden ones."""
    found = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    for folder in found:
        check_name(folder)
    return found


def text_of(path: Path) -> str:
    """The text of an annotation file in UTF-8.

    Raises:
        SourceError: the file does not exist.
        DataError: it is no file, such as a folder or a FIFO, or not text.
    """
    try:
        return given.text(path)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file") from None
    except given.Unreadable as reason:
        raise DataError(f"{path}: {reason}") from None


def json_of(path: Path) -> Any:
    """The content of a JSON file; errors as in `text_of`, and a `DataError` for what is no JSON."""
    try:
        return json.loads(text_of(path))
    except RecursionError:
        raise DataError(f"{path}: is nested too deeply to be annotations") from None
    except ValueError as error:
        raise DataError(f"{path}: is not valid JSON ({error})") from None


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The non-blank lines of a text file, with their numbers (1-based).

    Raises:
        SourceError: the file does not exist.
        DataError: the file is not text.
    """
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def table(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header: file and line, then column -> text ("" where missing).

    Raises:
        SourceError: the file does not exist.
        DataError: the file is not text, or lacks one of `columns`.
    """
    numbered = list(lines(path))
    rows = csv.DictReader(text for _, text in numbered)
    try:
        names = rows.fieldnames or ()
    except csv.Error as error:
        raise DataError(f"{path}, line 1: {error}") from None
    if missing := [column for column in columns if column not in names]:
        raise DataError(f"{path}: has no column '{missing[0]}'")
    for number, _ in numbered[1:]:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        if row is not None:
            yield f"{path}, line {number}", {name: row[name] or "" for name in names}


def whole(text: str) -> int:
    """An integer, which may be written as 3.0.

    Raises:
        ValueError: it is not an integer.
    """
    value = float(text)
    if not value.is_integer():
        raise ValueError(f"'{text.strip()}' is not an integer")
    if abs(value) >= 2**53:  # beyond it, a float is not one integer
        raise ValueError(f"'{text.strip()}' is too large")
    return int(value)


def frames(folder: Path, pattern: str) -> dict[int, Path]:
    """The files of a sequence by the number at the end of their stems, in the order of the numbers.

    Raises:
        SourceError: the folder does not exist.
        DataError: a name has no number, a number occurs twice, or there are no files.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    found: dict[int, Path] = {}
    for path in sorted(folder.glob(pattern)):
        if path.name.startswith(".") or not usable(path):
            continue
        digits = path.stem[len(path.stem.rstrip("0123456789")) :]
        if not digits:
            raise DataError(f"{path}: the name of a frame must end in its number")
        if int(digits) in found:
            raise DataError(f"{path}: has the same frame number as {found[int(digits)].name}")
        found[int(digits)] = path
    if not found:
        raise DataError(f"{folder}: contains no {pattern}")
    return dict(sorted(found.items()))
