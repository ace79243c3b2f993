"""Few-shot choice: the order of a hash, the same for ever."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import pytest

from patchlens.datasets.index import Index
from patchlens.datasets.support import choose, hash_order, query_images
from patchlens.errors import SettingsError
from patchlens.settings.datasets import Query

SIX = [f"img{i}" for i in range(6)]
# `printf "0|img3" | sha256sum` begins with 32ab66dd47, and so on: sorted by hand.
ORDER = {
    0: ["img4", "img3", "img0", "img1", "img2", "img5"],
    1: ["img4", "img3", "img2", "img5", "img0", "img1"],
}
Chosen = Callable[[Index, int], list[str]]


@pytest.mark.parametrize("seed", ORDER)
def test_order_is_what_sha256_says(seed: int) -> None:
    assert hash_order(SIX, seed) == ORDER[seed]
    assert hash_order(reversed(SIX), seed) == ORDER[seed]


def test_fewer_shots_are_a_subset_of_more() -> None:
    three, five = (choose({"all": SIX}, n, 0) for n in (3, 5))
    assert list(three["image_id"]) == ORDER[0][:3]
    assert list(five["image_id"]) == ORDER[0][:5]
    assert list(five["rank"]) == [0, 1, 2, 3, 4]


def test_all_of_each_pool() -> None:
    found = choose({"aachen": SIX[:2], "bonn": SIX[2:]}, "all", 0)
    assert found.groupby("pool").size().to_dict() == {"aachen": 2, "bonn": 4}


def test_a_pool_that_is_too_small_is_named() -> None:
    with pytest.raises(ValueError, match=r"^3 images requested, but 'bonn' has 2$"):
        choose({"aachen": SIX, "bonn": SIX[:2]}, 3, 0)


def test_index_answers_with_the_first_shots_of_a_seed(
    plain: Any, indexed: Callable[..., Index]
) -> None:
    rows = [(i, "support", None, None, 0) for i in SIX] + [("q", "query", None, None, 1)]
    index = indexed(*plain(rows), {"images": 4, "seeds": [1, 0]})
    assert index.seeds == [1, 0]
    for seed in (0, 1):
        for shots in (1, 2, 4):
            assert index.support_ids(seed, shots) == ORDER[seed][:shots]
    assert list(index.query["image_id"]) == ["q"]


def test_shots_of_each_group(plain: Any, indexed: Callable[..., Index], chosen: Chosen) -> None:
    rows = [(i, "support", "bonn" if i in ORDER[0][::2] else "aachen", None, 0) for i in SIX]
    index = indexed(*plain([*rows, ("q", "query", None, None, 1)]), {"images": 2, "per": "group"})
    # aachen: every second of the order from the second on; bonn: from the first on.
    assert chosen(index, 0) == ["img3", "img1", "img4", "img0"]
    assert list(index.support.query("seed == 0")["pool"]) == ["aachen", "aachen", "bonn", "bonn"]
    assert index.support_ids(0, 1) == ["img3", "img4"]


def test_shots_of_each_class_need_the_class_in_the_mask(
    plain: Any, indexed: Callable[..., Index], chosen: Chosen
) -> None:
    rows = [(i, "support", None, None, int(i in ("img5", "img1"))) for i in SIX]
    index = indexed(*plain([*rows, ("q", "query", None, None, 1)]), {"images": 2, "per": "class"})
    assert chosen(index, 0) == ["img4", "img3", "img1", "img5"]
    assert list(index.support.query("seed == 0")["pool"]) == ["road", "road", "car", "car"]


def test_an_image_of_two_classes_is_used_once(own: Any, indexed: Callable[..., Index]) -> None:
    from patchlens.datasets import readers

    read = partial(readers.read, "folder")

    # a and b hold both classes, c holds road only: 2 of each class are at most 3 images.
    index = indexed(read(own), own, {"images": 2, "per": "class"})
    ids = index.support_ids(0, 2)
    assert len(index.support) == 2 * 4  # two seeds
    assert len(ids) == len(set(ids))
    assert {"a", "b"} <= set(ids) <= {"a", "b", "c"}


@pytest.mark.parametrize("per", ["support", "query"])
def test_an_image_without_a_group_is_not_dropped(
    plain: Any, indexed: Callable[..., Index], per: str
) -> None:
    rows = [(i, s, f"{s}{n}" if n else None, None, 0) for s in ("support", "query")
            for n, i in enumerate([f"{s}0", f"{s}1"])]  # fmt: skip
    by_group = {"images": 1, "per": "group"}
    with pytest.raises(
        SettingsError, match=rf"own\.{per}\.per: split '{per}' has images without a"
    ):
        indexed(*plain(rows), **({"support": by_group} if per == "support" else by_group))


@pytest.mark.parametrize(
    ("support", "message"),
    [
        ({"images": 7}, "support.images: 7 images requested, but 'all' has 6"),
        ({"images": 1, "per": "class"}, "support.images: 1 images requested, but 'car' has 0"),
        (
            {"images": 1, "per": "group"},
            "support.per: split 'support' has images without a group; use total",
        ),
    ],
)
def test_too_few_images_is_a_mistake_of_the_settings(
    plain: Any, indexed: Callable[..., Index], support: dict[str, Any], message: str
) -> None:
    rows = [(i, "support", None, None, 0) for i in SIX] + [("q", "query", None, None, 1)]
    with pytest.raises(SettingsError) as caught:
        indexed(*plain(rows), support)
    assert str(caught.value) == f"params.yaml: datasets.own.{message}"


def test_whole_sequences_are_kept_in_hash_order() -> None:
    rows = [(f"{s}{f}", "val", s, None, None) for s in "abcd" for f in range(3)]
    columns = ["image_id", "split", "sequence", "group", "mask"]
    images = pd.DataFrame(rows, columns=columns)
    settings = {"split": "val", "images": "all", "per": "total", "unit": "sequence"}
    query = Query.model_validate(settings | {"sequences": 2})
    found = query_images("d", images, query, None)
    assert sorted(found["unit"].unique()) == sorted(hash_order("abcd", 0)[:2])
    assert found["unit"].value_counts().tolist() == [3, 3]
    with pytest.raises(
        SettingsError, match=r"query\.sequences: 5 requested, but split 'val' has 4"
    ):
        query_images("d", images, query.model_copy(update={"sequences": 5}), None)
