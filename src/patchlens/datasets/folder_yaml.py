"""dataset.yaml of a dataset of kind `folder`: its keys and what is wrong with them."""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from patchlens.errors import DataError, SourceError
from patchlens.names import nearest
from patchlens.settings.base import Strict

NAME = "dataset.yaml"
MAJORITY = "majority"
PixelValue = Annotated[int, Field(ge=0, le=255)]


class Description(Strict):
    """The content of dataset.yaml."""

    classes: Annotated[list[str], Field(min_length=1, max_length=255)]
    ignore: list[PixelValue] = Field(default=[])
    splits: Annotated[dict[str, list[str] | str], Field(min_length=1)]
    sequences: list[str] = Field(default=[])
    objects: str | None = None
    instances: str | None = None
    tracks: Annotated[dict[int, str], Field(min_length=1)] | None = None

    def needs_masks(self) -> bool:
        """Whether nothing but masks says what the images show."""
        return self.objects is None and self.instances is None and self.tracks is None


def describe(path: Path) -> Description:
    """Read and check a dataset.yaml.

    Raises:
        SourceError: no such file.
        DataError: it is no YAML, a key is unknown or wrong, or two keys contradict each other.
    """
    if not path.is_file():
        raise SourceError(f"{path}: missing; it names classes, ignore and splits (see the README)")
    try:
        description = Description.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
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
    _check(path, description)
    return description


def _check(path: Path, description: Description) -> None:
    clash = [v for v in description.ignore if v < len(description.classes)]
    if clash:
        raise DataError(f"{path}: ignore holds {clash[0]}, which is also a class")
    if description.objects is not None and description.instances is not None:
        raise DataError(f"{path}: objects and instances both list the objects; keep one")
    if description.tracks is not None and not description.sequences:
        raise DataError(f"{path}: tracks are of sequences; list the sequences")
    for name in (description.tracks or {}).values():
        if name not in description.classes:
            known = nearest(name, description.classes)
            raise DataError(f"{path}: tracks: '{name}' is not in classes; {known}")


def names_of(root: Path, split: str, names: list[str] | str) -> list[str]:
    """The names that a split lists, in dataset.yaml or in a file of its own."""
    if isinstance(names, list):
        return names
    path = root / names
    if not path.is_file():
        raise DataError(f"{root / NAME}: splits.{split}: no such file {path}")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]
