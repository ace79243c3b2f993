"""Settings of the nested choice."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from patchlens.settings.base import Section, Within
from patchlens.tasks.segmentation.settings import Segmentation

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


class Selection(Section):
    """Every extracted layer with every variant and head of `segmentation`, chosen by inner folds.

    `folds` are at most the images of a support set. k, distance, label and the values of C are
    those of `segmentation`; each C of the probe is a candidate of its own.
    """

    folds: Annotated[int, Within(2, 100)]

    def check(self, settings: "Settings") -> Iterable[str]:
        """It runs where segmentation does, whose support sets it uses."""
        of = settings.section(Segmentation)
        for i, name in enumerate(self.datasets):
            if name in settings.datasets and name not in of.datasets:
                yield (
                    f"selection.datasets[{i}]: '{name}' is not in segmentation.datasets, whose "
                    "support sets the choice uses; add it there"
                )
        if self.datasets and of.shots < 2:
            yield "segmentation.shots: 1 leaves no image for the inner folds of selection; raise it"


SECTION = Selection
