"""Objects of a dataset of kind `folder`, from its json and its tracks."""

from pathlib import Path

from patchlens.datasets.coco import read_coco
from patchlens.datasets.folder_yaml import NAME, Description
from patchlens.datasets.layout import ObjectEntry
from patchlens.datasets.tracks import read_tracks
from patchlens.errors import DataError


def listed_objects(
    root: Path,
    description: Description,
    stills: dict[str, str],
    videos: dict[str, dict[int, Path]],
) -> dict[str, list[ObjectEntry]]:
    """Image id -> its objects, from the json and the tracks.

    Args:
        root: the dataset's root.
        description: its dataset.yaml.
        stills: name -> path of the images outside sequences.
        videos: sequence -> frame number -> file.

    Raises:
        SourceError: a file that dataset.yaml names is missing.
        DataError: a file is malformed, or names an image, a frame or a class that does not exist.
    """
    found: dict[str, list[ObjectEntry]] = {}
    if description.objects is not None:
        known = {Path(path).name: name for name, path in stills.items()}
        for name, video in videos.items():
            known |= {f"{name}/{file.name}": f"{name}/{file.stem}" for file in video.values()}
        found = read_coco(root / description.objects, tuple(description.classes), known)
    for name, video in videos.items() if description.tracks is not None else ():
        for image_id, objects in _tracked(root, description, name, video).items():
            if image_id in found:
                raise DataError(
                    f"{root / NAME}: '{image_id}' has objects in {description.objects} and tracks"
                )
            found[image_id] = objects
    return found


def _tracked(
    root: Path, description: Description, sequence: str, video: dict[int, Path]
) -> dict[str, list[ObjectEntry]]:
    assert description.tracks is not None
    only = next(iter(description.tracks)) if len(description.tracks) == 1 else None
    found: dict[str, list[ObjectEntry]] = {}
    for frame, lines in read_tracks(root / "tracks" / f"{sequence}.txt").items():
        for line in lines:
            label = only if line.label is None else line.label
            if label not in description.tracks:
                what = "no class column" if label is None else f"class {label}"
                raise DataError(
                    f"{line.place}: {what}, but tracks in {NAME} has "
                    f"{', '.join(str(key) for key in description.tracks)}"
                )
            if frame not in video:
                raise DataError(f"{line.place}: frame {frame} has no image in images/{sequence}")
            entry = ObjectEntry(
                instance=f"{sequence}/{line.track}",
                class_id=description.classes.index(description.tracks[label]),
                box=line.box,
                track=line.track,
                evaluated=line.active,
            )
            found.setdefault(f"{sequence}/{video[frame].stem}", []).append(entry)
    return found
