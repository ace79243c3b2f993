import numpy as np
import pytest
from scipy import stats

from patchlens.report import verdict as rules
from patchlens.tasks.resample import interval

B = 99  # p values are hundredths


def around(centre: float, spread: float) -> np.ndarray:
    """B effects, evenly spaced around a centre."""
    return np.linspace(centre - spread, centre + spread, B)


@pytest.mark.parametrize(
    ("effects", "delta", "supported", "contradicted", "combined"),
    [
        (around(3, 1), 1, 0.01, 1.0, 0.02),  # all above δ
        (around(-3, 1), 1, 1.0, 0.01, 0.02),  # all below 0
        (around(0.5, 0.4), 1, 1.0, 1.0, 1.0),  # between: neither
        (np.array([1.0] * 3 + [2.0] * 96), 1, 0.04, 1.0, 0.08),  # δ itself is not beyond δ
        (np.array([-1.0] * 95 + [0.0] * 4), 1, 1.0, 0.05, 0.1),  # 0 itself is not below 0
    ],
)
def test_p_values_of_a_difference_count_resamples(
    effects, delta, supported, contradicted, combined
):
    p = rules.difference(effects, delta)
    found = [p.supported, p.contradicted, p.combined]
    assert found == pytest.approx([supported, contradicted, combined])


@pytest.mark.parametrize(
    ("effects", "supported", "contradicted"),
    [
        (around(0, 0.5), 0.01, 1.0),  # inside ±δ
        (around(3, 1), 1.0, 0.02),  # beyond δ: no resample ≤ δ, none ≤ −δ, one each for the +1
        (around(-3, 1), 1.0, 0.02),
        (np.array([0.0] * 95 + [1.0] * 4), 0.05, 1.0),  # δ itself is not inside
        (np.array([-1.0] * 4 + [0.0] * 95), 0.05, 1.0),
        (np.array([-2.0] * 2 + [0.5] * 3 + [2.0] * 94), 0.95, 0.09),  # both tails count
    ],
)
def test_p_values_of_an_equivalence(effects, supported, contradicted):
    p = rules.equivalence(effects, 1)
    assert [p.supported, p.contradicted] == pytest.approx([supported, contradicted])
    assert p.combined == pytest.approx(min(supported, contradicted))


def test_an_equivalence_with_chance_needs_both_and_either_refutes_it():
    same, other = around(0, 0.5), around(3, 1)
    assert rules.equivalence(same, 1, above_chance=same).supported == pytest.approx(0.01)
    above = rules.equivalence(same, 1, above_chance=other)
    assert [above.supported, above.contradicted] == pytest.approx([1.0, 0.02])
    unequal = rules.equivalence(other, 1, above_chance=same)
    assert [unequal.supported, unequal.contradicted] == pytest.approx([1.0, 0.04])


def test_what_is_below_chance_does_not_refute():
    p = rules.equivalence(around(0, 0.5), 1, above_chance=around(-3, 1))
    assert [p.supported, p.contradicted] == pytest.approx([0.01, 1.0])


def test_a_superlative_is_as_strong_as_its_worst_rival():
    weak, strong, wins = around(5, 1), around(3, 2.1), around(-3, 1)
    assert rules.superlative([weak], 1).combined == rules.difference(weak, 1).combined
    worst = rules.difference(strong, 1).supported
    assert worst > rules.difference(weak, 1).supported
    assert rules.superlative([weak, strong], 1).supported == worst
    beaten = rules.superlative([weak, strong, wins], 1)
    # One winner contradicts; that it may be any of three is paid for.
    assert [beaten.supported, beaten.contradicted] == pytest.approx([1.0, 0.03])


def test_leading_axes_are_judged_one_by_one():
    stacked = rules.difference(np.stack([around(3, 1), around(-3, 1)]), 1)
    assert stacked.supported.tolist() == pytest.approx([0.01, 1.0])


def test_holm_by_hand():
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    # sorted: d 4·0.005, a 3·0.01, c 2·0.03, b 1·0.04 but not less than c's
    assert rules.holm(p) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(rules.holm(p)) == list(p)


def test_holm_never_exceeds_one_and_leaves_a_lone_claim_alone():
    assert rules.holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert rules.holm({"a": 0.05}) == {"a": 0.05}
    assert rules.holm({}) == {}


@pytest.mark.parametrize(
    ("supported", "contradicted", "adjusted", "units", "expected"),
    [
        (0.01, 1.0, 0.05, 10, "supported"),
        (1.0, 0.01, 0.05, 10, "contradicted"),
        (0.01, 1.0, 0.0501, 10, "undecided"),
        (0.0001, 1.0, 0.0001, 9, "undecided"),
        (1.0, 0.0001, 0.0001, 9, "undecided"),
    ],
)
def test_the_verdict_needs_an_adjusted_p_and_ten_units(
    supported, contradicted, adjusted, units, expected
):
    assert rules.verdict(supported, contradicted, adjusted, units) == expected


def normal_part(size: int, spread: float = 1.0) -> rules.Part:
    return rules.Part(spread * stats.norm.ppf((np.arange(9999) + 0.5) / 9999), size)


@pytest.mark.parametrize(("size", "level"), [(5, 0.95), (5, 0.99), (10, 0.95), (64, 0.9)])
def test_a_bootstrap_of_few_members_becomes_a_t_interval(size, level):
    low, high = interval(rules.expanded(np.array(2.0), [normal_part(size)]), level)
    # A bootstrap sees the variance (n − 1)/n of what the t interval takes.
    half = stats.t.ppf((1 + level) / 2, size - 1) * np.sqrt(size / (size - 1))
    assert [2 - low, high - 2] == pytest.approx([half, half], rel=0.02)


def test_a_bootstrap_of_many_members_stays_a_percentile_interval():
    low, high = interval(rules.expanded(np.array(0.0), [normal_part(10**5)]), 0.95)
    assert [low, high] == pytest.approx([-1.96, 1.96], abs=0.005)


def test_degrees_of_freedom_follow_the_factor_that_varies_most():
    rng = np.random.default_rng(0)

    def width(seeds: float, units: float) -> float:
        parts = [
            rules.Part(seeds * rng.normal(size=20000), 5),
            rules.Part(units * rng.normal(size=20000), 1000),
        ]
        low, high = interval(rules.expanded(np.array(0.0), parts), 0.95)
        return (high - low) / 2

    assert width(0, 1) == pytest.approx(1.96, rel=0.03)
    assert width(1, 0) == pytest.approx(2.776 * np.sqrt(5 / 4), rel=0.03)
    between = 1 / (0.5**2 * 5 / 4 + 1)  # share of the units in the variance
    freedom = 1 / ((1 - between) ** 2 / 4 + between**2 / 999)
    expected = stats.t.ppf(0.975, freedom) * np.sqrt(1 + 0.5**2 * 5 / 4)
    assert width(0.5, 1) == pytest.approx(expected, rel=0.03)


def test_expansion_keeps_the_skew_of_the_resamples():
    skewed = np.random.default_rng(0).exponential(size=20000) - 1
    low, high = interval(rules.expanded(np.array(0.0), [rules.Part(skewed, 10**5)]), 0.95)
    plain = np.quantile(skewed, 0.975)
    assert high == pytest.approx(plain, rel=0.02)
    assert low < np.quantile(skewed, 0.025)  # never nearer than a symmetric interval


def test_a_long_tail_is_stretched_as_much_as_students_is():
    skewed = np.random.default_rng(0).exponential(size=20000) - 1
    _, high = interval(rules.expanded(np.array(0.0), [rules.Part(skewed, 5)]), 0.95)
    scaled = skewed * np.sqrt(5 / 4)
    middle, plain = np.quantile(scaled, [0.5, 0.975])
    assert high == pytest.approx(middle + (plain - middle) * 2.776 / 1.96, rel=0.02)


def test_short_tails_are_not_taken_for_certainty():
    # Two-point deviations end at one standard error, far inside a t interval.
    short = rules.Part(np.repeat([-1.0, 1.0], 5000), 5)
    _, high = interval(rules.expanded(np.array(0.0), [short]), 0.95)
    assert high == pytest.approx(2.776 * np.sqrt(5 / 4), rel=0.01)


def test_an_effect_that_does_not_vary_is_certain():
    still = rules.Part(np.zeros(99), 5)
    assert set(rules.expanded(np.array(0.25), [still])) == {0.25}
    assert rules.difference(rules.expanded(np.array(0.25), [still]), 0.1).combined == 0.02
    assert rules.difference(rules.expanded(np.array(0.0), [still]), 0.0).combined == 1


def test_a_lone_unit_is_no_division_by_zero():
    assert np.isfinite(rules.expanded(np.array(1.0), [rules.Part(np.zeros(99), 1)])).all()


def test_expanded_effects_come_with_leading_axes():
    rng = np.random.default_rng(0)
    deviations = rng.normal(size=(3, 500))
    both = rules.expanded(np.array([1.0, 2.0, 3.0]), [rules.Part(deviations, 5)])
    alone = rules.expanded(np.array(2.0), [rules.Part(deviations[1], 5)])
    assert both.shape == (3, 500)
    np.testing.assert_allclose(both[1], alone)
