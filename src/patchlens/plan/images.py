"""How many images of a dataset will be extracted: from its index, else from published counts."""

from dataclasses import dataclass
from pathlib import Path

from patchlens import paths
from patchlens.datasets.card import Card
from patchlens.datasets.index import Index
from patchlens.datasets.kinds import CARDS
from patchlens.settings.datasets import Dataset, Minicity, Query, Support


@dataclass(frozen=True)
class Images:
    """Selected images of a dataset; None where nothing that is known says how many.

    Attributes:
        support: of all seeds together; at most, where it does not come from the index.
        query: scored images.
        pools: groups or classes of which `support.images` are drawn each; 1 for `per: total`.
        classes: number of classes.
        size: height and width in pixels, where all images have the same.
        source: index, or published counts, or what is missing.
    """

    support: int | None
    query: int | None
    pools: int | None
    classes: int | None
    size: tuple[int, int] | None
    source: str

    @property
    def total(self) -> int | None:
        """Images that are extracted."""
        if self.support is None or self.query is None:
            return None
        return self.support + self.query

    def bank(self, shots: int) -> int | None:
        """Support images of one seed at that many shots, at most."""
        return None if self.pools is None else shots * self.pools


def count(name: str, dataset: Dataset) -> Images:
    """The selected images of a dataset, as far as its index or its source says."""
    card = CARDS[dataset.kind]
    if dataset.support is None or dataset.query is None:
        return Images(None, None, None, None, card.pixels, "no support and query are chosen")
    found = _indexed(name, dataset.support, dataset.query)
    return found or _published(card, dataset, dataset.support, dataset.query)


def _indexed(name: str, support: Support, query: Query) -> Images | None:
    """From the index, if there is one and it was made with these settings."""
    folder = paths.index(name)
    if not (folder / "support.parquet").is_file():
        return None
    index = Index(folder, Path())
    chosen, scored = index.support, index.query
    drawn_otherwise = index.seeds != support.seeds or chosen["rank"].max() + 1 != support.images
    splits = set(index.images.loc[chosen["image_id"], "split"])
    counted = query.images == "all" or query.per == "group" or query.images == len(scored)
    if drawn_otherwise or not splits <= set(support.split.split("+")) or not counted:
        return None
    sizes = {
        (int(h), int(w)) for h, w in index.images[["height", "width"]].drop_duplicates().values
    }
    return Images(
        support=int(chosen["image_id"].nunique()),
        query=len(scored),
        pools=int(chosen["pool"].nunique()),
        classes=len(index.classes),
        size=sizes.pop() if len(sizes) == 1 else None,
        source="index",
    )


def _published(card: Card, dataset: Dataset, support: Support, query: Query) -> Images:
    """From the counts that the dataset's source publishes: at most so many images."""
    size = card.pixels
    if isinstance(dataset, Minicity):
        available = {"support": dataset.stills, "query": dataset.stills}
        pool, scored = available.get(support.split), available.get(query.split)
    else:
        pool, scored = _of(card, support.split, "images"), _of(card, query.split, "images")
    pools = {"total": 1, "group": _of(card, support.split, "groups")}.get(support.per)
    if support.per == "class":
        pools = len(card.classes) or None
    drawn = None
    if pools is not None:
        drawn = support.images * pools * len(support.seeds)
        drawn = drawn if pool is None else min(drawn, pool)
    if query.images != "all":
        groups = 1 if query.per == "total" else _of(card, query.split, "groups")
        scored = None if groups is None else query.images * groups
    known = drawn is not None and scored is not None
    source = "published counts" if known else "unknown: run `dvc repro index` first"
    return Images(drawn, scored, pools, len(card.classes) or None, size, source)


def _of(card: Card, split: str, what: str) -> int | None:
    """The published number of a split, or of several joined by +."""
    numbers = [card.counts.get(part, {}).get(what) for part in split.split("+")]
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
