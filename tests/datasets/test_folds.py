"""Folds: every labelled image is a query once a repetition, and what belongs together stays so."""

from collections import Counter

import pandas as pd
import pytest

from patchlens.datasets.support import in_folds, query_images, support_images, together
from patchlens.errors import SettingsError
from patchlens.settings.datasets import Query, Support

IDS = [f"i{n:02d}" for n in range(12)]


def support(folds: int, seeds: list[int] | None = None) -> Support:
    return Support(split="s", images="all", per="total", seeds=seeds or [0], folds=folds)


def table(sequences: dict[str, str] | None = None) -> pd.DataFrame:
    of = sequences or {}
    rows = [(i, "s", of.get(i), "m.png") for i in IDS]
    return pd.DataFrame(rows, columns=["image_id", "split", "sequence", "mask"])


def held_out(sets: pd.DataFrame) -> list[set[str]]:
    return [set(IDS) - set(rows["image_id"]) for _, rows in sets.groupby("seed")]


@pytest.mark.parametrize("folds", [2, 5, 12, 40])
def test_each_image_is_held_out_once_a_repetition(folds: int) -> None:
    sets = support_images("d", table(), ["a"], {}, support(folds, [3, 4]))
    for repetition, of in sets.groupby("repetition"):
        parts = held_out(of)
        assert len(parts) == min(folds, 12), repetition
        assert Counter(i for part in parts for i in part) == Counter(IDS)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert list(sets["seed"].unique()) == list(range(2 * min(folds, 12)))


def test_twelve_masks_give_twelve_query_units() -> None:
    sets = support_images("d", table(), ["a"], {}, support(5))
    query = Query(split="s", images="all", per="total", unit="image")
    assert list(query_images("d", table(), query, sets)["unit"]) == IDS


@pytest.mark.parametrize("seed", range(5))
def test_near_duplicates_and_frames_stay_in_one_fold(seed: int) -> None:
    video = dict.fromkeys(IDS[:3], "walk")
    alike = [("i02", "i07"), ("i07", "i08"), ("i10", "i11")]
    sets = support_images("d", table(video), ["a"], {}, support(4, [seed]), alike)
    for part in held_out(sets):
        for unit in ({"i00", "i01", "i02", "i07", "i08"}, {"i10", "i11"}):
            assert not part & unit or unit <= part


def test_images_that_all_belong_together_cannot_be_dealt() -> None:
    video = dict.fromkeys(IDS, "walk")
    with pytest.raises(SettingsError, match=r"datasets\.d\.support\.folds.*add images"):
        support_images("d", table(video), ["a"], {}, support(4))


def test_ranks_count_from_0_in_each_set_so_that_fewer_shots_are_a_part() -> None:
    for _, rows in in_folds({i: i for i in IDS}, 4, [0]).groupby("seed"):
        assert list(rows["rank"]) == list(range(9))


def test_links_join_what_others_have_joined() -> None:
    unit = together("abcd", {}, [("c", "d"), ("a", "b"), ("d", "a"), ("x", "a")])
    assert set(unit.values()) == {"a"}


@pytest.mark.parametrize(
    "wrong", [{"images": 4}, {"per": "class"}, {"images": 4, "per": "group"}, {"folds": 1}]
)
def test_folds_take_all_images(wrong: dict[str, object]) -> None:
    given = {"split": "s", "images": "all", "per": "total", "seeds": [0], "folds": 3}
    with pytest.raises(ValueError, match="folds"):
        Support.model_validate(given | wrong)
