"""Settings of T4: association, linking of whole videos, and DAVIS label propagation."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from patchlens.settings.base import Positive, Section, Strict

Similarity = Annotated[float, Field(ge=-1, le=1)]


class Propagation(Strict):
    """DAVIS label propagation with the settings of DINO; distances are in patches."""

    queue: Positive
    radius: Positive
    top: Positive
    temperature: Annotated[float, Field(gt=0)]


class Tracking(Section):
    """T4. `deltas` are in frames; `age` is the number of frames after which an unseen track ends.

    `thresholds` are cosines below which an object starts a new track instead of being linked. The
    best one is chosen on the support split, for each model and variant. If a dataset has no support
    (MOT17: one split with ground truth), that of each video is chosen on the other query videos.
    """

    needs: ClassVar[str] = "tracks"
    deltas: Annotated[list[Positive], Field(min_length=1)]
    age: Positive
    thresholds: Annotated[list[Similarity], Field(min_length=1)]
    davis: Propagation

    @model_validator(mode="after")
    def _ascending(self) -> "Tracking":
        for name in ("deltas", "thresholds"):
            values = getattr(self, name)
            if values != sorted(set(values)):
                raise ValueError(f"'{name}' must be ascending without repeats")
        return self


SECTION = Tracking
