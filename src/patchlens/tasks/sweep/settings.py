"""Settings of the sweep over m, the number of dropped or kept dimensions."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import PlainValidator

from patchlens.settings.base import Section, Several, Some, all_or_count
from patchlens.tasks.segmentation.settings import Segmentation

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

Head = Literal["knn", "linear", "retrieval"]
Rival = Literal["l2", "center", "zscore", "pca_drop_top", "pca_whiten"]


SWEPT = ("prune", "keep_top", "prune_random")  # over m


class Sweep(Section):
    """Scores as a function of m for `prune`, `keep_top` and `prune_random`, beside the rivals.

    `heads` are scored; retrieval needs a dataset with objects. k-NN and the linear probe score
    `images` of the query images (the first in hash order) or all; retrieval always scores all. The
    values of m are `prune.choices`; k, distance, shots, labels and the probe are those of
    `segmentation`.
    """

    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    heads: Some[Head]
    rivals: Several[Rival]

    def borrows(self) -> Mapping[str, str]:
        """Objects are retrieved as in T3."""
        return {"heads": "retrieval"} if "retrieval" in self.heads else {}

    def check(self, settings: "Settings") -> Iterable[str]:
        """It runs where segmentation does, whose support, masks and C of the probe it uses."""
        segmentation = settings.section(Segmentation)
        for i, name in enumerate(self.datasets):
            if name in settings.datasets and name not in segmentation.datasets:
                yield (
                    f"sweep.datasets[{i}]: '{name}' is not in segmentation.datasets, whose support "
                    "sets and masks the sweep needs; add it there"
                )
                continue
            own = settings.datasets.get(name)
            if own is not None and own.support is not None and own.support.folds is not None:
                yield (
                    f"sweep.datasets[{i}]: '{name}' has support.folds, whose images are also "
                    "the query; take it out of the list"
                )
        if not self.datasets or "linear" not in self.heads:
            return
        if "linear" not in segmentation.heads:
            yield "sweep.heads: 'linear' needs 'linear' in segmentation.heads, which chooses its C"
        for variant in ("raw", *self.rivals):
            if variant not in segmentation.variants:
                yield (
                    f"sweep.heads: 'linear' needs '{variant}' in segmentation.variants, where its "
                    "C is chosen; add it there"
                )


SECTION = Sweep
