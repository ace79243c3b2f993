"""The user's own images: `images/`, `masks/` (paired by stem) and `dataset.yaml`.

dataset.yaml:
    classes: [road, car, tree]      # a pixel value i of a mask is class i
    ignore: [255]                   # pixel values that neither vote nor count
    splits:                         # stems; a file `support.txt` with one stem a line does too
      support: [a, b, c]
      query: query.txt
"""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from patchlens.datasets.files import by_stem
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout
from patchlens.errors import DataError, SourceError
from patchlens.names import nearest
from patchlens.settings.base import Strict

NAME = "dataset.yaml"
PixelValue = Annotated[int, Field(ge=0, le=255)]


class Description(Strict):
    """The content of dataset.yaml."""

    classes: Annotated[list[str], Field(min_length=1, max_length=255)]
    ignore: list[PixelValue] = Field(default=[])
    splits: Annotated[dict[str, list[str] | str], Field(min_length=1)]


def read(root: Path) -> Layout:
    """Read the description and pair images with masks.

    Raises:
        SourceError: the folder or its description is missing.
        DataError: the description is wrong, or an image or a mask that it names is missing.
    """
    description = _describe(root / NAME)
    clash = [v for v in description.ignore if v < len(description.classes)]
    if clash:
        raise DataError(f"{root / NAME}: ignore holds {clash[0]}, which is also a class")
    photographs, masks = by_stem(root, root / "images"), by_stem(root, root / "masks")
    images, seen = [], dict[str, str]()
    for split, stems in description.splits.items():
        for stem in _stems(root, split, stems):
            if stem in seen:
                raise DataError(f"{root / NAME}: '{stem}' is in {seen[stem]} and in {split}")
            seen[stem] = split
            if stem not in photographs:
                raise DataError(f"{root / 'images'}: no image '{stem}.*' (split {split})")
            if stem not in masks:
                raise DataError(f"{root / photographs[stem]}: no mask '{stem}.*' in masks/")
            images.append(ImageEntry(stem, split, photographs[stem], masks[stem]))
    labels = {i: i for i in range(len(description.classes))}
    labels |= dict.fromkeys(description.ignore, IGNORE)
    return Layout(tuple(description.classes), labels, images)


def _describe(path: Path) -> Description:
    if not path.is_file():
        raise SourceError(f"{path}: missing; it names classes, ignore and splits (see the README)")
    try:
        return Description.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        # Without the names of the members of a union, which mean nothing to the user.
        place = ".".join(str(part) for part in first["loc"] if part not in ("list[str]", "str"))
        if first["type"] == "extra_forbidden":
            raise DataError(
                f"{path}: {place}: unknown key; {nearest(place, Description.model_fields)}"
            ) from None
        raise DataError(f"{path}: {place or '(whole file)'}: {first['msg']}") from None


def _stems(root: Path, split: str, stems: list[str] | str) -> list[str]:
    if isinstance(stems, list):
        return stems
    path = root / stems
    if not path.is_file():
        raise DataError(f"{root / NAME}: splits.{split}: no such file {path}")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]
