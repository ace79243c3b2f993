"""dataset.yaml of a dataset of kind `folder`: its keys and the check of them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_core import ErrorDetails

from patchlens.datasets.reading import lines
from patchlens.errors import DataError, SourceError
from patchlens.names import nearest
from patchlens.settings.base import Strict
from patchlens.settings.messages import explain
from patchlens.settings.validated import validated

NAME = "dataset.yaml"
MAJORITY = "majority"
LIST, STR = "list[str]", ("str",)  # parts that pydantic adds to the place of a split, one per type
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
        """Whether masks are the only annotation."""
        return self.objects is None and self.instances is None and self.tracks is None


def describe(path: Path) -> Description:
    """Read and check a dataset.yaml.

    Raises:
        SourceError: the file does not exist.
        DataError: it is not YAML, a key is unknown or wrong, or two keys contradict each other.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file; write it as in docs/own-data.md")
    description: Description = validated(
        path, Description, missing="", lines=_lines, error=DataError
    )
    _check(path, description)
    return description


def _lines(error: ErrorDetails) -> list[str]:
    if error["loc"][-1:] == STR:
        return []
    error["loc"] = tuple(part for part in error["loc"] if part != LIST)
    return [explain(error, Description)]


def _check(path: Path, description: Description) -> None:
    clash = [v for v in description.ignore if v < len(description.classes)]
    if clash:
        raise DataError(f"{path}: ignore contains {clash[0]}, which is also a class")
    if description.objects is not None and description.instances is not None:
        raise DataError(f"{path}: objects and instances both define the objects; keep one")
    if description.tracks is not None and not description.sequences:
        raise DataError(f"{path}: tracks need sequences; list them in sequences")
    for name in (description.tracks or {}).values():
        if name not in description.classes:
            known = nearest(name, description.classes)
            raise DataError(f"{path}: tracks: '{name}' is not in classes; {known}")


def names_of(root: Path, split: str, names: list[str] | str) -> list[str]:
    """The names of a split, from dataset.yaml or from a separate file."""
    if isinstance(names, list):
        return names
    path = root / names
    if not path.is_file():
        raise DataError(f"{root / NAME}: splits.{split}: no such file {path}")
    return [line for _, line in lines(path)]
