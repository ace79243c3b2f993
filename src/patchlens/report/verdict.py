"""From resampled effects to verdicts: expanded intervals, p values, Holm's adjustment.

All functions work along the last axis, B resamples; leading axes are carried along.
Sources: Owen, "The pigeonhole bootstrap" (2007) for drawing two factors together; Hesterberg, "What
Teachers Should Know About the Bootstrap" (2015) for the expansion; Satterthwaite (1946) for the
degrees of freedom; Schuirmann (1987) for two one-sided tests; Berger (1982) for the
intersection-union test; Holm (1979). docs/claims.md has the formulas and what was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from patchlens.arrays import Floats
from patchlens.tasks.resample import MIN_UNITS

Verdict = Literal["supported", "contradicted", "undecided"]
ALPHA = 0.05


@dataclass(frozen=True)
class Part:
    """What one factor of the sample does to an effect.

    Attributes:
        deviations: of each resample from the estimate [..., B].
        size: how many seeds, or units, the factor has.
    """

    deviations: Floats
    size: int


@dataclass(frozen=True)
class PValues:
    """P values [...] of the two ways to decide a claim, and their combination."""

    supported: Floats
    contradicted: Floats
    combined: Floats


def effect_parts(
    point: Floats, samples: Floats, shares: Floats, units: int
) -> tuple[Floats, list[Part]]:
    """An effect, and what support seeds and query units do to it.

    Seeds enter linearly, so what they alone do is known exactly; the rest is the units'.

    Args:
        point: the effect of each seed [..., S].
        samples: that of each resample of the units and each seed [..., B, S].
        shares: how much each seed counts in each resample [B, S]; rows sum to 1.
        units: how many there are.

    Returns:
        The seed mean [...], and a part for the seeds, where there are several, and the units.
    """
    estimate = point.mean(axis=-1)
    by_seeds = point @ shares.T - estimate[..., None]
    together = np.einsum("...bs,bs->...b", samples, shares) - estimate[..., None]
    seeds = point.shape[-1]
    parts = [Part(by_seeds, seeds)] if seeds > 1 else []
    return estimate, [*parts, Part(together - by_seeds, units)]


def expanded(estimate: Floats, parts: Sequence[Part]) -> Floats:
    """Resampled effects [..., B], ascending, made as wide as few seeds and units demand.

    The deviations of a factor with n members are too narrow by √(n/(n−1)). Their sum is then
    stretched, at each rank, by the ratio of Student's quantile to the normal one, with
    Satterthwaite's degrees of freedom; and no resample stays nearer to the estimate than
    Student's quantile × standard error, since resamples of few members have short tails.

    Args:
        estimate: the effect [...].
        parts: of every factor, at least one.
    """
    freedoms = [max(part.size - 1, 1) for part in parts]  # a lone member does not deviate
    scaled = [
        part.deviations * np.sqrt((n + 1) / n) for part, n in zip(parts, freedoms, strict=True)
    ]
    variances = np.stack([deviations.var(axis=-1) for deviations in scaled])
    total = np.sort(np.sum(scaled, axis=0), axis=-1)
    freedom = np.array(freedoms).reshape(-1, *[1] * estimate.ndim)
    known = np.where(variances.sum(axis=0) > 0, variances.sum(axis=0), 1)  # an effect may not vary
    degrees = 1 / np.maximum((np.square(variances / known) / freedom).sum(axis=0), 1e-9)

    from scipy.special import ndtri, stdtrit  # as scipy.stats does, which takes 2 s to import

    rank = (np.arange(total.shape[-1]) + 0.5) / total.shape[-1]
    normal = ndtri(rank)
    student = stdtrit(degrees[..., None], rank)
    ratio = np.divide(student, normal, out=np.ones_like(student), where=np.abs(normal) > 1e-9)
    middle = np.median(total, axis=-1, keepdims=True)
    stretched = middle + (total - middle) * ratio
    least = student * total.std(axis=-1, keepdims=True)
    outer = np.where(normal < 0, np.minimum(stretched, least), np.maximum(stretched, least))
    return np.asarray(estimate[..., None] + outer)


def difference(effects: Floats, delta: float) -> PValues:
    """Supported: effect > δ. Contradicted: effect < 0. Both can be false, so p is doubled."""
    return _two_sided(_at_most(effects, delta), _at_least(effects, 0))


def superlative(rivals: Sequence[Floats], delta: float) -> PValues:
    """Supported: every rival is beaten by more than δ (the worst p). Contradicted: one wins."""
    loses = np.min([_at_least(effects, 0) for effects in rivals], axis=0)
    beaten = np.max([_at_most(effects, delta) for effects in rivals], axis=0)
    return _two_sided(beaten, np.minimum(1, len(rivals) * loses))


def equivalence(effects: Floats, delta: float, above_chance: Floats | None = None) -> PValues:
    """Supported: |effect| < δ. Contradicted: |effect| ≥ δ. Exactly one is false: p is the smaller.

    Args:
        effects: expanded effects [..., B].
        delta: > 0.
        above_chance: expanded effects of what must be at chance; to be supported it must be less
            than δ above it, and δ or more above it contradicts.
    """
    supported = np.maximum(_at_least(effects, delta), _at_most(effects, -delta))
    # The far tail matters only where the interval is wide beside δ.
    above = _at_most(effects, delta) + _at_most(effects, -delta)
    below = _at_least(effects, -delta) + _at_least(effects, delta)
    contradicted = np.minimum(1, np.minimum(above, below))
    if above_chance is not None:
        supported = np.maximum(supported, _at_least(above_chance, delta))
        either = np.minimum(contradicted, _at_most(above_chance, delta))
        contradicted = np.minimum(1, 2 * either)  # one of two reasons is enough
    return PValues(supported, contradicted, np.minimum(supported, contradicted))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p values of one family."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p, key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - place) * p[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p}


def verdict(supported: float, contradicted: float, adjusted: float, units: int) -> Verdict:
    """The side with the smaller p, if Holm's p is ≤ 0.05 and there are at least ten units."""
    if adjusted > ALPHA or units < MIN_UNITS:
        return "undecided"
    return "supported" if supported <= contradicted else "contradicted"


def _two_sided(supported: Floats, contradicted: Floats) -> PValues:
    combined = np.minimum(1, 2 * np.minimum(supported, contradicted))
    return PValues(supported, contradicted, combined)


def _at_most(effects: Floats, value: float) -> Floats:
    return np.asarray((1 + (effects <= value).sum(axis=-1)) / (1 + effects.shape[-1]))


def _at_least(effects: Floats, value: float) -> Floats:
    return np.asarray((1 + (effects >= value).sum(axis=-1)) / (1 + effects.shape[-1]))
