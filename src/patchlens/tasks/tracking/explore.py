"""Videos with linked boxes or carried masks, for the player: `tracks.json`, a script per video."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.datasets.masks import open_ids
from patchlens.datasets.tracks import Line, read_tracks
from patchlens.display.pictures import Pictures, label_png, shown_variants, write_script
from patchlens.errors import DataError
from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.stored import reading, remedy_for
from patchlens.tasks.tracking.animation import TRACK_COLOURS
from patchlens.tasks.tracking.files import TrackFiles
from patchlens.tasks.tracking.inputs import propagates

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

TITLE = "Videos"
FRAMES = 40  # of a sequence: of boxes from its start, of masks every n-th
SEQUENCES = 4
DECIMALS = 2  # of a box in the files of the tracks


def write(
    dataset: DatasetName,
    settings: "Settings",
    pictures: Pictures,
) -> None:
    """Write the query videos of T4: the ids of linked objects, or the masks that were carried.

    A box is marked as an identity switch if the id of its object was another one before.

    Raises:
        DataError: a model's tracks are missing.
    """
    index, variants = pictures.index, shown_variants(settings)
    masks = propagates(index)
    pairs = [(model, variant) for model in settings.models for variant in variants]
    columns = [{"model": model, "variant": variant} for model, variant in pairs]
    folders = [paths.tracks(dataset=dataset, model=model) / variant for model, variant in pairs]
    images = index.images.loc[index.query["image_id"]].sort_values(["sequence", "frame"])
    sequences: list[dict[str, Any]] = []
    for sequence, rows in images.groupby("sequence"):
        name, ids = str(sequence), [str(image_id) for image_id in rows.index]
        if masks and not (folders[0] / "davis" / name).is_dir():
            continue  # it has no labelled frame
        if masks:
            ids = ids[:: -(-len(ids) // FRAMES)]
            found = [_carried(folder / "davis" / name, ids) for folder in folders]
        else:
            files = TrackFiles(index, settings.dataset(dataset).kind, {name: ids})
            numbers = [int(number) + files.shift for number in rows["frame"]][:FRAMES]
            things, ids = [_things(index, i) for i in ids[:FRAMES]], ids[:FRAMES]
            stem = files.stem(name)
            found = [_linked(folder / f"mot/{stem}.txt", things, numbers) for folder in folders]
        frames = [pictures.of(image_id) for image_id in ids]
        script = f"tracks/{len(sequences)}.js"
        shown = [column | of for column, of in zip(columns, found, strict=True)]
        content = {"sequence": len(sequences), "frames": frames, "columns": shown}
        write_script("patchlensTracks", content, pictures.folder / script)
        sequences.append({"name": name, "script": script, "frames": frames})
        if len(sequences) == SEQUENCES:
            break
    if not sequences:
        return
    about = {"columns": columns, "sequences": sequences, "title": TITLE, "masks": masks}
    write_json(about, pictures.folder / "tracks.json")


def _carried(folder: Path, ids: Sequence[str]) -> dict[str, Any]:
    """The masks of frames, as pictures whose background is transparent."""
    masks = []
    for image_id in ids:
        with reading(folder / f"{Path(image_id).name}.png") as path:
            values = open_ids(path)
        colours = [TRACK_COLOURS[n % len(TRACK_COLOURS)] for n in range(int(values.max()))]
        masks.append(label_png(np.where(values == 0, IGNORE, values.astype(int) - 1), colours))
    return {"masks": masks}


def _linked(
    path: Path, things: Sequence[Mapping["Box", int]], numbers: Sequence[int]
) -> dict[str, Any]:
    """The boxes of frames with their ids."""
    with reading(path):
        lines = _tracks(path)
        shown = [(of, lines.get(n, [])) for of, n in zip(things, numbers, strict=True)]
        boxes, switches = _marked(shown)
    return {"boxes": boxes, "switches": switches}


Box = tuple[float, ...]


def _tracks(path: Path) -> Mapping[int, Sequence[Line]]:
    try:
        return read_tracks(path)
    except DataError as error:  # whose reader does not know that the file is ours
        raise DataError(f"{error}; {remedy_for(path)}") from None


def _things(index: Index, image_id: str) -> Mapping[Box, int]:
    """Box, as in the files of tracks -> its true object."""
    objects = index.objects[index.objects["image_id"] == image_id]
    boxes = objects[["x0", "y0", "x1", "y1"]].itertuples(index=False, name=None)
    return {_rounded(box): int(i) for box, i in zip(boxes, objects["instance"], strict=True)}


def _rounded(box: Sequence[float]) -> Box:
    return tuple(round(float(value), DECIMALS) for value in box)


def _marked(
    shown: Sequence[tuple[Mapping[Box, int], Sequence[Line]]],
) -> tuple[list[list[list[Any]]], int]:
    """For every frame, boxes [id, x0, y0, x1, y1, 1 at an identity switch]; and all switches."""
    last: dict[int, int] = {}
    frames, switches = [], 0
    for things, lines in shown:
        marked = []
        for line in lines:
            box = _rounded(line.box)
            thing = things[box]
            switched = last.get(thing, line.track) != line.track
            last[thing] = line.track
            switches += switched
            marked.append([line.track, *box, int(switched)])
        frames.append(marked)
    return frames, switches
