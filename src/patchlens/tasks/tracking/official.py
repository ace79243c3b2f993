"""Scores linkings with TrackEval, including its preprocessing for MOTChallenge and BDD100K."""

import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from trackeval.datasets import BDD100K, MotChallenge2DBox
from trackeval.utils import TrackEvalException

from patchlens.arrays import Ints
from patchlens.datasets.bdd100k_labels import ALIASES, folder_of, has_box, is_crowd, records
from patchlens.datasets.reading import lines
from patchlens.datasets.tracks import cells
from patchlens.errors import DataError
from patchlens.files import write_text
from patchlens.settings.features import VariantName
from patchlens.tasks.tracking.files import MOT, TrackFiles
from patchlens.tasks.tracking.track_scores import as_data, counts
from patchlens.tasks.tracking.videos import Video

Key = tuple[str, VariantName, int]  # head, variant, draw
Linked = Mapping[Key, Ints]
Counts = Mapping[str, float]
Scorer = Callable[[Video, Linked], dict[Key, Counts]]


def scorer(files: TrackFiles, work: Path) -> tuple[Scorer, str]:
    """The function that scores the linkings of a video, and its description.

    MOTChallenge and BDD100K are scored by TrackEval's classes for them, on their official files cut
    to the frames of the query. All others are scored by its metrics, where each box matches itself.

    Args:
        files: file names and frame numbers of the videos.
        work: an empty folder, which the caller removes.
    """
    if files.index.reader == MOT:
        benchmark = files.kind.upper()
        return _Mot(files, work, benchmark), f"preprocessing of {benchmark}"
    if files.index.reader == "bdd100k_track":
        return _Bdd(files, work), "preprocessing of BDD100K, sums over its classes"
    return _plain, "every box its own match"


def _plain(video: Video, linked: Linked) -> dict[Key, Counts]:
    return {key: counts(as_data(video, tracks)) for key, tracks in linked.items()}


def _tracker(key: Key) -> str:
    return "-".join(str(part) for part in key)


def _score(make: Callable[[], Any], sequence: str, linked: Linked) -> dict[Key, Counts]:
    """Counts of each linking, summed over the classes of the benchmark."""
    out: dict[Key, Counts] = {}
    try:
        # The output of TrackEval, with its traceback, is repeated in the error that it raises.
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            dataset = make()
            for key in linked:
                raw = dataset.get_raw_seq_data(_tracker(key), sequence)
                classes = [dataset.get_preprocessed_seq_data(raw, c) for c in dataset.class_list]
                found = [counts(data) for data in classes]
                out[key] = {name: sum(one[name] for one in found) for name in found[0]}
    except TrackEvalException as error:
        raise DataError(f"ground truth of '{sequence}': TrackEval: {error}") from None
    return out


class _Mot:
    def __init__(self, files: TrackFiles, work: Path, benchmark: str) -> None:
        self._files, self._work, self._benchmark = files, work, benchmark

    def __call__(self, video: Video, linked: Linked) -> dict[Key, Counts]:
        stem = self._files.stem(video.name)
        first = self._files.index.root / self._files.image_paths(video.name)[0]
        wanted = set(video.frames.tolist())
        rows = [cells(text) for _, text in lines(first.parent.parent / "gt" / "gt.txt")]
        # A box without area is nobody's: it is not evaluated.
        flat = [min(float(row[4]), float(row[5])) <= 0 for row in rows]
        kept = [
            ",".join(row)
            for row, empty in zip(rows, flat, strict=True)
            if int(float(row[0])) in wanted and not empty
        ]
        write_text(
            "".join(f"{line}\n" for line in kept), self._work / "gt" / stem / "gt" / "gt.txt"
        )
        for key, tracks in linked.items():
            path = self._work / "trackers" / _tracker(key) / "data" / f"{stem}.txt"
            write_text(self._files.mot(video, tracks), path)
        config = {
            "GT_FOLDER": str(self._work / "gt"),
            "TRACKERS_FOLDER": str(self._work / "trackers"),
            "TRACKERS_TO_EVAL": [_tracker(key) for key in linked],
            "BENCHMARK": self._benchmark,
            "SEQ_INFO": {stem: int(video.frames[-1])},
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
        }
        return _score(lambda: MotChallenge2DBox(config), stem, linked)


class _Bdd:
    def __init__(self, files: TrackFiles, work: Path) -> None:
        self._files, self._work = files, work

    def __call__(self, video: Video, linked: Linked) -> dict[Key, Counts]:
        stem = self._files.stem(video.name)
        folder = self._work / stem
        write_text(json.dumps(self._truth(video)), folder / "gt" / f"{stem}.json")
        for key, tracks in linked.items():
            path = folder / "trackers" / _tracker(key) / "data" / f"{stem}.json"
            write_text(self._files.bdd(video, tracks), path)
        config = {
            "GT_FOLDER": str(folder / "gt"),
            "TRACKERS_FOLDER": str(folder / "trackers"),
            "TRACKERS_TO_EVAL": [_tracker(key) for key in linked],
            "PRINT_CONFIG": False,
        }
        return _score(lambda: BDD100K(config), stem, linked)

    def _truth(self, video: Video) -> list[dict[str, Any]]:
        """The official labels of the query's frames, in the only format that TrackEval reads."""
        image = Path(self._files.image_paths(video.name)[0])
        split, here = image.parent.parent.name, self._files.index.root / image.parents[4]
        folder = folder_of(self._files.index.root, here, split)
        assert folder is not None, "the index was built from it"
        wanted = set(video.frames.tolist())
        numbers: dict[str, int] = {}  # ids may be any text
        out = []
        for frame in records(folder / f"{image.parent.name}.json"):
            index = int(frame["frameIndex"] if "frameIndex" in frame else frame["index"])
            if index not in wanted:
                continue
            labels = [
                {
                    "id": numbers.setdefault(str(label["id"]), len(numbers)),
                    "category": ALIASES.get(label["category"], label["category"]),
                    "box2d": label["box2d"],
                    "attributes": {"Crowd": is_crowd(label)},
                }
                for label in frame.get("labels") or []
                if has_box(label)
            ]
            out.append({"name": frame["name"], "index": index, "labels": labels})
        return out
