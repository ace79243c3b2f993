"""How many more images would separate two models."""

import numpy as np
import pytest

from patchlens.report.power import More, by_unit, more_units
from patchlens.tasks.resample import Weighted


def paired(n: int, mean: float, spread: float) -> np.ndarray:
    """Differences with exactly this mean and standard deviation."""
    values = np.linspace(-1, 1, n)
    return mean + spread * values / values.std(ddof=1)


def test_the_range_lies_around_the_number_of_the_formula() -> None:
    # (1.960 + 0.842)² · (2 / 1)² = 31.4 units, of which 12 are there.
    found = more_units(paired(12, 1.0, 2.0))
    assert found is not None
    assert found.high is not None
    assert found.low < 31.4 - 12 < found.high
    assert found == More(8, 50)


def test_more_units_of_the_same_kind_narrow_the_range() -> None:
    few, many = more_units(paired(10, 1.0, 2.0)), more_units(paired(28, 1.0, 2.0))
    assert few is not None
    assert many is not None
    assert few.high is not None
    assert many.high is not None
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize(
    "differences",
    [paired(4, 1.0, 2.0), paired(12, 0.0, 1.0), paired(12, 0.1, 2.0)],
    ids=["fewer than five", "no difference", "beyond ten times"],
)
def test_no_number_where_it_would_say_nothing(differences: np.ndarray) -> None:
    assert more_units(differences) is None


def test_a_range_that_reaches_beyond_ten_times_has_no_upper_end() -> None:
    found = more_units(paired(6, 1.0, 2.5))
    assert found is not None
    assert found.high is None


def test_the_number_keeps_its_promise() -> None:
    """With as many units as the formula says, four of five samples separate the two."""
    rng, needed = np.random.default_rng(0), 31
    samples = rng.normal(1.0, 2.0, (4000, needed))
    t = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / np.sqrt(needed))
    assert np.mean(np.abs(t) > 2.04) == pytest.approx(0.8, abs=0.04)


def test_the_values_of_units_are_those_of_a_mean() -> None:
    values = np.array([0.2, 0.9, 0.4, 0.7])
    weighted = Weighted(
        list("abcd"),
        lambda weights, _: {"m": (weights @ values / weights.sum(axis=1))[:, None]},
    )
    np.testing.assert_allclose(by_unit(weighted, "m"), values)
