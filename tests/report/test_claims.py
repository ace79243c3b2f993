from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from patchlens.report.judge import judge
from report.court import UNITS, about, claim, configured, miou, write_cell, write_index

RAW = ("knn", "raw")
B = 1000
UNTRAINED = {"one": ["seed"], "two": ["seed"]}


@pytest.fixture(autouse=True)
def town(here):
    write_index("town", [f"u{i}" for i in range(UNITS)])


def verdict_of(one):
    return judge({"c": one}, configured(), B, 0)["c"]


EQUAL = {"kind": "equivalence", "direction": None, "delta": 0.05}


@pytest.mark.parametrize(
    ("wrong_a", "wrong_b", "changes", "expected"),
    [
        (10, 30, {}, "supported"),
        (30, 10, {}, "contradicted"),
        (20, 20, {}, "undecided"),
        (10, 30, {"delta": 0.5}, "undecided"),  # real, but smaller than what counts
        (30, 10, {"direction": "less"}, "supported"),
        (10, 30, {"direction": "less"}, "contradicted"),
        (20, 20, EQUAL, "supported"),
        (10, 30, EQUAL, "contradicted"),
        (30, 10, EQUAL, "contradicted"),
        (20, 21, EQUAL | {"delta": 0.017}, "undecided"),
    ],
)
def test_verdicts_of_two_sides(wrong_a, wrong_b, changes, expected):
    a, b = about(wrong_a, seed=1), about(wrong_b, seed=2)
    write_cell("town", "one", {RAW: a})
    write_cell("town", "two", {RAW: b})
    outcome = verdict_of(claim(**changes))
    sign = -1 if changes.get("direction") == "less" else 1
    assert outcome.verdict == expected
    assert outcome.effect == pytest.approx(sign * (miou(a) - miou(b)))
    assert outcome.low <= outcome.effect <= outcome.high
    assert outcome.units == UNITS


@pytest.mark.parametrize(
    ("rivals", "expected", "closest"),
    [
        ((40, 30), "supported", "three"),
        ((30, 40), "supported", "two"),
        ((40, 10), "undecided", "three"),
        ((40, 5), "contradicted", "three"),
    ],
)
def test_a_superlative_must_beat_each_rival(rivals, expected, closest):
    scores = {"one": about(10, seed=1), "two": about(rivals[0], seed=2)}
    scores["three"] = about(rivals[1], seed=3)
    for model, wrong in scores.items():
        write_cell("town", model, {RAW: wrong})
    outcome = verdict_of(claim(kind="superlative", b={"models": ["two", "three"]}))
    assert outcome.verdict == expected
    assert outcome.note.endswith(f"; strongest rival: {closest}")
    assert outcome.effect == pytest.approx(miou(scores["one"]) - miou(scores[closest]))


def test_a_difference_compares_means_of_models_where_a_superlative_does_not():
    write_cell("town", "one", {RAW: about(20)})
    write_cell("town", "two", {RAW: about(10)})
    write_cell("town", "three", {RAW: about(60)})
    sides = {"b": {"models": ["two", "three"]}}
    mean = (miou(about(10)) + miou(about(60))) / 2
    outcome = verdict_of(claim(**sides))
    assert outcome.effect == pytest.approx(miou(about(20)) - mean)
    assert outcome.verdict == "supported"
    assert verdict_of(claim(kind="superlative", **sides)).verdict == "contradicted"


@pytest.mark.parametrize(
    ("top", "expected"), [(50, "supported"), (40, "contradicted"), (90, "supported")]
)
def test_an_equivalence_with_chance_needs_keep_top_at_chance(top, expected):
    # Two classes as frequent: blind guesses are wrong in 50 of 100; 40 is better, 90 worse.
    runs = {
        ("linear", "raw"): about(20, seed=1),
        ("linear", "prune"): about(20, seed=2),
        ("linear", "keep_top"): about(top, seed=3),
    }
    write_cell("town", "one", runs)
    changes = {
        "metric": "segmentation.linear.pixel_miou",
        "a": {"models": ["one"], "variant": "prune"},
        "b": {"models": ["one"]},
        "chance": {"variant": "keep_top"},
    }
    outcome = verdict_of(claim(**EQUAL | changes))
    assert outcome.verdict == expected
    above = miou(about(top, seed=3)) - 1 / 3
    assert outcome.above_chance is not None
    assert outcome.above_chance[0] == pytest.approx(above)
    assert "; keep_top minus chance: " in outcome.note
    assert verdict_of(claim(**EQUAL | changes | {"chance": None})).verdict == "supported"


def test_draws_of_the_random_control_are_averaged_within_a_seed():
    draws = np.stack([about(10, seed=1), about(40, seed=2), about(40, seed=3)], axis=1)
    write_cell("town", "one", {RAW: about(20), ("knn", "prune_random"): draws})
    sides = {"a": {"models": ["one"]}, "b": {"models": ["one"], "variant": "prune_random"}}
    control = np.mean([miou(draws[:, d]) for d in range(3)])
    assert verdict_of(claim(**sides)).effect == pytest.approx(miou(about(20)) - control)


def test_several_datasets_weigh_the_same_and_the_smaller_one_counts_the_units():
    write_index("farm", [f"f{i}" for i in range(12)])
    town, farm = about(10), about(30, seed=4, units=12)
    for model, wrong in (("one", 0), ("two", 20)):
        write_cell("town", model, {RAW: town + wrong})
        write_cell("farm", model, {RAW: farm + wrong})
    outcome = verdict_of(claim(datasets=["town", "farm"]))
    effects = [miou(x) - miou(x + 20) for x in (town, farm)]
    assert outcome.effect == pytest.approx(np.mean(effects))
    assert (outcome.units, outcome.verdict) == (12, "supported")


@pytest.mark.parametrize(("units", "expected"), [(9, "undecided"), (10, "supported")])
def test_fewer_than_ten_units_are_never_more_than_undecided(units, expected):
    write_index("town", [f"u{i}" for i in range(units)])
    write_cell("town", "one", {RAW: about(10, units=units)})
    write_cell("town", "two", {RAW: about(60, units=units)})
    outcome = verdict_of(claim())
    assert (outcome.verdict, outcome.units) == (expected, units)
    assert outcome.p_holm < 0.05
    same = verdict_of(claim(**EQUAL, b={"models": ["one", "two"]}))
    assert same.verdict == ("undecided" if units < 10 else "contradicted")


def test_a_unit_is_what_the_index_says_not_an_image():
    write_index("town", [f"sequence{i // 2}" for i in range(UNITS)])
    write_cell("town", "one", {RAW: about(10)})
    write_cell("town", "two", {RAW: about(30)})
    assert verdict_of(claim()).units == UNITS // 2


@pytest.mark.parametrize(
    ("group", "dataset"), [("minicity", "minicity"), ("paper", "voc2012"), ("open", "voc2012")]
)
def test_own_claims_are_a_family_of_their_own_for_holm(group, dataset):
    for seed, model in enumerate(("one", "two", "three")):
        write_cell("town", model, {RAW: about(20 + seed // 2, noise=15, seed=seed)})
    claims = {
        "m1": claim(group=group, datasets=[dataset], slots=UNTRAINED),
        "own1": claim(),
        "own2": claim(b={"models": ["three"]}),
        "own3": claim(b={"models": ["nobody"]}),
    }
    write_index(dataset, [f"u{i}" for i in range(UNITS)])
    write_cell(dataset, "one", {RAW: about(10)})
    write_cell(dataset, "two", {RAW: about(30)})
    run = configured(
        tasks={"segmentation": ["town", dataset]},
        kinds={"town": "folder", dataset: dataset},
    )
    outcomes = judge(claims, run, B, 0)
    assert outcomes["m1"].p_holm == outcomes["m1"].p
    own = sorted([outcomes["own1"], outcomes["own2"]], key=lambda o: o.p)
    assert own[0].p_holm == pytest.approx(min(1, 2 * own[0].p))  # own3 was not run: not counted
    assert outcomes["own3"].verdict == "not run"


def test_a_claim_on_open_data_changes_no_p_of_the_paper():
    write_index("voc2012", [f"u{i}" for i in range(UNITS)])
    write_cell("voc2012", "one", {RAW: about(10)})
    write_cell("voc2012", "two", {RAW: about(30)})
    same = claim(group="paper", datasets=["voc2012"], slots=UNTRAINED)
    run = configured(tasks={"segmentation": ["voc2012"]}, kinds={"voc2012": "voc2012"})
    claims = {"c": same, "o": same.model_copy(update={"group": "open"})}
    one, other = judge(claims, run, B, 0).values()
    assert one.p_holm == one.p == other.p_holm < 1


def test_the_verdict_uses_holms_p_and_the_interval_does_not():
    wrong = about(20, noise=10, seed=1)
    write_cell("town", "one", {RAW: wrong})
    write_cell("town", "two", {RAW: wrong + about(2, noise=4, seed=2)})
    alone = verdict_of(claim(delta=0))
    assert (alone.verdict, alone.p) == ("supported", pytest.approx(alone.p_holm))
    many = judge({f"c{i}": claim(delta=0) for i in range(200)}, configured(), B, 0)
    assert many["c0"].verdict == "undecided"
    assert (many["c0"].low, many["c0"].high) == (alone.low, alone.high)
    assert many["c0"].low > 0


def test_patch_scores_of_other_grids_are_not_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_index("town", [f"u{i:02}" for i in range(UNITS)])
    write_cell("town", "one", {RAW: about(10)})
    write_cell("town", "two", {RAW: about(30)}, protocol={"grid": "14×14"})
    for folder in Path("metrics/cells/town").iterdir():
        path = folder / "segmentation.records.parquet"
        records = pd.read_parquet(path)
        pd.concat([records, records.assign(level="patch")]).to_parquet(path)
    claims = {level: claim(metric=f"segmentation.knn.{level}_miou") for level in ("patch", "pixel")}
    found = judge(claims, configured(), 500, 0)
    assert found["patch"].verdict == "not run"
    assert "on different grids, 14×14 and 16×32, and cannot be compared" in found["patch"].note
    assert found["pixel"].verdict == "supported"
