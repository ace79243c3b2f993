"""The card of a dataset: what its page in docs/datasets, `patchlens datasets` and fetch need."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from patchlens.datasets.source import Source


@dataclass(frozen=True, kw_only=True)
class Card(Source):
    """Facts about a dataset, beside where it comes from.

    They are from its official source, or from the public loaders and papers that the docstring of
    its module names where the source does not say.

    Attributes:
        tasks: which of segmentation, identification, retrieval, tracking, davis it serves.
        layout: the official folder tree below `root`, as text.
        counts: split -> what (images, masks, objects, instances, groups) -> published number.
        pixels: height and width, where all images have the same.
        classes: names of the classes, in the order of their ids; empty where files name them.
        encoding: what the values of its files mean, and their traps, one sentence each.
    """

    tasks: tuple[str, ...]
    layout: str
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    pixels: tuple[int, int] | None = None
    classes: tuple[str, ...] = ()
    encoding: tuple[str, ...] = ()
