"""Few-shot choice of images without any library's randomness: the order of a hash.

The same choice on every machine, for ever; `split: a+b` in the settings chooses from both.
"""

import hashlib
from collections.abc import Iterable, Sequence

import pandas as pd

from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.datasets import Query, Support


def hash_order(ids: Iterable[str], seed: int) -> list[str]:
    """`ids` in the order of sha256("seed|image id")."""
    return sorted(ids, key=lambda i: hashlib.sha256(f"{seed}|{i}".encode()).hexdigest())


def choose(pools: dict[str, list[str]], images: int, seed: int) -> pd.DataFrame:
    """The first `images` of each pool in hash order.

    Args:
        pools: name of the pool (all, a group, a class) -> the image ids in it.
        images: how many of each pool.
        seed: the support seed.

    Returns:
        Columns seed, pool, rank (0-based, within the pool), image_id. The first n shots are the
        rows with rank < n, so that fewer shots are a subset of more.

    Raises:
        ValueError: a pool is smaller than `images`; the message names it.
    """
    rows = []
    for pool, ids in pools.items():
        if len(ids) < images:
            raise ValueError(f"{images} images asked for, {len(ids)} in '{pool}'")
        chosen = hash_order(ids, seed)[:images]
        rows += [(seed, pool, rank, image_id) for rank, image_id in enumerate(chosen)]
    return pd.DataFrame(rows, columns=["seed", "pool", "rank", "image_id"])


def support_images(
    name: str,
    images: pd.DataFrame,
    classes: Sequence[str],
    present: dict[str, list[int]],
    support: Support,
) -> pd.DataFrame:
    """The support images of every seed, as `choose` gives them.

    Args:
        name: the dataset, for messages.
        images: columns image_id, split, group, mask of the whole dataset.
        classes: class names.
        present: image id -> the ids of the classes in its mask.
        support: the settings.

    Raises:
        SettingsError: no such split, no mask, no groups, or too few images.
    """
    pool = _of_split(name, images, support.split, "support")
    if support.per == "total":
        pools = {"all": list(pool["image_id"])}
    elif support.per == "group":
        pools = {str(g): list(rows["image_id"]) for g, rows in pool.groupby("group")}
    else:
        pools = {
            label: [i for i in pool["image_id"] if c in present[i]]
            for c, label in enumerate(classes)
        }
    if not pools:
        raise SettingsError(
            f"params.yaml: datasets.{name}.support.per: split '{support.split}' has no groups"
        )
    try:
        return pd.concat([choose(pools, support.images, seed) for seed in support.seeds])
    except ValueError as error:
        raise SettingsError(f"params.yaml: datasets.{name}.support.images: {error}") from None


def query_images(
    name: str, images: pd.DataFrame, query: Query, support: pd.DataFrame
) -> pd.DataFrame:
    """The scored images with their bootstrap unit: columns image_id, unit.

    Raises:
        SettingsError: no such split, no mask, no groups or sequences, too few images, or an image
            that `support` holds too.
    """
    rows = _of_split(name, images, query.split, "query")
    if query.images != "all":
        if query.per == "group" and rows["group"].isna().any():
            raise SettingsError(
                f"params.yaml: datasets.{name}.query.per: split '{query.split}' has no groups; "
                "use total"
            )
        groups = rows.groupby("group") if query.per == "group" else [("all", rows)]
        chosen: list[str] = []
        for group, members in groups:
            if len(members) < query.images:
                raise SettingsError(
                    f"params.yaml: datasets.{name}.query.images: {query.images} asked for, "
                    f"{len(members)} in '{group}'"
                )
            chosen += hash_order(members["image_id"], 0)[: query.images]
        rows = rows[rows["image_id"].isin(chosen)]
    if shared := sorted(set(support["image_id"]) & set(rows["image_id"])):
        raise SettingsError(
            f"params.yaml: datasets.{name}: image '{shared[0]}' is chosen for support and for "
            f"query ({len(shared)} are); support.split and query.split must not share images"
        )
    unit = rows["image_id"] if query.unit == "image" else rows["sequence"]
    if unit.isna().any():
        raise SettingsError(
            f"params.yaml: datasets.{name}.query.unit: split '{query.split}' has no sequences; "
            "use image"
        )
    return pd.DataFrame({"image_id": rows["image_id"], "unit": unit}).reset_index(drop=True)


def _of_split(name: str, images: pd.DataFrame, wanted: str, part: str) -> pd.DataFrame:
    splits = set(images["split"])
    for split in wanted.split("+"):
        if split not in splits:
            raise SettingsError(
                f"params.yaml: datasets.{name}: unknown split '{split}'; {nearest(split, splits)}"
            )
    rows = images[images["split"].isin(wanted.split("+"))]
    if rows["mask"].isna().any():
        raise SettingsError(
            f"params.yaml: datasets.{name}.{part}.split: '{wanted}' has images without a mask; "
            "labels of that split are not there"
        )
    return rows
