"""Linked videos as frames and boxes for the player: `tracks.json` and one script per sequence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.tracks import Line, read_tracks
from patchlens.display.pictures import Pictures, shown_variants, write_script
from patchlens.errors import DataError
from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.stored import reading, remedy_for
from patchlens.tasks.tracking.files import TrackFiles
from patchlens.tasks.tracking.inputs import propagates

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

TITLE = "Videos"
FRAMES = 40  # of a sequence, from its start
SEQUENCES = 4
DECIMALS = 2  # of a box in the files of the tracks


def write(
    dataset: DatasetName,
    settings: "Settings",
    pictures: Pictures,
) -> None:
    """Write the query videos that T4 linked, with the track ids of every model and variant.

    A box is marked as an identity switch if the id of its object was another one before.

    Raises:
        DataError: a model's tracks are missing.
    """
    index, out, variants = pictures.index, pictures.folder, shown_variants(settings)
    if propagates(index):
        return  # masks, and no tracks
    kind, models = settings.dataset(dataset).kind, list(settings.models)
    images = index.images.loc[index.query["image_id"]].sort_values(["sequence", "frame"])
    sequences = []
    for n, (sequence, rows) in enumerate(list(images.groupby("sequence"))[:SEQUENCES]):
        ids = [str(image_id) for image_id in rows.index]
        files = TrackFiles(index, kind, {str(sequence): ids})
        numbers = [int(number) + files.shift for number in rows["frame"]][:FRAMES]
        things = {i: _things(index, i) for i in ids[:FRAMES]}
        columns = []
        for model in models:
            for variant in variants:
                folder = paths.tracks(dataset=dataset, model=model) / variant / "mot"
                path = folder / f"{files.stem(str(sequence))}.txt"
                with reading(path):
                    lines = _tracks(path)
                    shown = [
                        (things[i], lines.get(f, [])) for i, f in zip(things, numbers, strict=True)
                    ]
                    boxes, switches = _marked(shown)
                column = {"model": model, "variant": variant}
                columns.append(column | {"boxes": boxes, "switches": switches})
        frames = [pictures.of(image_id) for image_id in things]
        script = f"tracks/{n}.js"
        content = {"sequence": n, "frames": frames, "columns": columns}
        write_script("patchlensTracks", content, out / script)
        sequences.append({"name": str(sequence), "script": script, "frames": frames})
    listed = [{"model": model, "variant": variant} for model in models for variant in variants]
    write_json({"columns": listed, "sequences": sequences, "title": TITLE}, out / "tracks.json")


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
