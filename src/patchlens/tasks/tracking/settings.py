"""Settings of T4: association, linking of whole videos, and DAVIS label propagation."""

from typing import Annotated, ClassVar

from patchlens.settings.base import Rising, Section, Strict, Within
from patchlens.tasks.metric import number

Similarity = Annotated[float, Within(-1, 1)]
Frames = Annotated[int, Within(1, 100_000)]


class Propagation(Strict):
    """DAVIS label propagation with the settings of DINO; distances are in patches."""

    queue: Annotated[int, Within(1, 1000)]
    radius: Annotated[int, Within(1, 1000)]
    top: Annotated[int, Within(1, 1000)]
    temperature: Annotated[float, Within(0.001, 1000)]


class Tracking(Section):
    """T4. `deltas` are in frames; `age` is the number of frames after which an unseen track ends.

    `thresholds` are cosines below which an object starts a new track instead of being linked. The
    best one is chosen on the support split, for each model and variant. If a dataset has no support
    (MOT17: one split with ground truth), that of each video is chosen on the other query videos.
    """

    needs: ClassVar[str] = "tracks"
    deltas: Rising[Frames]
    age: Frames
    thresholds: Rising[Similarity]
    davis: Propagation

    def lacks(self, metric: str) -> str | None:
        """The accuracy after Δ frames is measured for `deltas` only."""
        delta = number("d{}", metric)
        if delta is None or int(delta) in self.deltas:
            return None
        return f"tracking.deltas in params.yaml does not list {delta}; add it there"


SECTION = Tracking
