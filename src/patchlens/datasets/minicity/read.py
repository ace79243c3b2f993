"""minicity as the render stage wrote it: `images/`, `semantic/`, `instance/`, `instances.csv`."""

import csv
from pathlib import Path

from patchlens.datasets.card import Card
from patchlens.datasets.layout import ImageEntry, Layout
from patchlens.datasets.minicity.spec import CLASSES, PALETTE, SPLITS
from patchlens.datasets.sources.all import SOURCES
from patchlens.errors import SourceError

CARD = Card(
    **vars(SOURCES["minicity"]),
    tasks=("segmentation", "identification", "retrieval", "tracking"),
    layout="""\
images/{support,query}/s<scene>.png, images/{video_train,video_test}/v<scene>_<frame>.png
semantic/<split>/<same name>.png
instance/<split>/<same name>.png
instances.csv                              # instance, class_id, fine_class""",
    counts={
        split: {"images": about.count * about.frames, "masks": about.count * about.frames}
        for split, about in SPLITS.items()
    },
    classes=CLASSES,
    encoding=(
        "128×256; every pixel of `semantic` is a class, nothing is ignored.",
        "A value of `instance` is one thing in the whole dataset; 0 is none.",
        "Scenes of query and video_test draw from the test half of the cast.",
    ),
)


def read(root: Path) -> Layout:
    """List the rendered frames; videos are sequences, each still stands for itself.

    Raises:
        SourceError: nothing was rendered at `root`.
    """
    table = root / "instances.csv"
    if not table.is_file():
        raise SourceError(f"{root}: minicity is not rendered; run `dvc repro render`")
    with table.open(encoding="utf-8", newline="") as stream:
        instances = {
            int(row["instance"]): (int(row["class_id"]), row["fine_class"])
            for row in csv.DictReader(stream)
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
    return Layout(CLASSES, {i: i for i in range(len(CLASSES))}, images, PALETTE, instances)
