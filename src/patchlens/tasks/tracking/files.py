"""Linked videos in the formats of MOTChallenge and BDD100K, for external evaluation tools.

MOT: motchallenge.net/instructions. BDD100K: TrackEval's docs/BDD100k-format.txt.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from patchlens.arrays import Ints
from patchlens.datasets.index import Index
from patchlens.files import write_text
from patchlens.tasks.tracking.videos import Video

MOT = "mot"  # the reader of MOTChallenge's layout


@dataclass(frozen=True)
class TrackFiles:
    """How the videos of a dataset are named and numbered in result files.

    Attributes:
        index: the dataset.
        kind: its kind.
        sequences: sequence -> its images in frame order.
    """

    index: Index
    kind: str
    sequences: dict[str, list[str]]

    @property
    def shift(self) -> int:
        """The offset added to frame numbers in a MOT file, whose frames are 1-based."""
        return 0 if self.index.reader == MOT else 1

    def image_paths(self, sequence: str) -> list[str]:
        """The images of a sequence, relative to the dataset's root."""
        return [str(p) for p in self.index.images.loc[self.sequences[sequence], "path"]]

    def stem(self, sequence: str) -> str:
        """The file name of a sequence; for MOTChallenge, the name of its official folder."""
        if self.index.reader == MOT:
            return Path(self.image_paths(sequence)[0]).parent.parent.name
        return sequence.replace("/", "_")

    def write(self, video: Video, tracks: Ints, folder: Path) -> None:
        """Write `mot/<sequence>.txt` and `bdd100k/<sequence>.json` in `folder`."""
        stem = self.stem(video.name)
        write_text(self.mot(video, tracks), folder / "mot" / f"{stem}.txt")
        write_text(self.bdd(video, tracks), folder / "bdd100k" / f"{stem}.json")

    def mot(self, video: Video, tracks: Ints) -> str:
        """One line per box, without classes; pixels and frames are 1-based.

        Args:
            video: the objects [O].
            tracks: the track of each [O].
        """
        lines = [
            f"{frame + self.shift},{track},{x0 + 1:.2f},{y0 + 1:.2f},{x1 - x0:.2f},{y1 - y0:.2f},"
            "1,-1,-1,-1\n"
            for frame, track, (x0, y0, x1, y1) in zip(video.frame, tracks, video.boxes, strict=True)
        ]
        return "".join(lines)

    def bdd(self, video: Video, tracks: Ints) -> str:
        """A list of all frames, with or without objects; x2 and y2 are inside the box.

        Args:
            video: the objects [O].
            tracks: the track of each [O].
        """
        frames = []
        names = [Path(path).name for path in self.image_paths(video.name)]
        for name, (number, here) in zip(names, video.by_frame(), strict=True):
            labels = [
                {
                    "id": str(tracks[o]),
                    "category": self.index.classes[video.class_id[o]],
                    "box2d": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
                }
                for o in here
                for box in [[round(float(v), 2) for v in video.boxes[o] - (0, 0, 1, 1)]]
            ]
            about = {"name": name, "videoName": video.name, "frameIndex": number, "index": number}
            frames.append(about | {"labels": labels})
        return json.dumps(frames, separators=(",", ":")) + "\n"
