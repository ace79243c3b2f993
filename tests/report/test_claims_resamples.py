import numpy as np
import pandas as pd
import pytest

from patchlens import paths
from patchlens.errors import DataError
from patchlens.files import write_json
from patchlens.report.judge import judge
from report.court import SEEDS, UNITS, about, claim, configured, miou, write_cell, write_index

RAW = ("knn", "raw")
EQUAL = {"kind": "equivalence", "direction": None, "delta": 0.05}
B = 1000


@pytest.fixture(autouse=True)
def town(here):
    write_index("town", [f"u{i}" for i in range(UNITS)])


def verdict_of(one):
    return judge({"c": one}, configured(), B, 0)["c"]


def test_both_sides_see_the_same_draws():
    wrong = about(20, noise=19)
    write_cell("town", "one", {RAW: wrong, ("knn", "prune"): wrong})
    sides = {"a": {"models": ["one"], "variant": "prune"}, "b": {"models": ["one"]}}
    outcome = verdict_of(claim(**sides, delta=0))
    assert (outcome.effect, outcome.low, outcome.high) == (0, 0, 0)
    assert outcome.verdict == "undecided"
    assert verdict_of(claim(**sides, **EQUAL | {"delta": 0.001})).verdict == "supported"


def test_a_seed_effect_widens_the_interval_more_than_one_seed_shows():
    # Seeds differ by far more than units do; side b is the same for each seed.
    shifts = np.array([-12, -6, 0, 6, 12])[:, None]
    write_cell("town", "one", {RAW: about(30) + shifts})
    write_cell("town", "two", {RAW: about(38)})
    outcome = verdict_of(claim(delta=0))
    by_seed = [miou([row]) for row in about(30) + shifts]
    error = np.std(by_seed, ddof=1) / np.sqrt(SEEDS)
    assert (outcome.high - outcome.low) / 2 == pytest.approx(2.776 * error, rel=0.1)
    assert outcome.verdict == "undecided"


def test_the_same_seed_gives_the_same_numbers_whatever_else_is_claimed():
    write_cell("town", "one", {RAW: about(20, noise=15, seed=1)})
    write_cell("town", "two", {RAW: about(22, noise=15, seed=2)})
    first = verdict_of(claim())
    assert verdict_of(claim()) == first
    others = judge({"x": claim(**EQUAL), "c": claim()}, configured(), B, 0)["c"]
    assert (others.low, others.high, others.p) == (first.low, first.high, first.p)
    assert judge({"c": claim()}, configured(), B, 1)["c"].low != first.low


def test_cells_of_other_seeds_cannot_be_compared():
    write_cell("town", "one", {RAW: about(10)})
    write_cell("town", "two", {RAW: about(30)}, seeds=[0, 1, 2, 3, 9])
    with pytest.raises(DataError, match=r"town: the records of one, two have different seeds"):
        verdict_of(claim())


def test_records_of_an_image_outside_the_query_are_an_error_that_names_it():
    write_cell("town", "one", {RAW: about(10, units=UNITS + 1)})
    write_cell("town", "two", {RAW: about(30)})
    with pytest.raises(DataError, match=r"town: image 'q024' of the records is not a query image"):
        verdict_of(claim())


def test_a_claim_about_the_spectrum_of_variance():
    rng = np.random.default_rng(0)
    ids = [f"q{i:03}" for i in range(UNITS)]
    for model, top in (("one", 10.0), ("two", 1.0)):
        scale = np.array([top] + [1.0] * 9)
        x = rng.normal(size=(UNITS, 50, 10)) * scale
        table = pd.DataFrame(
            {
                "image_id": np.repeat(ids, 10),
                "dimension": np.tile(np.arange(10), UNITS),
                "count": 50,
                "total": x.sum(axis=1).ravel(),
                "squares": np.square(x).sum(axis=1).ravel(),
            }
        )
        write_cell("town", model, {RAW: about(10)})
        cell = paths.cell(dataset="town", model=model)
        table.to_parquet(cell / "variance.records.parquet")
        write_json({"protocol": {}}, cell / "variance.json")
    outcome = verdict_of(claim(metric="variance.top_1pct", delta=0.05))
    assert outcome.verdict == "supported"
    assert outcome.effect == pytest.approx(100 / 109 - 0.11, abs=0.03)
    assert outcome.units == UNITS
    pruned = claim(metric="variance.top1", a={"models": ["one"], "variant": "prune"})
    assert verdict_of(pruned).note == "variance.top1 is only measured on variant raw, not on prune"
