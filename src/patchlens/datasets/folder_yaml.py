"""dataset.yaml of a dataset of kind `folder`: its keys and the check of them."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import ErrorDetails

from patchlens.datasets.below import at, check_inside, nfc
from patchlens.datasets.layout import IGNORE, Terms
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
LARGEST = 65_535
PixelValue = Annotated[int, Within(0, LARGEST)]
Level = Annotated[int, Within(0, 255)]
Colour = Annotated[list[Level], Field(min_length=3, max_length=3)]
Bound = Annotated[float, Within(-1e38, 1e38)]
Written = Annotated[Line, AfterValidator(nfc)]
ClassNumber = Annotated[int, Within(-MOST, MOST)]


class Description(Strict):
    """The content of dataset.yaml."""

    classes: Annotated[list[Written], Field(min_length=1, max_length=255), DISTINCT]
    _values: list[int] | None = None
    colours: Annotated[dict[Written, Colour], Filled] | None = None
    ignore: Annotated[list[PixelValue], DISTINCT] = Field(default=[])
    ignore_colours: list[Colour] = Field(default=[])
    range: Annotated[list[Bound], Field(min_length=2, max_length=2)] | None = None
    background: Colour | None = None
    splits: Annotated[dict[str, list[str] | str], Filled]
    sequences: Annotated[list[Written], DISTINCT] = Field(default=[])
    partial: bool = False
    objects: Line | None = None
    instances: Line | None = None
    instance_scope: Literal["dataset", "sequence", "image"] | None = None
    tracks: Annotated[dict[ClassNumber, Written | None], Filled] | None = None
    tracks_format: Format = "motchallenge"

    @model_validator(mode="wrap")
    @classmethod
    def _of_values(cls, written: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """`classes: {1: road, 2: car}` gives pixel values and names."""
        named = written.get("classes") if isinstance(written, dict) else None
        if not isinstance(named, dict):
            return handler(written)
        for value in named:
            if type(value) is not int or not 0 <= value <= LARGEST:
                raise ValueError(f"classes: '{value}' is no pixel value from 0 to {LARGEST}")
        made = handler(written | {"classes": list(named.values())})
        made._values = list(named)
        return made

    def labels(self) -> dict[int, int]:
        """Each pixel value of a mask -> its class id, or `IGNORE`; see `Terms.colours`."""
        values, ignored = self._values or [*range(len(self.classes))], self.ignore
        if self.colours is not None:
            values = [_packed(self.colours[name]) for name in self.classes]
            ignored = [_packed(colour) for colour in self.ignore_colours]
        return {value: i for i, value in enumerate(values)} | dict.fromkeys(ignored, IGNORE)

    def fault(self) -> str | None:
        """Pixel values or colours that mean nothing, or two things."""
        used: list[Any] = self._values or [*range(len(self.classes))]
        ignored, wrong, key = list[Any](self.ignore), self.ignore_colours, "ignore"
        if self.colours is not None:
            if self._values is not None:
                return "classes has values, and colours too; write classes as a list"
            if lost := {*self.classes} ^ {*self.colours}:
                return f"colours: '{min(lost)}' is only in one of classes and colours"
            used, key = [*self.colours.values()], "ignore_colours"
            ignored, wrong = list(self.ignore_colours), list[Any](self.ignore)
        if wrong:
            return "ignore is for masks of values, and ignore_colours for those with colours"
        if twice := [value for value in used if used.count(value) > 1]:
            return f"colours: two classes have the colour {twice[0]}"
        if clash := [value for value in ignored if value in used]:
            counted = "; if classes do not count from 0, write {1: road, 2: car}"
            return f"{key} contains {clash[0]}, which is also a class{counted}"
        if self.range is not None and self.range[0] >= self.range[1]:
            return f"range: {self.range} must rise, as in [0, 65535]"
        return None

    def terms(self) -> Terms:
        """What the files cannot say about their pixels."""
        low_high, behind = self.range, self.background
        return Terms(
            range=None if low_high is None else (low_high[0], low_high[1]),
            background=None if behind is None else (behind[0], behind[1], behind[2]),
            colours=self.colours is not None,
        )

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
    if fault := description.fault():
        raise DataError(f"{path}: {fault}")
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


def _packed(colour: list[int]) -> int:
    """A colour as in `Terms.colours`."""
    return int.from_bytes(colour, "big")


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
