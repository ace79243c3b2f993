"""The label files of BDD100K's tracking, for its reader and for the official scorer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchlens.datasets.reading import json_of, part
from patchlens.errors import DataError

LABELS = ("labels/box_track_20", "labels-20/box-track")  # the release and an older one
ALIASES = {
    "bike": "bicycle",
    "caravan": "car",
    "motor": "motorcycle",
    "person": "pedestrian",
    "van": "car",
}
OTHER = {"poly2d", "box3d", "rle", "graph"}  # what labels of other tasks have instead of a box


def folder_of(root: Path, here: Path, split: str) -> Path | None:
    """The folder of the label files of a split of the dataset at `here`, or None."""
    there = [part(root, here, f"{folder}/{split}") for folder in LABELS]
    return next((folder for folder in there if folder.is_dir()), None)


def records(path: Path) -> list[Any]:
    """The frames of a label file, which is a list of them, or a dict as scalabel writes it.

    Raises:
        DataError: it is neither, or has no frames.
    """
    content = json_of(path)
    if isinstance(content, dict):
        content = content.get("frames")
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: is not a list of frames")
    return content


def has_box(label: Mapping[str, Any]) -> bool:
    """Whether a label is one of tracking; it need not be well-formed."""
    return label.get("box2d") is not None or not ("box2d" in label or OTHER & label.keys())


def is_crowd(label: Mapping[str, Any]) -> bool:
    """Whether a label is of a crowd, which is not evaluated."""
    attributes = label.get("attributes") or {}
    return bool(attributes.get("crowd") or attributes.get("Crowd"))
