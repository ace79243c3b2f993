"""Few-shot choice of images without any library's randomness: the order of a hash."""

import hashlib
from collections.abc import Iterable

import pandas as pd


def hash_order(ids: Iterable[str], seed: int) -> list[str]:
    """`ids` in the order of sha256("seed|image id"): the same on every machine, for ever."""
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
