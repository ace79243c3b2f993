"""Objects of a dataset of kind `folder`, from its json and its tracks."""

from pathlib import Path
from typing import Any

from patchlens.datasets.below import at, nfc
from patchlens.datasets.boxes import has_area
from patchlens.datasets.coco import read_coco
from patchlens.datasets.folder_yaml import NAME, Description
from patchlens.datasets.layout import ObjectEntry
from patchlens.datasets.tracks import FORMATS, Line, read_tracks
from patchlens.errors import DataError
from patchlens.progress import log


def listed_objects(
    root: Path,
    description: Description,
    stills: dict[str, str],
    videos: dict[str, dict[int, Path]],
) -> dict[str, dict[str, Any]]:
    """Image id -> its objects and what else is said of it, as attributes of an `ImageEntry`.

    Args:
        root: the dataset's root.
        description: its dataset.yaml.
        stills: name -> path of the images outside sequences.
        videos: sequence -> frame number -> file.

    Raises:
        SourceError: a file that dataset.yaml names is missing.
        DataError: a file is malformed, or names an image, a frame or a class that does not exist.
    """
    found: dict[str, dict[str, Any]] = {}
    if description.objects is not None:
        known: dict[str, tuple[str, str | None]] = {
            nfc(Path(path).name): (name, None) for name, path in stills.items()
        }
        for name, video in videos.items():
            for file in video.values():
                known[f"{name}/{nfc(file.name)}"] = f"{name}/{nfc(file.stem)}", name
        path = at(root, description.objects)
        found = read_coco(path, tuple(description.classes), known, description.instance_scope)
        _check_any(path, found)
    if description.tracks is None:
        return found
    wanted = {label: name for label, name in description.tracks.items() if name is not None}
    others = {*FORMATS[description.tracks_format].classes, *description.tracks} - {*wanted}
    tracks = {name: at(root / "tracks", f"{name}.txt") for name in videos}
    read = {n: read_tracks(path, description.tracks_format, others) for n, path in tracks.items()}
    _check_start(root, videos, read)
    for name, video in videos.items():
        for frame, lines in read[name].items():
            if frame not in video:
                images, boxes = _span(video), _span(read[name])
                raise DataError(
                    f"{lines[0].place}: frame {frame} has no image in images/{name}, which has "
                    f"{images}; the tracks have {boxes}, and must have the numbers of the images"
                )
            image_id = f"{name}/{nfc(video[frame].stem)}"
            if found.get(image_id, {}).get("objects"):
                raise DataError(
                    f"{root / NAME}: '{image_id}' has objects in {description.objects} and tracks"
                )
            objects = tuple(_object(description, wanted, name, line) for line in lines)
            found.setdefault(image_id, {}).update(objects=objects, labels=str(tracks[name]))
    _check_any(root / "tracks", found)
    return found


def _check_any(path: Path, found: dict[str, dict[str, Any]]) -> None:
    """Refuse annotations that nothing could be measured with."""
    objects = [o for about in found.values() for o in about["objects"]]
    if not any(o.evaluated and has_area(o.box) for o in objects):
        what = f"none of its {len(objects)} boxes is evaluated" if objects else "has no boxes"
        raise DataError(
            f"{path}: {what}; take the annotations of a labelled split, and see in "
            "docs/own-data.md which boxes are not evaluated"
        )


def _object(
    description: Description, wanted: dict[int, str], sequence: str, line: Line
) -> ObjectEntry:
    label = next(iter(wanted)) if line.label is None and len(wanted) == 1 else line.label
    if label not in wanted:
        what = "no class column" if label is None else f"class {label}"
        raise DataError(
            f"{line.place}: {what}, but tracks in {NAME} has "
            f"{', '.join(str(key) for key in description.tracks or ())}"
            + ("; name exactly one" if label is None else f"; write {label}: null to leave it out")
        )
    return ObjectEntry(
        instance=f"{sequence}/{line.track}",
        class_id=description.classes.index(wanted[label]),
        box=line.box,
        track=line.track,
        evaluated=line.active,
    )


def _span(numbers: dict[int, Any]) -> str:
    return f"{min(numbers)} to {max(numbers)}"


def _check_start(
    root: Path, videos: dict[str, dict[int, Path]], read: dict[str, dict[int, list[Line]]]
) -> None:
    """Warn where all tracks may be one frame late, although every line has an image."""
    starts = {(min(videos[name]), min(lines)) for name, lines in read.items() if lines}
    if starts == {(0, 1)}:
        log.warning(
            "%s: images count from 0, and all tracks begin in frame 1: they are one off if their "
            "tool counts from 1; then rename the images",
            root / "tracks",
        )
