"""Class masks: a picture for each photo, whose pixels are numbers or colours of classes.

What they mean is said by `dataset.yaml` (`classes`, `ignore`, `colours`), `labelmap.txt` (CVAT's:
name:red,green,blue:parts:actions) or a list of names, in the folder or beside it; otherwise the
numbers and colours that occur are the classes.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from ruamel.yaml.error import YAMLError

from patchlens.annotations.page import BACKGROUND, Page, Read, meant, once
from patchlens.annotations.source import Source, head, short
from patchlens.datasets.folder_yaml import NAME, Description
from patchlens.datasets.gate import ONE_PALETTE, Palettes
from patchlens.datasets.images import opened
from patchlens.datasets.layout import IGNORE
from patchlens.datasets.masks import LOSSY, open_id_map
from patchlens.datasets.reading import lines
from patchlens.errors import DataError
from patchlens.given import Unreadable
from patchlens.settings import yaml_text
from patchlens.settings.messages import explain

Meaning = dict[int, str | None]
LISTS = ("labelmap.txt", "classes.txt", "class_names.txt", "labels.txt")
COLOURS = 64  # that are taken for classes; a photo or a smoothed mask has more
COLOURED = frozenset({"RGB", "RGBA"})
END = re.compile(r"[-_.][^-_.]*$")


def find(source: Source) -> list[Path]:
    """The files that can be masks: pictures in a format that keeps every value."""
    return [path for path in source.pictures if head(path, 2) != b"\xff\xd8"]


def read(source: Source, paths: list[Path], known: Meaning | None = None) -> Read:
    """Read masks: those of `paths` in one mode, all of numbers or all of colours.

    `known` names values where nothing in the folder does.

    Raises:
        DataError: a mask is broken, lossy or of another mode, or holds a value that nothing names.
    """
    coloured = [path for path in paths if in_colour(path)]
    if coloured and len(coloured) < len(paths):
        other = next(path for path in paths if path not in coloured)
        raise DataError(
            f"{source.shown(coloured[0])}: is in colour, and {source.shown(other)} is not; save "
            "all masks in one way, and keep photos in another folder"
        )
    values: dict[int, Path] = {}
    palettes = Palettes()
    for path in paths:
        found = open_id_map(path, colours=bool(coloured))
        occurring = [int(v) for v in np.unique(found.ids)]
        palettes.add(path, occurring, found.palette)
        values = dict.fromkeys(occurring, path) | values
    if palettes.clash:
        raise DataError(f"{palettes.clash[0]}{ONE_PALETTE}")
    shown = {v: _packed(*colour) for v, (colour, _) in palettes.colours.items()}
    notes: list[str] = []
    meaning = _meaning(source, values, shown, notes, known or {}, colours=bool(coloured))
    pages = (Page(source.shown(path), _names(source.inside(path)), mask=path) for path in paths)
    classes = [name for name in dict.fromkeys(meaning.values()) if name is not None]
    return Read(classes, pages, meaning, bool(coloured), frozenset(paths), notes)


def in_colour(path: Path) -> bool:
    """Whether a mask holds colours, and not numbers.

    Raises:
        DataError: it is broken, or lossy.
    """
    with opened(path, "a mask") as image:
        if lossy := LOSSY.get(str(image.format)):
            raise DataError(f"{path}: is saved as {lossy}, which changes the ids near every edge; "
                            "save masks as PNG")  # fmt: skip
        return image.mode in COLOURED


def _names(inside: str) -> tuple[str, ...]:
    """`x/a_mask`, and then `x/a`: the names that the photo of a mask may have."""
    folder, _, name = inside.rpartition("/")
    found = []
    while name:
        found.append(f"{folder}/{name}" if folder else name)
        name = END.sub("", name) if END.search(name) else ""
    return tuple(found)


def _meaning(
    source: Source,
    values: Mapping[int, Path],
    shown: Mapping[int, int],
    notes: list[str],
    known: Meaning,
    *,
    colours: bool,
) -> Meaning:
    inside = sorted(source.files, key=lambda path: (len(path.parts), path))
    beside = [source.root, *([source.given.parent] if source.given.is_dir() else [])]
    for path in [*inside, *(place / name for place in beside for name in (NAME, *LISTS))]:
        if path.name == NAME and path.is_file():
            return _described(path, values, colours=colours)
        if path.name in LISTS and path.is_file():
            notes.append(f"class names are those of {path.parent.name}/{path.name}")
            return _listed(path, values, shown, colours=colours)
    if known and not colours and {*values} <= {*known}:
        return known
    return _unnamed(source, values, notes, colours=colours)


def _described(path: Path, values: Mapping[int, Path], *, colours: bool) -> Meaning:
    try:
        content = yaml_text.read(path)
        kept = {
            k: content[k]
            for k in ("classes", "colours", "ignore", "ignore_colours")
            if k in content
        }
        described = Description.model_validate(kept | {"splits": {"all": ["all"]}})
    except (Unreadable, YAMLError) as error:
        raise DataError(f"{path}: {error}") from None
    except TypeError:
        raise DataError(f"{path}: holds no keys; write classes: {{0: road, 1: car}}") from None
    except ValidationError as error:
        raise DataError(f"{path}: {explain(error.errors()[0], Description)}") from None
    if fault := described.fault():
        raise DataError(f"{path}: {fault}")
    if colours != (described.colours is not None):
        kind = "colours" if colours else "numbers"
        raise DataError(
            f"{path}: the masks hold {kind}; write {'colours' if colours else 'classes: {1: road}'}"
        )
    named = {
        v: None if i == IGNORE else described.classes[i] for v, i in described.labels().items()
    }
    return _checked(path, values, named, colours=colours)


def _packed(red: int, green: int, blue: int) -> int:
    return (red << 16) + (green << 8) + blue


def _listed(
    path: Path, values: Mapping[int, Path], shown: Mapping[int, int], *, colours: bool
) -> Meaning:
    """The classes of a list: `name:r,g,b::`, `7 name`, or one name per line from 0.

    Numbers whose colours in their palette (`shown`) are all in the list are those of these colours.
    """
    written = [(number, line) for number, line in lines(path) if not line.startswith("#")]
    tables = [re.fullmatch(r"(.+?):(\d+),(\d+),(\d+):.*", line) for _, line in written]
    numbered = [re.fullmatch(r"(\d+)[\s:,=]+(.+)", line) for _, line in written]
    named: Meaning = {}
    if written and all(tables):
        cells = [found.groups() for found in tables if found is not None]
        once(path, (f"{r},{g},{b}" for _, r, g, b in cells))
        by_colour = {_packed(*(min(int(v), 255) for v in rgb)): meant(name) for name, *rgb in cells}
        once(path, by_colour.values())
        if colours:
            named = by_colour
        elif values.keys() == shown.keys() and {*shown.values()} <= {*by_colour}:
            named = {value: by_colour[colour] for value, colour in shown.items()}
        else:
            named = dict(enumerate(by_colour.values()))
            named.setdefault(IGNORE, None)
        return _checked(path, values, named, colours=colours)
    if colours:
        raise DataError(f"{path}: names no colours, and {next(iter(values.values()))} is in "
                        "colour; write a line 'road:128,64,128::' for each class")  # fmt: skip
    if written and all(numbered):
        cells = [found.groups() for found in numbered if found is not None]
        once(path, (int(value) for value, _ in cells))
        named = {int(value): meant(name) for value, name in cells}
    else:
        named = {position: meant(line) for position, (_, line) in enumerate(written)}
    once(path, named.values())
    named.setdefault(IGNORE, None)
    return _checked(path, values, named, colours=False)


def _checked(path: Path, values: Mapping[int, Path], named: Meaning, *, colours: bool) -> Meaning:
    for value, mask in values.items():
        if value not in named:
            shown = f"colour {list(value.to_bytes(3, 'big'))}" if colours else f"id {value}"
            raise DataError(f"{mask}: contains {shown}, which {path} does not name; add it there")
    return named


def _unnamed(
    source: Source, values: Mapping[int, Path], notes: list[str], *, colours: bool
) -> Meaning:
    """The values that occur as classes: 0 and black are the background."""
    if len(values) > COLOURS:
        raise DataError(
            f"{source.given}: its masks hold {len(values)} values, more than the {COLOURS} that "
            "are taken for classes without names; they may be photos, instances or smoothed: write "
            "classes.txt or labelmap.txt beside them"
        )
    if len(values) == 2 and 0 in values:  # such as 0 and 255
        return {0: BACKGROUND, max(values): "object"}
    named: Meaning = {}
    for value in sorted(values):
        shown = f"#{value:06x}" if colours else f"value {value}"
        named[value] = shown if value else BACKGROUND
    if not colours and IGNORE in named and len(named) > 2:
        named[IGNORE] = None
        notes.append("pixels of 255 are ignored; name 255 in classes.txt if it is a class")
    notes.append(
        f"no names of classes: they are called {short([n for n in named.values() if n])}; "
        "write classes.txt or labelmap.txt beside the masks to name them"
    )
    return named
