"""The inputs of T4: the videos of a split, their evaluated objects and the features of these."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from patchlens.arrays import Array
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.cell import Fitted
from patchlens.features.store import FeatureFile
from patchlens.settings.features import VariantName
from patchlens.tasks.annotated import objects_of
from patchlens.tasks.objects import object_features
from patchlens.tasks.tracking.summary import Row
from patchlens.tasks.tracking.videos import Video

Features = dict[VariantName, list[Array]]  # one per draw


@dataclass
class Tracked:
    """The results of a part of T4.

    Attributes:
        rows: the records.
        about: its additions to the protocol.
        extra: (head, variant) -> metrics that are not counts.
    """

    rows: list[Row] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    extra: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)


def propagates(index: Index) -> bool:
    """Whether T4 carries masks through the videos of a dataset, instead of linking its boxes.

    That is so on DAVIS, and on a user's own videos whose frames may be unlabelled.
    """
    own = index.partial and bool(index.images["instances"].notna().any())
    return index.reader == "davis" or own


def sequences(index: Index, file: FeatureFile, age: int | None = None) -> dict[str, list[str]]:
    """Sequence, sorted by name -> its extracted images in the order of their frames.

    Raises:
        SettingsError: an image does not belong to a sequence, or the frames of one are so far apart
            that no track would live for `age` frames.
    """
    images = index.images.loc[file.header.image_ids]
    if images[["sequence", "frame"]].isna().any(axis=None):
        stray = images.index[images["sequence"].isna() | images["frame"].isna()][0]
        raise SettingsError(
            f"params.yaml: tracking.datasets: image '{stray}' of '{file.header.dataset}' is not a "
            "frame of a sequence; choose splits with videos, which T4 needs"
        )
    ordered = images.sort_values(["sequence", "frame"])
    for name, rows in ordered.groupby("sequence") if age is not None else ():
        steps = np.diff(rows["frame"].to_numpy(dtype=np.int64))
        if len(steps) and np.median(steps) > age:
            raise SettingsError(
                f"params.yaml: tracking.age: {age} frames, but those of '{name}' of "
                f"'{file.header.dataset}' are {np.median(steps):.0f} apart, so that every track "
                "ends at once; number its images one by one (000001, 000002, ...), or raise age"
            )
    return {str(name): list(rows.index) for name, rows in ordered.groupby("sequence")}


def opened(
    fitted: Fitted, file: FeatureFile, found: dict[str, list[str]]
) -> Iterator[tuple[Video, Features]]:
    """Every sequence with the features of its objects; only one is in memory at a time."""
    index = fitted.cell.index
    for name, ids in found.items():
        objects = objects_of(index, ids, file.header.grid)
        objects = objects.take(objects.evaluated)
        as_annotated = index.objects.loc[objects.number]  # `Objects` has boxes inside the image

        def maps(rows: range, ids: list[str] = ids) -> Array:
            return file.images(ids[rows.start : rows.stop], fitted.cell.layer)

        features = object_features(objects, len(ids), maps, fitted.transforms)
        yield (
            Video(
                name=name,
                frames=index.images.loc[ids, "frame"].to_numpy(dtype=np.int64),
                frame=objects.frame,
                instance=objects.instance,
                class_id=objects.class_id,
                boxes=as_annotated[["x0", "y0", "x1", "y1"]].to_numpy(dtype=np.float64),
                placed=objects.size > 0,
            ),
            features,
        )
