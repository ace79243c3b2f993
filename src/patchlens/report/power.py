"""How many more units would separate two models, from the differences of those that are there."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from patchlens.arrays import Floats
from patchlens.tasks.resample import Weighted

SIGNIFICANCE, POWER = 0.05, 0.8  # two-sided
SURE = 0.8  # of the interval of the standard deviation, which makes the answer a range
LEAST, MOST = 5, 10  # units without which, and times as many beyond which, no number is given


@dataclass(frozen=True)
class More:
    """How many units beside those that are there; `high` is None beyond `MOST` times as many."""

    low: int
    high: int | None


def more_units(differences: Floats) -> More | None:
    """How many more units would separate two models, if their difference is as it seems.

    That is ((z(0.975) + z(0.8)) · s / mean)², with the standard deviation s of the differences of
    single units, less the units that are there; the range is that of the 80 % interval of s. None
    with fewer than `LEAST` units, or if more than `MOST` times as many would be needed.

    Args:
        differences: of each unit [n].
    """
    from scipy.stats import chi2, norm  # slow to import

    n, mean = len(differences), abs(float(np.mean(differences)))
    if n < LEAST or mean == 0:
        return None
    spread = float(np.var(differences, ddof=1)) / mean**2
    z = norm.ppf(1 - SIGNIFICANCE / 2) + norm.ppf(POWER)
    tails = [(1 + SURE) / 2, (1 - SURE) / 2]
    low, high = (z**2 * spread * (n - 1) / chi2.ppf(tail, n - 1) for tail in tails)
    if low > MOST * n:
        return None
    return More(max(1, ceil(low) - n), None if high > MOST * n else max(1, ceil(high) - n))


def by_unit(weighted: Weighted, metric: str) -> Floats:
    """What each unit contributes to a metric [U]: jackknife pseudo-values, whose mean is near it.

    For a mean over units these are the values of the units.
    """
    units = len(weighted.units)
    whole = weighted.point([metric])[metric].mean()
    without = weighted.metrics(np.ones((units, units)) - np.eye(units), [metric])[metric]
    return np.asarray(units * whole - (units - 1) * without.mean(axis=1))
