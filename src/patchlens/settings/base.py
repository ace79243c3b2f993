"""The base of all settings: no unknown keys, silent conversions, later changes or missing bounds.

A bound belongs to the type, so that every error names the key, its value and the range.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from patchlens import names
from patchlens.given import printable

T = TypeVar("T")

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


class Strict(BaseModel):
    """A section: unknown keys, wrong types and infinities are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Within:
    """Numbers from `low` to `high`, both included; without `high`, there is no upper end.

    `note` says in a message what the numbers mean.
    """

    low: float
    high: float | None = None
    note: str = ""

    def __get_pydantic_core_schema__(self, of: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(of))

    def __str__(self) -> str:
        if self.high is None:
            return f"≥ {_plain(self.low)}"
        if self.low == self.high:
            return _plain(self.low)
        return f"{_plain(self.low)} to {_plain(self.high)}"

    def _check(self, value: float) -> float:
        if value < self.low or (self.high is not None and value > self.high):
            note = f" ({self.note})" if self.note else ""
            raise ValueError(f"{brief(value)} is out of range; allowed: {self}{note}")
        return value


def brief(value: object) -> str:
    """A value for a message: its beginning and its end if it is long, on one line."""
    shown = str(value) if isinstance(value, str | float) else _written(value)
    return printable(shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 20]}…{shown[-10:]}")


def _written(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return f"a very large {type(value).__name__}"


def _plain(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


SHOWN = 80  # characters of a value or of a key in a message


def _distinct(values: list[T]) -> list[T]:
    seen = set[T]()
    for value in values:
        if value in seen:
            raise ValueError(f"'{brief(value)}' is listed twice; remove one")
        seen.add(value)
    return values


def _ascending(values: list[Any]) -> list[Any]:
    for before, after in pairwise(values):
        if after < before:
            raise ValueError(
                f"{brief(after)} stands after {brief(before)}; sort the values in ascending order"
            )
    return values


LONGEST_LIST = 1000
DISTINCT = AfterValidator(_distinct)
Free = Field(max_length=LONGEST_LIST)
Filled = Field(min_length=1, max_length=LONGEST_LIST)
# Lists without repeats: possibly empty, with at least one entry, and in ascending order.
Several = Annotated[list[T], Free, DISTINCT]
Some = Annotated[list[T], Filled, DISTINCT]
Rising = Annotated[list[T], Filled, DISTINCT, AfterValidator(_ascending)]

# DVC builds stage names, paths and shell commands from names; a file name has at most 255 bytes.
NAME = "^[a-z0-9_]+$"
LONGEST = 60
Pattern = Field(pattern=NAME, max_length=LONGEST)
Name = Annotated[str, Pattern]
DatasetName = Annotated[names.DatasetName, Pattern]
ModelName = Annotated[names.ModelName, Pattern]


class Section(Strict):
    """The section of a task in params.yaml: its datasets and its protocol.

    Attributes:
        needs: what a dataset must have to serve the task, in words; "" if any images do.
    """

    needs: ClassVar[str] = ""
    datasets: Several[names.DatasetName]

    def borrows(self) -> Mapping[str, str]:
        """Keys that score what other tasks do -> the task whose needs its datasets must serve."""
        return {}

    def check(self, settings: "Settings") -> Iterable[str]:
        """Mistakes that only show beside other sections: one line each, beginning with the key."""
        return ()

    def scores(self, head: str) -> bool:
        """Whether these settings score a head, for all that they can know."""
        return True

    def lacks(self, metric: str) -> str | None:
        """Why these settings do not measure a metric of the task; None if they may."""
        return None


Layer = Annotated[int, Within(-256, 255)]  # block, or stage of a feature pyramid
Distance = Literal["cosine", "dot", "l2"]
Positive = Annotated[int, Within(1)]  # in files of the package; settings have an upper bound
Seed = Annotated[int, Within(0, 2**32 - 1)]
MOST = 10_000_000  # images, patches: more than any dataset of the catalogue has


def _without_controls(value: str) -> str:
    if found := re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", value):
        raise ValueError(f"'{brief(value)}' contains the control character {found[0]!a}; remove it")
    return value


def _at_home(path: str) -> str:
    if path.startswith("$"):
        raise ValueError(
            f"'{brief(path)}' begins with a variable, which is not replaced; write the path, or ~"
        )
    return os.path.expanduser(path)


# One line: the name of a split, an architecture or a file; and the path of a file or folder.
Line = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_without_controls)]
PathLine = Annotated[Line, AfterValidator(_at_home)]


def all_or_count(value: Any) -> Any:
    """Validate `all` or a count: a single check, so that a mistake gives a single message."""
    if value == "all" or (type(value) is int and 1 <= value <= MOST):
        return value
    shown = repr(value) if isinstance(value, str) else brief(value)
    raise ValueError(f"{brief(shown)} is invalid; allowed: all, or a count of 1 to {MOST}")
