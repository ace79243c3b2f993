"""Settings of T3, object retrieval."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from patchlens.names import DatasetName
from patchlens.settings.base import Distance, Positive, Strict

Relevant = Literal["instance", "fine_class"]


class Retrieval(Strict):
    """T3. Every object of the query images looks for `relevant` others.

    `frame_distance: null` leaves out all objects of the query's own sequence; a number only those
    of frames that are nearer than it (the query's own image always).
    """

    datasets: list[DatasetName]
    relevant: Annotated[list[Relevant], Field(min_length=1)]
    frame_distance: Positive | None
    distance: Distance

    @model_validator(mode="after")
    def _without_repeats(self) -> "Retrieval":
        if len(set(self.relevant)) != len(self.relevant):
            raise ValueError("'relevant' must be without repeats")
        return self
