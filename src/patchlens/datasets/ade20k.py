"""ADE20K as SceneParse150: scenes with 150 classes of things and stuff.

Layout and encoding: github.com/CSAILVision/sceneparsing (README.md), class names from its
objectInfo150.txt (the first of several); dataset: Zhou et al., CVPR 2017.
"""

from pathlib import Path

from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import IGNORE, Layout
from patchlens.datasets.reading import paired_splits

SPLITS = ("training", "validation")


def read(root: Path, facts: Entry) -> Layout:
    """Read the splits whose images exist; errors as in `paired_splits`."""
    images = paired_splits(root, facts.how, SPLITS, "images", "annotations")
    labels = {0: IGNORE} | {i + 1: i for i in range(len(facts.classes))}
    return Layout(tuple(facts.classes), labels, images)
