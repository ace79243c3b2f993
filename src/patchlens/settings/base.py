"""What all settings share: no unknown key, no silent conversion, no later change."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A settings section: unknown keys and wrong types are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


# DVC builds stage names and paths from these.
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Positive = Annotated[int, Field(ge=1)]
