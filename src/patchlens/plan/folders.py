"""What a user's own folder says before it is indexed: its images, and what its tasks would miss."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from patchlens.datasets.below import nfc
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.folder_yaml import NAME, Description, describe, names_of
from patchlens.datasets.reading import frames
from patchlens.names import nearest
from patchlens.settings.datasets import Collected, Dataset
from patchlens.settings.load import Settings
from patchlens.tasks.segmentation.settings import Segmentation

NEEDS = {  # task -> what it needs in a folder, and the keys of dataset.yaml that give it
    "segmentation": ("class masks", ()),
    "retrieval": ("objects", ("objects", "instances", "tracks")),
    "tracking": ("objects in videos", ("objects", "instances", "tracks")),
}


def facts(dataset: Dataset, known: Entry) -> Entry:
    """The facts about a kind; of a user's folder, those in its dataset.yaml.

    Raises:
        DataError: dataset.yaml is wrong, or a sequence that it names cannot be listed.
    """
    found = _described(dataset)
    if found is None:
        return known
    root, described = found
    return known.model_copy(
        update={"counts": _counts(root, described), "classes": described.classes}
    )


def problems(settings: Settings) -> Iterator[str]:
    """What the stages index and those of tasks would refuse of the user's folders, in lines."""
    segmentation = settings.section(Segmentation)
    labelled, shots = segmentation.datasets, max(segmentation.shots, *segmentation.shots_sweep, 0)
    for name in settings.extract.datasets:
        own = settings.datasets[name]
        if (found := _described(own)) is None:
            continue
        root, described = found
        counts = _counts(root, described)
        for part in ("support", "query"):
            if (chosen := getattr(own, part)) is None:
                continue
            where, splits = f"datasets.{name}.{part}", chosen.split.split("+")
            if lost := [split for split in splits if split not in counts]:
                yield f"{where}.split: '{lost[0]}' is unknown; {nearest(lost[0], counts)}"
                continue
            there = sum(counts[split]["images"] for split in splits)
            asked = chosen.images
            if name in labelled and (bare := _without_mask(root, described, splits)):
                yield f"{where}.split: '{bare}' has no class mask, which segmentation needs; " + (
                    "choose splits whose images all have one"
                )
            if part == "support" and chosen.folds is not None and shots > there:
                yield f"segmentation.shots: {shots} is more than the {there} images of '{name}'"
            if chosen.per == "total" and isinstance(asked, int) and asked > there:
                yield f"{where}.images: {asked} requested, but '{chosen.split}' has {there}"
        for task, names in settings.tasks().items():
            what, keys = NEEDS.get(task, ("", ()))
            given = (
                (root / "masks").is_dir()
                if task == "segmentation"
                else any(getattr(described, key) is not None for key in keys)
            )
            if name in names and what and not given:
                yield (
                    f"{task}.datasets: '{name}' has no {what} ({root / NAME}); add them, or take "
                    "it out of the list"
                )


def _without_mask(root: Path, described: Description, splits: list[str]) -> str:
    """The first image of some splits that has no mask; "" if all have, or none in the folder."""
    there = {nfc(path.stem) for path in (root / "masks").glob("*")}
    listed = [name for split in splits for name in names_of(root, split, described.splits[split])]
    for name in listed if there else []:
        path = PurePosixPath(name.replace("\\", "/"))  # as a path, or with its suffix
        if name not in described.sequences and not there & {name, path.name, path.stem}:
            return name
    return ""


def _described(dataset: Dataset) -> tuple[Path, Description] | None:
    """The folder of a dataset of the user with its description; None of other datasets."""
    if not isinstance(dataset, Collected) or dataset.kind != "folder" or dataset.root is None:
        return None
    root = Path(dataset.root)
    return (root, describe(root / NAME)) if (root / NAME).is_file() else None


def _counts(root: Path, described: Description) -> dict[str, dict[str, int]]:
    """Split -> `images` -> their number, the frames of sequences among them."""
    counts = {}
    for split, written in described.splits.items():
        of = names_of(root, split, written)
        videos = [frames(root / "images" / name) for name in of if name in described.sequences]
        counts[split] = {"images": len(of) - len(videos) + sum(map(len, videos))}
    return counts
