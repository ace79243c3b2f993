"""The number of extracted images of a dataset, from its index or from published counts."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from patchlens import paths
from patchlens.datasets.catalogue import Entry, find
from patchlens.datasets.index import Index
from patchlens.datasets.minicity import SPLITS
from patchlens.datasets.support import query_images, support_images
from patchlens.errors import SettingsError
from patchlens.names import DatasetName
from patchlens.plan import folders
from patchlens.settings.base import MOST
from patchlens.settings.datasets import Dataset, Minicity, Query, Support


@dataclass(frozen=True)
class Images:
    """Selected images of a dataset; None if their number is unknown.

    Attributes:
        support: of all seeds together; an upper bound unless it comes from the index.
        query: scored images.
        pools: groups or classes from each of which `support.images` are drawn; 1 for `per: total`.
        classes: number of classes.
        size: height and width in pixels, if all images have the same.
        source: index, published counts, or what is missing.
    """

    support: int | None
    query: int | None
    pools: int | None
    classes: int | None
    size: tuple[int, int] | None
    source: str

    @property
    def total(self) -> int | None:
        """The number of extracted images."""
        if self.support is None or self.query is None:
            return None
        return self.support + self.query

    def bank(self, shots: int) -> int | None:
        """The largest number of support images of one seed with so many shots."""
        return None if self.pools is None else shots * self.pools


def count(name: DatasetName, dataset: Dataset) -> Images:
    """The selected images of a dataset, as far as its index or its source tells."""
    facts = find(dataset.kind)
    if dataset.query is None:
        return Images(None, None, None, None, facts.pixels, "no query is configured")
    found = _indexed(name, dataset.support, dataset.query)
    return found or _published(
        folders.facts(dataset, facts), dataset, dataset.support, dataset.query
    )


def _indexed(name: DatasetName, support: Support | None, query: Query) -> Images | None:
    """Counts from the index, if it exists and was made with these settings."""
    folder = paths.index(name)
    if not (folder / "query.parquet").is_file():
        return None
    index = Index(folder, Path())
    if index.has_support != (support is not None):
        return None
    chosen, scored = index.support if support else None, index.query
    images = index.images.reset_index()
    as_chosen = True
    try:
        wanted = query_images(name, images, query, chosen)
        if support is None or chosen is None:
            pass
        elif support.folds is not None:  # what belongs together is known to the index only
            as_chosen = set(index.repetitions.values()) == set(support.seeds)
            as_chosen &= set(index.support_ids(index.seeds[0], MOST)) < set(scored["image_id"])
        elif support.per != "class":
            drawn = support_images(name, images, index.classes, {}, support)
            as_chosen = _rows(drawn) == _rows(chosen)
        else:  # the index does not say which classes an image has: compare the choice itself
            splits = set(index.images.loc[chosen["image_id"], "split"])
            as_chosen = splits == set(support.split.split("+"))
            as_chosen &= set(chosen["pool"]) == set(index.classes)
            as_chosen &= index.seeds == support.seeds
            as_chosen &= bool(chosen["rank"].max() + 1 == support.images)
    except SettingsError:
        return None
    if not as_chosen or _rows(wanted) != _rows(scored):
        return None
    sizes = {
        (int(h), int(w)) for h, w in index.images[["height", "width"]].drop_duplicates().values
    }
    return Images(
        support=0 if chosen is None else int(chosen["image_id"].nunique()),
        query=len(scored),
        pools=0 if chosen is None else int(chosen["pool"].nunique()),
        classes=len(index.classes),
        size=sizes.pop() if len(sizes) == 1 else None,
        source="index",
    )


def _rows(table: pd.DataFrame) -> list[list[object]]:
    return [list(row) for row in table.itertuples(index=False)]


def _published(facts: Entry, dataset: Dataset, support: Support | None, query: Query) -> Images:
    """Upper bounds from the counts that the source of the dataset publishes."""
    size = facts.pixels
    scored = _available(facts, dataset, query)
    pools, drawn = _drawn(facts, dataset, support)
    if query.images != "all":
        groups = 1 if query.per == "total" else _of(facts, query.split, "groups")
        scored = None if groups is None else int(query.images) * groups
    known = drawn is not None and scored is not None
    source = "published counts" if known else "unknown: run `dvc repro index` first"
    if known and any(part is not None and part.sequences for part in (support, query)):
        source = f"about {facts.frames} frames per sequence"
    return Images(drawn, scored, pools, len(facts.classes) or None, size, source)


def _available(facts: Entry, dataset: Dataset, part: Support | Query) -> int | None:
    """The images of a split, or about those of some of its sequences; None if unknown."""
    if part.sequences is not None:
        return part.sequences * facts.frames if facts.frames else None
    if not isinstance(dataset, Minicity):
        return _of(facts, part.split, "images")
    split = SPLITS.get(part.split)
    if split is None:
        return None
    return dataset.stills if split.frames == 1 else dataset.videos * split.frames


def _drawn(
    facts: Entry, dataset: Dataset, support: Support | None
) -> tuple[int | None, int | None]:
    """Pools of the support, and the largest number of its images over all seeds."""
    if support is None:
        return 0, 0
    pools = {"total": 1, "group": _of(facts, support.split, "groups")}.get(support.per)
    if support.per == "class":
        pools = len(facts.classes) or None
    available = _available(facts, dataset, support)
    if support.folds is not None:
        return 1, 0  # its images are those of the query
    if support.images == "all" or pools is None:
        return pools, available if support.images == "all" else None
    drawn = support.images * pools * len(support.seeds)
    return pools, drawn if available is None else min(drawn, available)


def _of(facts: Entry, split: str, what: str) -> int | None:
    """The published number of a split, or of several joined by +."""
    numbers = [facts.counts.get(part, {}).get(what) for part in split.split("+")]
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
