"""What is wrong with a dataset as a whole: palettes that differ, copies, images without a label."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from patchlens.datasets.layout import Layout
from patchlens.errors import DataError
from patchlens.files import file_hash
from patchlens.progress import log

Colour = tuple[int, ...]
ONE_PALETTE = "; save all masks with one palette"
OWN = "folder"  # the reader of users' own images: what is wrong there can be corrected


@dataclass
class Palettes:
    """Compares the palettes of masks, one after the other.

    Attributes:
        clash: how two of them differ in ids that occur; the first case only.
        colours: id -> its colour, and the first file with it.
    """

    clash: list[str] = field(default_factory=list)
    colours: dict[int, tuple[Colour, Path]] = field(default_factory=dict)
    _ids: dict[Colour, tuple[int, Path]] = field(default_factory=dict)

    def add(self, path: Path, values: Iterable[int], palette: Sequence[Colour]) -> None:
        """Compare the colours of the ids that occur in a mask with those in other masks."""
        for value in (v for v in values if v < len(palette) and not self.clash):
            colour = palette[value]
            first, at = self.colours.setdefault(value, (colour, path))
            if first != colour:
                self.clash.append(
                    f"{path}: id {value} is the colour {list(colour)} in its palette, and "
                    f"{list(first)} in that of {at}"
                )
            other, at = self._ids.setdefault(colour, (value, path))
            if other != value and (other >= len(palette) or palette[other] != colour):
                self.clash.append(
                    f"{path}: the colour {list(colour)} is id {value} in its palette, and id "
                    f"{other} in that of {at}"
                )


@dataclass
class Gate:
    """Collects what was seen in the files of a dataset, one by one, and judges them together.

    Attributes:
        root: of the dataset.
        layout: of the dataset.
        classes: image id -> the classes in its mask, none if all of it is ignored.
        palettes: of the masks.
    """

    root: Path
    layout: Layout
    classes: dict[str, list[int]] = field(default_factory=dict)
    palettes: Palettes = field(default_factory=Palettes)
    _stamps: dict[tuple[int, int], list[tuple[str, str]]] = field(default_factory=dict)

    def image(self, image_id: str, path: str, stamp: tuple[int, int]) -> None:
        """Remember the stamp of a picture."""
        self._stamps.setdefault(stamp, []).append((image_id, path))

    def twins(self) -> list[list[str]]:
        """Groups of image ids whose files have equal bytes."""
        groups = []
        for alike in self._stamps.values():
            if len(alike) > 1:
                by_content: dict[str, list[str]] = {}
                for image_id, path in alike:
                    digest = file_hash(self.root / path, "md5")
                    by_content.setdefault(digest, []).append(image_id)
                groups += [group for group in by_content.values() if len(group) > 1]
        return groups

    def judge(
        self, support: pd.DataFrame | None, query: pd.DataFrame | None, twins: list[list[str]]
    ) -> None:
        """Refuse or report what would make a score wrong.

        Raises:
            DataError: no query image or no support image has a label, only one class is left, or,
                in a user's own images, palettes differ or a query image is also in the support.
        """
        self._complain(self.palettes.clash, f"{ONE_PALETTE}, or list their colours in dataset.yaml")
        if query is None:
            return
        scored = set(query["image_id"])
        void = self._void(scored)
        if support is not None:
            learned = set(support["image_id"])
            if "repetition" not in support:  # folds keep copies together
                self._complain(self._leaks(learned, scored, twins), ", which is in the support; "
                               "remove one of the two")  # fmt: skip
            self._check_classes(learned | scored)
            self._check_support(support)
        if void:
            log.warning("%s", void)

    def _leaks(self, learned: set[str], scored: set[str], twins: list[list[str]]) -> list[str]:
        return [
            f"{self.root}: query image '{image_id}' has the bytes of '{known[0]}'"
            for group in twins
            if (known := [i for i in group if i in learned])
            for image_id in group
            if image_id in scored
        ]

    def _complain(self, faults: list[str], remedy: str) -> None:
        """An error for a user's own images, a warning for published ones, which others use too."""
        if not faults:
            return
        more = f" ({len(faults)} in total)" if len(faults) > 1 else ""
        if self.layout.reader == OWN:
            raise DataError(f"{faults[0]}{remedy}{more}")
        log.warning("%s%s", faults[0], more)

    def _void(self, scored: set[str]) -> str:
        """What to say of query images without a label; nothing if there are none."""
        masked = sorted(self.classes.keys() & scored)
        void = [image_id for image_id in masked if not self.classes[image_id]]
        if not void:
            return ""
        if len(void) == len(masked):
            raise DataError(
                f"{self.root}: no query image has a labelled pixel, because all pixels of their "
                "masks are ignored; correct the masks, or ignore in dataset.yaml"
            )
        return (
            f"{len(void)} of {len(masked)} query images have no labelled pixel, such as "
            f"'{void[0]}'; segmentation leaves them out of its resamples"
        )

    def _check_support(self, support: pd.DataFrame) -> None:
        for seed, chosen in support.groupby("seed"):
            masked = self.classes.keys() & set(chosen["image_id"])
            if masked and not any(self.classes[image_id] for image_id in masked):
                raise DataError(
                    f"{self.root}: no support image of seed {seed} has a labelled pixel, such as "
                    f"'{min(masked)}'; correct the masks, or take more images or other seeds in "
                    "params.yaml"
                )

    def _check_classes(self, used: set[str]) -> None:
        masked = self.classes.keys() & used
        present = {c for image_id in masked for c in self.classes[image_id]}
        carriers = len(self.layout.classes) == 1 and self.layout.instances  # of `majority`
        if masked and len(present) < 2 and not carriers:
            names = ", ".join(self.layout.classes[c] for c in present) or "none"
            raise DataError(
                f"{self.root}: the masks of support and query contain one class only ({names}), so "
                "that every score would be 1; correct the masks, or classes and ignore in "
                "dataset.yaml"
            )
