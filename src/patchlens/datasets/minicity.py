"""Reads minicity from the render stage: `images/`, `semantic/`, `instance/`, `instances.csv`."""

import csv
import io
from pathlib import Path

from minicity.spec import PALETTE
from minicity.spec import SPLITS as SPLITS  # for `plan`
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout
from patchlens.errors import SourceError
from patchlens.stored import read_text, reading


def read(root: Path, facts: Entry) -> Layout:
    """List the rendered frames; videos are sequences, stills are not.

    Raises:
        SourceError: nothing was rendered at `root`.
    """
    table = root / "instances.csv"
    if not table.is_file():
        raise SourceError(f"{root}: minicity is not rendered; run `dvc repro render`")
    with reading(table):
        rows = csv.DictReader(io.StringIO(read_text(table), newline=""))
        instances = {
            int(row["instance"]): (int(row["class_id"]), row["fine_class"]) for row in rows
        }
    images = []
    for split in SPLITS:
        for path in sorted((root / "images" / split).glob("*.png")):
            sequence, _, frame = path.stem.partition("_")
            images.append(
                ImageEntry(
                    image_id=f"{split}_{path.stem}",
                    split=split,
                    path=f"images/{split}/{path.name}",
                    mask=f"semantic/{split}/{path.name}",
                    instances=f"instance/{split}/{path.name}",
                    sequence=f"{split}_{sequence}" if frame else None,
                    frame=int(frame) if frame else None,
                )
            )
    labels = {i: i for i in range(len(facts.classes))}
    return Layout(tuple(facts.classes), labels, images, PALETTE, instances)
