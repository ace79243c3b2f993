"""The base of all settings: no unknown keys, no silent conversion, no later change."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from patchlens import names

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


class Strict(BaseModel):
    """A section: unknown keys, wrong types and infinities are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# DVC builds stage names, paths and shell commands from these.
NAME = "^[a-z0-9_]+$"
Pattern = Field(pattern=NAME)
Name = Annotated[str, Pattern]
DatasetName = Annotated[names.DatasetName, Pattern]
ModelName = Annotated[names.ModelName, Pattern]


class Section(Strict):
    """The section of a task in params.yaml: its datasets and its protocol.

    Attributes:
        needs: what a dataset must have to serve the task, in words; "" if any images do.
    """

    needs: ClassVar[str] = ""
    datasets: list[names.DatasetName]

    def check(self, settings: "Settings") -> Iterable[str]:
        """Mistakes that only show beside other sections: one line each, beginning with the key."""
        return ()


Distance = Literal["cosine", "dot", "l2"]
Positive = Annotated[int, Field(ge=1)]


def all_or_count(value: Any) -> Any:
    """Validate `all` or a count: a single check, so that a mistake gives a single message."""
    if value == "all" or (type(value) is int and value >= 1):
        return value
    raise ValueError(f"{value!r} is invalid; allowed: all, or a count ≥ 1")
