"""`patchlens try`: own photographs in a workspace of their own, and the pipeline in it."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from patchlens import paths
from patchlens.annotations.convert import convert, with_splits
from patchlens.annotations.write import Converted
from patchlens.datasets.images import image_size
from patchlens.datasets.reading import pictures
from patchlens.errors import PatchlensError
from patchlens.own import create
from patchlens.own.models import LAYERS, Approve, slots
from patchlens.settings.load import load
from patchlens.stored import read_json, reading
from patchlens.tasks.known import known

PHOTOS = "photos"  # the folder of the dataset in a workspace, and its name
REST = "unlabelled"  # the name of the dataset of photographs without labels
VIDEOS, OTHER_VIDEOS = "videos", "unlabelled_videos"  # with a labelled frame, and the others
PATCHES = 768  # of an image: a grid of 24×32 for 4:3
FOLDS = 5
FEW = 6  # labelled images, at most, that are each left out in turn
LEAST = 2  # labelled images: with one, nothing is left to score
ASKED = "try.json"  # what was asked for, so that the same command again continues
CHOICES = [0.001, 0.03, 1.0]  # of C: a finer choice takes longer and hardly scores better
VARIANTS = ["raw", "center", "prune"]


@dataclass(frozen=True)
class Asked:
    """What the user asked for.

    Attributes:
        photos, labels: absolute paths; labels are masks or annotations in any known format.
        models: as in `models.slots`.
        patch_size: of own code.
        every, frames: of videos, as in `convert`.
    """

    photos: str
    labels: str | None
    models: str
    patch_size: int
    every: int = 1
    frames: bool = False


def begin(folder: Path, asked: Asked, *, subdir: bool, approve: Approve) -> list[str]:
    """Make the workspace `folder`, unless an interrupted run of the same command has made it.

    Returns:
        What was found in the photographs, in lines; or that the workspace was there.

    Raises:
        PatchlensError: the folder is there and was made for something else.
    """
    if (folder / create.RECORD).is_file():
        known_to = folder / ASKED
        with reading(known_to):
            before = read_json(known_to) if known_to.is_file() else None
        if before == asdict(asked):
            return [f"Going on in {folder}: what is done is not done again."]
        raise PatchlensError(
            f"{folder}: is a workspace for something else; give another --out, or run `patchlens "
            "repro` in it"
        )
    said: list[str] = []

    def fill(partial: Path) -> Mapping[str, Any]:
        labels = None if asked.labels is None else Path(asked.labels)
        out = partial / PHOTOS
        found = convert(Path(asked.photos), labels, out, every=asked.every, frames=asked.frames)
        splits = {"labelled": found.labelled, REST: found.unlabelled}
        splits |= {VIDEOS: tracked(found), OTHER_VIDEOS: untracked(found)}
        with_splits(partial / PHOTOS, {name: of for name, of in splits.items() if of})
        (partial / ASKED).write_text(json.dumps(asdict(asked), indent=1) + "\n", encoding="utf-8")
        said.extend(_found(found))
        models = slots(asked.models, partial, patch_size=asked.patch_size, approve=approve)
        return settings(found, grid_for(partial / PHOTOS / "images"), models)

    create.make(folder, fill, subdir=subdir)
    return said


def settings(
    found: Converted, patches: list[int], models: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The sections of params.yaml for what was found in the photographs.

    Args:
        found: the photographs and their labels.
        patches: rows and columns of the grid of patches.
        models: the section `models`.
    """

    def of(support: Mapping[str, Any] | None, split: str, unit: str = "image") -> dict[str, Any]:
        view = {"mode": "whole", "grid": "equal", "patches": list(patches)}
        query = {"split": split, "images": "all", "per": "total", "unit": unit}
        base = {"kind": "folder", "root": PHOTOS, "view": view}
        return base | {"support": support, "query": query}

    datasets: dict[str, Any] = {}
    content: dict[str, Any] = {"datasets": datasets, "models": models}
    labelled = len(found.labelled) if found.masks >= LEAST else 0
    if labelled:
        folds = labelled if labelled <= FEW else FOLDS
        support: dict[str, Any] = {"split": "labelled", "images": "all", "per": "total"}
        support |= {"seeds": [0], "folds": folds}
        datasets[PHOTOS] = of(support, "labelled")
    rest = ["labelled"] if found.labelled and not labelled else []
    rest += [REST] if found.unlabelled else []
    if rest:
        datasets[REST if labelled else PHOTOS] = of(None, "+".join(rest))
    if tracked(found):
        datasets[VIDEOS] = of(None, VIDEOS, "sequence")
        content["tracking"] = {"datasets": [VIDEOS]}
    if untracked(found):
        datasets[OTHER_VIDEOS] = of(None, OTHER_VIDEOS, "sequence")
    if rest and not labelled and found.recurring:
        content["retrieval"] = {"datasets": [PHOTOS], "relevant": ["instance", "fine_class"]}
    elif rest and not labelled:
        images = len(found.labelled) + len(found.unlabelled)
        degraded = {"blur": [1, 3], "noise": [20], "jpeg": [10], "brightness": [0.6], "shift": [3]}
        content["identification"] = {
            "datasets": [PHOTOS],
            "images": min(10, images),
            "degradations": degraded,
        }
    content["features"] = {"layer_sweep": LAYERS}
    content["prune"] = {"random_draws": 1}
    content["segmentation"] = {
        "datasets": [PHOTOS] if labelled else [],
        "variants": VARIANTS,
        "shots": max(1, labelled - 1),
        "linear": {"c": CHOICES, "default_c": 1.0, "folds": 3, "max_iter": 5000},
    }
    content["selection"] = {"datasets": [PHOTOS] if labelled > LEAST else []}
    return content


def tracked(found: Converted) -> list[str]:
    """The videos with a labelled frame."""
    return [name for name, frames in found.sequences.items() if frames]


def untracked(found: Converted) -> list[str]:
    """The other videos."""
    return [name for name, frames in found.sequences.items() if not frames]


def grid_for(folder: Path) -> list[int]:
    """Rows and columns of a grid of about `PATCHES` in the shape of the photographs."""
    inside = [folder, *(path for path in sorted(folder.iterdir()) if path.is_dir())]
    paths_of = [path for one in inside for path in pictures(one, quiet=True)[:64]]
    shapes = [image_size(path) for path in paths_of]
    aspect = float(np.median([width / height for width, height in shapes]))
    rows = min(256, max(2, round(math.sqrt(PATCHES / aspect))))
    return [rows, min(256, max(2, round(PATCHES / rows)))]


def _found(found: Converted) -> list[str]:
    photographs = len(found.labelled) + len(found.unlabelled), len(found.labelled), "photograph"
    videos = len(found.sequences), len(tracked(found)), "video"
    classes = ", ".join(found.classes[:8]) + (" …" if len(found.classes) > 8 else "")
    counted = (
        f"{total} {what}{'s' if total > 1 else ''}, {labelled} of them with labels."
        for total, labelled, what in (photographs, videos)
        if total
    )
    lines = [" ".join(counted)]
    if found.classes:
        lines.append(f"Labels ({found.format}): {len(found.classes)} classes: {classes}")
    if found.masks == 1 and not found.sequences:
        lines.append("With one mask nothing is left to score: add at least one more.")
    elif found.boxes and not found.masks and not found.sequences:
        lines.append(
            "Boxes without outlines: each object looks for others of its class in the other "
            "photographs."
            if found.recurring
            else "No class has boxes in two photographs, so that nothing can be found again: label "
            "more of them."
        )
    return [*lines, *found.notes]


def run(folder: Path, *, go_on: Callable[[str], bool]) -> bool:
    """Say what a run will cost, ask, and run the pipeline in a workspace.

    Args:
        folder: the workspace.
        go_on: is shown the plan, and says whether to run.

    Returns:
        Whether it was run.
    """
    from patchlens.pipeline import repro
    from patchlens.plan import show
    from patchlens.plan.make import make

    os.chdir(folder)
    create.check()
    plan = make(load(paths.PARAMS, known()), create.GRAPH)
    plan.check_disk(paths.PARAMS)
    if not go_on(show.brief(plan)):
        return False
    repro.run([], jobs=2, force=False)
    create.commit(Path(), "Results")
    return True
