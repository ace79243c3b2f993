"""Settings of T3, object retrieval."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from patchlens.settings.base import Distance, Positive, Section

Relevant = Literal["instance", "fine_class"]


class Retrieval(Section):
    """T3. Every object of the query images is a query for the objects that are `relevant` to it.

    `frame_distance: null` excludes all objects of the query's sequence; a number excludes those in
    frames closer than this number. Objects of the query's image are always excluded.
    """

    needs: ClassVar[str] = "recurring objects"
    relevant: Annotated[list[Relevant], Field(min_length=1)]
    frame_distance: Positive | None
    distance: Distance

    @model_validator(mode="after")
    def _without_repeats(self) -> "Retrieval":
        if len(set(self.relevant)) != len(self.relevant):
            raise ValueError("'relevant' must not contain repeats")
        return self


SECTION = Retrieval
