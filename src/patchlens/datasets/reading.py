"""The one way in which every reader lists folders and reads lists, tables and JSON.

What tools and systems add or change is tolerated here, for all layouts: dot files, files beside
pictures, marks at the start of a file, ends of lines, separators, Unicode's forms. Errors name the
file and line.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from PIL import Image

from patchlens import given
from patchlens.datasets.below import folders, listed, nfc
from patchlens.datasets.images import FORMATS, opened
from patchlens.datasets.layout import ImageEntry
from patchlens.errors import DataError, SourceError
from patchlens.given import printable
from patchlens.progress import log

PICTURES = frozenset(suffix for suffix, kind in Image.EXTENSION.items() if kind in FORMATS)
SEPARATORS = ",;\t"  # of a table: the one that gives the header its columns


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


def part(root: Path, here: Path, inside: str) -> Path:
    """A path of the dataset at `here`, or in the folder that its own archive was unpacked into.

    Args:
        root: the dataset's root, which holds the folders of both archives.
        here: the folder of the dataset, see `top`.
        inside: the path below it; that in `here` is returned if there is none or several.
    """
    if (here / inside).exists():
        return here / inside
    found = [folder / inside for folder in folders(root) if (folder / inside).exists()]
    return found[0] if len(found) == 1 else here / inside


def pictures(folder: Path, *, quiet: bool = False) -> list[Path]:
    """The pictures of a folder, sorted by name; files that tools put beside them are left out.

    A file with the suffix of a picture is one, so that a broken one is an error; of any other, the
    first bytes decide; what is left out is said, unless `quiet`. Errors as in `below.listed`.
    """
    found: list[Path] = []
    beside: list[Path] = []
    for path in listed(folder):
        (found if path.suffix.lower() in PICTURES or _is_picture(path) else beside).append(path)
    if beside and not quiet:
        names = ", ".join(printable(path.name) for path in beside[:3])
        log.info("%s: left out %d files that are no pictures: %s", folder, len(beside), names)
    return found


def _is_picture(path: Path) -> bool:
    try:
        with opened(path, "an image"):
            return True
    except DataError:
        return False


def by_stem(root: Path, folder: Path, pattern: str | None = None) -> dict[str, str]:
    """Map the stem of each picture in `folder` to its path relative to `root`.

    With `pattern`, the files whose names match it, whatever they are.

    Raises:
        SourceError: the folder is missing.
        DataError: two files share a stem.
    """
    found: dict[str, str] = {}
    for path in pictures(folder) if pattern is None else listed(folder, pattern):
        stem = nfc(path.stem)
        if stem in found:
            raise DataError(
                f"{path}: shares its stem with {root / found[stem]}; keep one of the two"
            )
        found[stem] = path.relative_to(root).as_posix()
    return found


def pairs(root: Path, images: Path, masks: Path) -> Iterator[tuple[str, str, str]]:
    """Stem, image and mask (relative to `root`) of two folders with the same stems.

    Raises:
        SourceError: a folder is missing.
        DataError: two files share a stem, or one file of a pair is missing.
    """
    photographs, labels = by_stem(root, images), by_stem(root, masks)
    for stem in sorted({*photographs, *labels}):
        for folder, here, other in ((images, photographs, labels), (masks, labels, photographs)):
            if stem not in here:
                raise DataError(f"{folder}: no file '{stem}.*' to pair with {root / other[stem]}")
        yield stem, photographs[stem], labels[stem]


def paired_splits(
    root: Path,
    how: str,
    splits: Sequence[str],
    images: str,
    masks: str,
    unlabelled: Sequence[str] = (),
) -> list[ImageEntry]:
    """Those of `images`/<split> with their masks in `masks`/<split>, of all splits that exist.

    `unlabelled` are further splits, without masks; `how` is for the message, as in `top`.

    Raises:
        SourceError: there are no images, or the masks of a split are missing.
        DataError: an image and a mask do not pair.
    """
    every = (*splits, *unlabelled)
    here = top(root, *(f"{images}/{split}" for split in every), how=how)
    found: list[ImageEntry] = []
    for split in every:
        folder = here / images / split
        if folder.is_dir() and split in unlabelled:
            found += [ImageEntry(stem, split, path) for stem, path in by_stem(root, folder).items()]
        elif folder.is_dir():
            labels = part(root, here, f"{masks}/{split}")
            found += [ImageEntry(i, split, path, m) for i, path, m in pairs(root, folder, labels)]
    return found


def text_of(path: Path) -> str:
    """The text of an annotation file in UTF-8, in Unicode's form NFC.

    Raises:
        SourceError: the file does not exist.
        DataError: it is no file, such as a folder or a FIFO, or not text.
    """
    try:
        return nfc(given.text(path))
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


def xml_of(path: Path, shown: str | None = None) -> Any:
    """The root of an XML file, without document type, entities and other files.

    Errors as in `json_of`, which name the file, or what is `shown` in its place.
    """
    from defusedxml import DefusedXmlException  # few datasets need it
    from defusedxml.ElementTree import ParseError, fromstring

    text = text_of(path)
    try:
        return fromstring(text, forbid_dtd=True)
    except DefusedXmlException:
        fault = "declares a document type or entities, which annotations do not need"
        raise DataError(f"{shown or path}: {fault}; export it again") from None
    except (ParseError, RecursionError, ValueError) as error:
        raise DataError(f"{shown or path}: is not valid XML ({error})") from None


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
    """The rows of a table with a header: file and line, then column -> text ("" where missing).

    Cells are separated by commas, semicolons or tabs, whichever gives all of `columns`.

    Raises:
        SourceError: the file does not exist.
        DataError: the file is not text, has not one of each of `columns`, or a row is longer than
            the header.
    """
    numbered = list(lines(path))
    start, head = numbered[0] if numbered else (1, "")
    heads = {mark: _cells(f"{path}, line {start}", head, mark, strict=False) for mark in SEPARATORS}
    separator = next((mark for mark, names in heads.items() if {*columns} <= {*names}), ",")
    names = heads[separator]
    for column in columns:
        if (count := names.count(column)) != 1:
            what = f"has {count} columns" if count else "has no column"
            raise DataError(f"{path}: {what} '{column}'")
    for number, line in numbered[1:]:
        place = f"{path}, line {number}"
        cells = _cells(place, line, separator)
        if any(cells[len(names) :]):
            raise DataError(f"{place}: has {len(cells)} columns, but the header {len(names)}")
        yield place, dict(zip_longest(names, cells[: len(names)], fillvalue=""))


def _cells(place: str, line: str, separator: str, *, strict: bool = True) -> list[str]:
    try:
        [cells] = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=strict)
    except csv.Error as error:
        raise DataError(f"{place}: {error}") from None
    return [cell.strip() for cell in cells]


def decimal(text: str) -> float:
    """A number in a text.

    Raises:
        ValueError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{printable(text.strip())}' is not a number") from None


def whole(text: str) -> int:
    """An integer, which may be written as 3.0.

    Raises:
        ValueError: it is not an integer.
    """
    value = decimal(text)
    if not value.is_integer():
        raise ValueError(f"'{text.strip()}' is not an integer")
    if abs(value) >= 2**53:  # beyond it, a float is not one integer
        raise ValueError(f"'{text.strip()}' is 2^53 or more; number from 1")
    return int(value)


def frames(folder: Path) -> dict[int, Path]:
    """The pictures of a sequence by the number at the end of their stems, in its order.

    Raises:
        SourceError: the folder does not exist.
        DataError: a name has no number, a number occurs twice, or there are no pictures.
    """
    found: dict[int, Path] = {}
    for path in pictures(folder):
        digits = path.stem[len(path.stem.rstrip("0123456789")) :]
        if not digits:
            raise DataError(f"{path}: the name of a frame must end in its number")
        if (number := int(digits[-20:])) in found:
            raise DataError(f"{path}: has the same frame number as {found[number].name}")
        if number >= 2**63:
            raise DataError(f"{path}: the number of a frame must be below 2^63; number from 1")
        found[number] = path
    if not found:
        raise DataError(f"{folder}: contains no pictures")
    return dict(sorted(found.items()))
