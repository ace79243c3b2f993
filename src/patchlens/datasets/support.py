"""Chooses few-shot images by the order of a hash, without random numbers of any library.

The choice is the same on every machine at any time. `split: a+b` chooses from both splits.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import pandas as pd

from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.datasets import Query, Support


def hash_order(ids: Iterable[str], seed: int) -> list[str]:
    """`ids` in the order of sha256("seed|image id")."""
    return sorted(ids, key=lambda i: hashlib.sha256(f"{seed}|{i}".encode()).hexdigest())


def first(sequences: Iterable[str], count: int) -> set[str]:
    """The first sequences in hash order."""
    return set(hash_order(sequences, 0)[:count])


def choose(pools: dict[str, list[str]], images: Literal["all"] | int, seed: int) -> pd.DataFrame:
    """The first `images` of each pool in hash order, or all.

    Args:
        pools: name of the pool (all, a group, a class) -> the image ids in it.
        images: the number per pool, or all.
        seed: the support seed.

    Returns:
        Columns seed, pool, rank (0-based, within the pool), image_id. The first n shots are the
        rows with rank < n, so that few shots are a subset of more shots.

    Raises:
        ValueError: a pool is smaller than `images`; the message names it.
    """
    rows = []
    for pool, ids in pools.items():
        count = len(ids) if images == "all" else images
        if len(ids) < count:
            raise ValueError(f"{count} images requested, but '{pool}' has {len(ids)}")
        chosen = hash_order(ids, seed)[:count]
        rows += [(seed, pool, rank, image_id) for rank, image_id in enumerate(chosen)]
    return pd.DataFrame(rows, columns=["seed", "pool", "rank", "image_id"])


def support_images(
    name: str,
    images: pd.DataFrame,
    classes: Sequence[str],
    present: dict[str, list[int]],
    support: Support,
    alike: Iterable[tuple[str, str]] = (),
) -> pd.DataFrame:
    """The support images of every seed, as `choose` gives them.

    With `support.folds`, the seed is the number of a support set, one for each fold of each seed
    of the settings, which then is in a further column, repetition.

    Args:
        name: the dataset, for messages.
        images: columns image_id, split, group, mask of the whole dataset.
        classes: class names.
        present: image id -> the ids of the classes in its mask.
        support: the settings.
        alike: pairs of images that folds keep together.

    Raises:
        SettingsError: a split does not exist, masks or groups are missing, or images are too few.
    """
    by_class = support.per == "class"
    if support.folds is not None:
        rows = _of_split(name, images, support, "support")
        sequences = {
            str(i): str(s)
            for i, s in zip(rows["image_id"], rows["sequence"], strict=True)
            if not pd.isna(s)
        }
        units = together(rows["image_id"], sequences, alike)
        if len(set(units.values())) < 2:
            raise SettingsError(
                f"params.yaml: datasets.{name}.support.folds: split '{support.split}' has fewer "
                "than two images that do not belong together; add images"
            )
        return in_folds(units, support.folds, support.seeds)
    pool = _of_split(name, images, support, "support", labelled=by_class)
    if support.per == "total":
        pools = {"all": list(pool["image_id"])}
    elif support.per == "group":
        _check_groups(name, pool, "support", support.split)
        pools = {str(g): list(rows["image_id"]) for g, rows in pool.groupby("group")}
    else:
        pools = {
            label: [i for i in pool["image_id"] if c in present[i]]
            for c, label in enumerate(classes)
        }
    try:
        return pd.concat([choose(pools, support.images, seed) for seed in support.seeds])
    except ValueError as error:
        raise SettingsError(f"params.yaml: datasets.{name}.support.images: {error}") from None


def together(
    ids: Iterable[str], sequences: Mapping[str, str], alike: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Each image -> the first image of those that belong together with it.

    These are the frames of a sequence, near-duplicates, and what is linked by several of them.
    """
    unit = {image_id: image_id for image_id in sorted(ids)}
    first: dict[str, str] = {}
    links = [(i, first.setdefault(s, i)) for i, s in sequences.items()] + list(alike)
    for a, b in links:
        if a in unit and b in unit:
            low, high = sorted((unit[a], unit[b]))
            unit = {i: low if of == high else of for i, of in unit.items()}
    return unit


def in_folds(units: Mapping[str, str], folds: int, seeds: Sequence[int]) -> pd.DataFrame:
    """The support sets of all folds: columns seed, pool, rank, image_id, repetition.

    Units are dealt in hash order, each to the fold with the fewest images so far.

    Args:
        units: image id -> what it belongs to; a unit is never split.
        folds: at most; never more than there are units.
        seeds: one repetition each.
    """
    members: dict[str, list[str]] = {}
    for image_id, unit in units.items():
        members.setdefault(unit, []).append(image_id)
    rows, number = [], 0
    for repetition in seeds:
        held: list[set[str]] = [set() for _ in range(min(folds, len(members)))]
        for unit in hash_order(members, repetition):
            min(held, key=len).update(members[unit])
        order = hash_order(units, repetition)
        for out in held:
            kept = [image_id for image_id in order if image_id not in out]
            rows += [(number, "all", r, image_id, repetition) for r, image_id in enumerate(kept)]
            number += 1
    return pd.DataFrame(rows, columns=["seed", "pool", "rank", "image_id", "repetition"])


def query_images(
    name: str, images: pd.DataFrame, query: Query, support: pd.DataFrame | None
) -> pd.DataFrame:
    """The scored images with their bootstrap unit: columns image_id, unit.

    Raises:
        SettingsError: a split does not exist; masks, groups or sequences are missing; images are
            too few; or an image is also in `support`.
    """
    rows = _of_split(name, images, query, "query")
    if query.images != "all":
        if query.per == "group":
            _check_groups(name, rows, "query", query.split)
        groups = rows.groupby("group") if query.per == "group" else [("all", rows)]
        chosen: list[str] = []
        for group, members in groups:
            if len(members) < query.images:
                raise SettingsError(
                    f"params.yaml: datasets.{name}.query.images: {query.images} requested, "
                    f"but '{group}' has {len(members)}"
                )
            chosen += hash_order(members["image_id"], 0)[: query.images]
        rows = rows[rows["image_id"].isin(chosen)]
    folds = support is not None and "repetition" in support
    known = set() if support is None or folds else set(support["image_id"])
    if shared := sorted(known & set(rows["image_id"])):
        raise SettingsError(
            f"params.yaml: datasets.{name}: image '{shared[0]}' is chosen for both support and "
            f"query ({len(shared)} in total); support.split and query.split must not share images"
        )
    unit = rows["image_id"] if query.unit == "image" else rows["sequence"]
    if unit.isna().any():
        raise SettingsError(
            f"params.yaml: datasets.{name}.query.unit: split '{query.split}' has no sequences; "
            "use image"
        )
    return pd.DataFrame({"image_id": rows["image_id"], "unit": unit}).reset_index(drop=True)


def _check_groups(name: str, rows: pd.DataFrame, part: str, split: str) -> None:
    if rows["group"].isna().any():
        raise SettingsError(
            f"params.yaml: datasets.{name}.{part}.per: split '{split}' has images without a group; "
            "use total"
        )


def _of_split(
    name: str,
    images: pd.DataFrame,
    settings: Support | Query,
    part: str,
    *,
    labelled: bool = False,
) -> pd.DataFrame:
    """The images of the split, or only those of its first sequences."""
    wanted = settings.split
    splits = set(images["split"])
    for split in wanted.split("+"):
        if split not in splits:
            raise SettingsError(
                f"params.yaml: datasets.{name}: unknown split '{split}'; {nearest(split, splits)}"
            )
    rows = images[images["split"].isin(wanted.split("+"))]
    # Datasets for T2 to T4 may have no masks at all, and videos a few; others by mistake only.
    bare, videos = rows["mask"].isna(), rows["sequence"].notna().all()
    if bare.any() and (labelled or not (bare.all() or videos)):
        raise SettingsError(
            f"params.yaml: datasets.{name}.{part}.split: '{wanted}' has images without a mask; "
            "choose a split with a mask for each image"
        )
    if settings.sequences is None:
        return rows
    sequences = rows["sequence"].dropna().unique()
    if len(sequences) < settings.sequences:
        raise SettingsError(
            f"params.yaml: datasets.{name}.{part}.sequences: {settings.sequences} requested, "
            f"but split '{wanted}' has {len(sequences)}"
        )
    return rows[rows["sequence"].isin(first(sequences, settings.sequences))]
