"""dataset.yaml of a dataset of kind `folder`: its keys and the check of them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import ErrorDetails

from patchlens.datasets.below import at, check_inside, nfc
from patchlens.datasets.reading import lines
from patchlens.datasets.tracks import Format
from patchlens.errors import DataError, SourceError
from patchlens.given import why_not
from patchlens.names import nearest
from patchlens.settings.base import DISTINCT, MOST, Filled, Line, Strict, Within
from patchlens.settings.messages import explain
from patchlens.settings.validated import validated

NAME = "dataset.yaml"
MAJORITY = "majority"
LIST, STR = "list[str]", ("str",)  # parts that pydantic adds to the place of a split, one per type
PixelValue = Annotated[int, Within(0, 255)]
Written = Annotated[Line, AfterValidator(nfc)]
ClassNumber = Annotated[int, Within(-MOST, MOST)]


class Description(Strict):
    """The content of dataset.yaml."""

    classes: Annotated[list[Written], Field(min_length=1, max_length=255), DISTINCT]
    ignore: Annotated[list[PixelValue], DISTINCT] = Field(default=[])
    splits: Annotated[dict[str, list[str] | str], Filled]
    sequences: Annotated[list[Written], DISTINCT] = Field(default=[])
    objects: Line | None = None
    instances: Line | None = None
    instance_scope: Literal["dataset", "sequence", "image"] | None = None
    tracks: Annotated[dict[ClassNumber, Written | None], Filled] | None = None
    tracks_format: Format = "motchallenge"

    def needs_masks(self) -> bool:
        """Whether masks are the only annotation."""
        return self.objects is None and self.instances is None and self.tracks is None


def describe(path: Path) -> Description:
    """Read and check a dataset.yaml.

    Raises:
        SourceError: the file does not exist.
        DataError: it is not YAML, a key is unknown or wrong, or two keys contradict each other.
    """
    if why_not(path) == "no such file":
        raise SourceError(f"{path}: no such file; write it as in docs/own-data.md")
    description: Description = validated(
        path, Description, missing="", lines=_lines, error=DataError
    )
    _check(path, description)
    _check_paths(path, description)
    return description


def _lines(error: ErrorDetails) -> list[str]:
    if error["loc"][-1:] == STR:
        return []
    error["loc"] = tuple(part for part in error["loc"] if part != LIST)
    return [explain(error, Description)]


def _check_paths(path: Path, description: Description) -> None:
    """Refuse every path and name that could leave the root."""
    written: dict[str, list[str]] = {
        "sequences": description.sequences,
        "objects": [description.objects or ""],
        "instances": [description.instances or ""],
    }
    for split, names in description.splits.items():
        written[f"splits.{split}"] = names if isinstance(names, list) else [names]
    for key, values in written.items():
        for value in values:
            check_inside(value, f"{path}: {key}")


def _check(path: Path, description: Description) -> None:
    clash = [v for v in description.ignore if v < len(description.classes)]
    if clash:
        raise DataError(f"{path}: ignore contains {clash[0]}, which is also a class")
    if description.objects is not None and description.instances is not None:
        raise DataError(f"{path}: objects and instances both define the objects; keep one")
    if description.tracks is not None and not description.sequences:
        raise DataError(f"{path}: tracks need sequences; list them in sequences")
    given = description.model_fields_set
    for key, of in (("instance_scope", {"objects", "instances"}), ("tracks_format", {"tracks"})):
        if key in given and not of & given:
            raise DataError(f"{path}: {key} is about {' or '.join(sorted(of))}, which is missing")
    for name in (description.tracks or {}).values():
        if name is not None and name not in description.classes:
            known = nearest(name, description.classes)
            raise DataError(f"{path}: tracks: '{name}' is not in classes; {known}")


def names_of(root: Path, split: str, names: list[str] | str) -> list[str]:
    """The names of a split, from dataset.yaml or from a separate file."""
    if isinstance(names, list):
        return [nfc(name) for name in names]
    path = at(root, names)
    if why_not(path) == "no such file":
        raise DataError(f"{root / NAME}: splits.{split}: no such file {path}")
    found = []
    for number, line in lines(path):
        check_inside(line, f"{path}, line {number}")
        found.append(line)
    return found
