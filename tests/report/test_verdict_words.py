"""Every verdict, with every place of its interval, has a sentence that does not contradict it."""

from dataclasses import replace
from itertools import product

import pytest

from patchlens.report.judge import Outcome
from patchlens.report.verdict_words import effect, note, threshold
from patchlens.settings.claims import Claim

SHARE, RATIO = "segmentation.knn.pixel_miou", "variance.participation"


def claim(kind: str = "difference", direction: str | None = "greater", **changes) -> Claim:
    return Claim.model_validate(
        {
            "text": "A beats B.",
            "source": "ours",
            "kind": kind,
            "metric": SHARE,
            "datasets": ["town"],
            "a": {"models": ["one"]},
            "b": {"models": ["two", "three"]},
            "direction": None if kind == "equivalence" else direction,
            "delta": 0.01,
        }
        | changes
    )


def said(verdict: str, low: float, high: float, about: Claim | None = None, **changes) -> str:
    """The note, with the ends of the interval in points."""
    outcome = Outcome(
        about or claim(), verdict=verdict, effect=(low + high) / 200, low=low / 100, high=high / 100
    )
    return note(replace(outcome, **{"units": 64, "p_holm": 1.0} | changes))


@pytest.mark.parametrize(
    ("verdict", "low", "high", "sentence"),
    [
        ("supported", 1.2, 3, "the gain exceeds the smallest effect of 1.0 points"),
        ("contradicted", -3, -0.2, "a loss is shown instead of a gain"),
        (
            "undecided",
            0.3,
            1.2,
            "the gain is not shown to exceed the smallest effect of 1.0 points",
        ),
        (
            "undecided",
            0.3,
            0.8,
            "the gain is not shown to exceed the smallest effect of 1.0 points",
        ),
        (
            "undecided",
            1.2,
            3,
            "the interval shows a gain above the smallest effect of 1.0 points, but the adjusted p "
            "exceeds 0.05",
        ),
        (
            "undecided",
            -0.3,
            2,
            "neither a gain above the smallest effect of 1.0 points nor a loss is shown",
        ),
        (
            "undecided",
            -3,
            -0.2,
            "the interval shows a loss instead of a gain, but the adjusted p exceeds 0.05",
        ),
    ],
)
def test_a_difference(verdict, low, high, sentence):
    assert said(verdict, low, high) == sentence
    less = sentence.replace("gain", "reduction").replace("a loss", "an increase")
    assert said(verdict, low, high, claim(direction="less")) == less


@pytest.mark.parametrize("kind", ["difference", "superlative", "equivalence"])
def test_nobody_adjusts_the_p_of_a_part(kind):
    low, high = (-0.3, 0.2) if kind == "equivalence" else (1.2, 3)
    whole = said("undecided", low, high, claim(kind), rival="")
    part = said("undecided", low, high, claim(kind), rival="", part=True)
    assert whole.endswith("but the adjusted p exceeds 0.05")
    assert part == (
        whole.replace("the adjusted p", "its p") + "; a part of the claim above, with its own p"
    )


@pytest.mark.parametrize(
    ("verdict", "low", "high", "sentence"),
    [
        ("supported", 0.2, 3, "a gain is shown"),
        ("undecided", 0.2, 3, "the interval shows a gain, but the adjusted p exceeds 0.05"),
        ("undecided", -1, 3, "neither a gain nor a loss is shown"),
    ],
)
def test_a_difference_of_any_size(verdict, low, high, sentence):
    assert said(verdict, low, high, claim(delta=0)) == sentence


@pytest.mark.parametrize(
    ("verdict", "low", "high", "sentence"),
    [
        (
            "supported",
            1.2,
            3,
            "the lead over every rival exceeds the smallest effect of 1.0 points",
        ),
        ("contradicted", -3, -0.2, "a rival is shown to be above one"),
        (
            "undecided",
            0.3,
            1.2,
            "the lead over every rival is not shown to exceed the smallest effect of 1.0 points",
        ),
        (
            "undecided",
            1.2,
            3,
            "the interval lies above the strongest rival by more than the smallest effect of 1.0 "
            "points, but the adjusted p exceeds 0.05",
        ),
        (
            "undecided",
            -0.3,
            2,
            "one is not shown to be above every rival by more than the smallest effect of 1.0 "
            "points, nor any rival above one",
        ),
        (
            "undecided",
            -3,
            -0.2,
            "the interval shows the strongest rival above one, but the adjusted p exceeds 0.05",
        ),
    ],
)
def test_a_superlative_names_the_strongest_rival(verdict, low, high, sentence):
    found = said(verdict, low, high, claim("superlative"), rival="two")
    assert found == f"{sentence}; strongest rival: two"
    below = said(verdict, low, high, claim("superlative", "less"), rival="two")
    assert below == found.replace("lead over", "distance below").replace("above", "below")


@pytest.mark.parametrize(
    ("verdict", "low", "high", "sentence"),
    [
        ("supported", -0.3, 0.2, "the difference is smaller than 1.0 points"),
        ("contradicted", 1.2, 3, "the difference exceeds 1.0 points"),
        ("contradicted", -3, -1.2, "the difference exceeds 1.0 points"),
        (
            "undecided",
            -0.3,
            0.2,
            "the interval lies within ±1.0 points, but the adjusted p exceeds 0.05",
        ),
        (
            "undecided",
            -3,
            -1.2,
            "by the interval, the difference exceeds 1.0 points, but the adjusted p exceeds 0.05",
        ),
        (
            "undecided",
            -0.3,
            1.5,
            "the difference is not shown to be smaller than 1.0 points, nor larger",
        ),
    ],
)
def test_an_equivalence(verdict, low, high, sentence):
    assert said(verdict, low, high, claim("equivalence")) == sentence


@pytest.mark.parametrize(
    ("verdict", "high", "above", "sentence"),
    [
        (
            "supported",
            0.2,
            (0.1, -0.1, 0.3),
            "the difference is smaller than 1.0 points, and keep_top is less than 1.0 points above "
            "chance; keep_top minus chance: +0.1 points [-0.1, 0.3]",
        ),
        (
            "contradicted",
            4.4,
            (21.7, 18.2, 25.1),
            "keep_top is more than 1.0 points above chance; keep_top minus chance: +21.7 points "
            "[18.2, 25.1]",
        ),
        (
            "undecided",
            0.2,
            (0.9, 0.5, 1.3),
            "keep_top is not shown to be less than 1.0 points above chance, nor more; keep_top "
            "minus chance: +0.9 points [0.5, 1.3]",
        ),
        (
            "undecided",
            4.4,
            (0.1, -0.1, 0.3),
            "the difference is not shown to be smaller than 1.0 points, nor larger; keep_top minus "
            "chance: +0.1 points [-0.1, 0.3]",
        ),
    ],
)
def test_an_equivalence_with_chance_names_the_part_that_decides(verdict, high, above, sentence):
    about = claim("equivalence", chance={"variant": "keep_top"})
    shares = tuple(value / 100 for value in above)
    assert said(verdict, -0.3, high, about, above_chance=shares) == sentence


@pytest.mark.parametrize("kind", ["difference", "superlative", "equivalence"])
def test_few_units_are_the_reason_whatever_the_interval_shows(kind):
    for low, high in ((2, 3), (-3, -2), (-1, 1)):
        found = said("undecided", low, high, claim(kind), units=9)
        assert found == "9 units are too few for a verdict (at least 10)"
    assert said("undecided", 2, 3, units=1).startswith("1 unit is too few")


def test_no_sentence_of_an_undecided_claim_says_that_something_was_shown():
    ends = (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0)
    kinds = [(k, d) for k in ("difference", "superlative") for d in ("greater", "less")]
    for (kind, direction), low, high in product([*kinds, ("equivalence", None)], ends, ends):
        if low <= high:
            found = said("undecided", low, high, claim(kind, direction))
            assert "not shown" in found or "neither" in found or "but the adjusted p" in found


@pytest.mark.parametrize(
    ("metric", "delta", "text"),
    [
        (SHARE, 0.01, "1.0 points"),
        (SHARE, 0.0025, "0.25 points"),
        (SHARE, 0.3, "30.0 points"),
        (RATIO, 5, "5.0"),
        (RATIO, 0.25, "0.25"),
    ],
)
def test_delta_has_the_unit_of_the_metric(metric, delta, text):
    assert threshold(metric, delta) == text


def test_effects_have_the_unit_of_the_metric():
    assert effect(SHARE, (0.008, 0.003, 0.012)) == "+0.8 points [0.3, 1.2]"
    assert effect(RATIO, (3.5, -1.25, 8.0)) == "+3.5 [-1.25, 8]"
