"""A verdict as a sentence: what the interval shows beside the smallest effect that counts.

A verdict follows from p values that are adjusted for the number of claims, the interval is not: so
an interval may look decided where the claim is not, and the sentence says why.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from patchlens.display import grid
from patchlens.report.measures import measure
from patchlens.report.verdict import ALPHA
from patchlens.tasks.resample import MIN_UNITS

if TYPE_CHECKING:
    from patchlens.report.judge import Outcome

PART = "a part of the claim above, with its own p"


def is_share(metric: str) -> bool:
    """Whether the metric of a claim is a share; one that is unknown was not judged."""
    found = measure(metric)
    return found is None or found.metric.is_share


def effect(metric: str, values: Sequence[float]) -> str:
    """An effect and the ends of its interval, in points where the metric is a share."""
    return grid.difference(is_share(metric), values, "+")


def threshold(metric: str, delta: float) -> str:
    """δ in the unit of the effect: `1.0 points` for 0.01 of a share."""
    share = is_share(metric)
    value = round(100 * delta if share else delta, 9)
    text = f"{value:.1f}" if round(value, 1) == value else f"{value:g}"
    return f"{text} points" if share else text


def note(outcome: "Outcome") -> str:
    """Why a claim that was judged has its verdict, then what its effect alone does not say."""
    claim, units = outcome.claim, outcome.units
    if units < MIN_UNITS:
        are = "unit is" if units == 1 else "units are"
        parts = [f"{units} {are} too few for a verdict (at least {MIN_UNITS})"]
    else:
        parts = [SENTENCES[claim.kind](outcome)]
    if outcome.rival:
        parts.append(f"strongest rival: {outcome.rival}")
    if claim.chance is not None and outcome.above_chance is not None:
        above = effect(claim.metric, outcome.above_chance)
        parts.append(f"{claim.chance.variant} minus chance: {above}")
    return "; ".join([*parts, PART] if outcome.part else parts)


def _likely(o: "Outcome") -> str:
    """Why an interval that looks decided decides nothing; nobody adjusts the p of a part."""
    return f"but {'its' if o.part else 'the adjusted'} p exceeds {ALPHA:g}"


def _difference(o: "Outcome") -> str:
    greater = o.claim.direction == "greater"
    gain, a_loss = ("gain", "a loss") if greater else ("reduction", "an increase")
    least = f"the smallest effect of {threshold(o.claim.metric, o.claim.delta)}"
    above = f" above {least}" if o.claim.delta else ""
    if o.verdict == "supported":
        return f"the {gain} exceeds {least}" if above else f"a {gain} is shown"
    if o.verdict == "contradicted":
        return f"{a_loss} is shown instead of a {gain}"
    if o.low > o.claim.delta:
        return f"the interval shows a {gain}{above}, {_likely(o)}"
    if o.high < 0:
        return f"the interval shows {a_loss} instead of a {gain}, {_likely(o)}"
    if o.low > 0:
        return f"the {gain} is not shown to exceed {least}"
    return f"neither a {gain}{above} nor {a_loss} is shown"


def _superlative(o: "Outcome") -> str:
    greater = o.claim.direction == "greater"
    lead, ahead = ("lead over", "above") if greater else ("distance below", "below")
    least = f"the smallest effect of {threshold(o.claim.metric, o.claim.delta)}"
    by = f" by more than {least}" if o.claim.delta else ""
    own = ", ".join(o.claim.a.models)
    if o.verdict == "supported":
        return f"the {lead} every rival exceeds {least}" if by else f"{own} is {ahead} every rival"
    if o.verdict == "contradicted":
        return f"a rival is shown to be {ahead} {own}"
    if o.low > o.claim.delta:
        return f"the interval lies {ahead} the strongest rival{by}, {_likely(o)}"
    if o.high < 0:
        return f"the interval shows the strongest rival {ahead} {own}, {_likely(o)}"
    if o.low > 0:
        return f"the {lead} every rival is not shown to exceed {least}"
    return f"{own} is not shown to be {ahead} every rival{by}, nor any rival {ahead} {own}"


def _equivalence(o: "Outcome") -> str:
    delta = o.claim.delta
    most = threshold(o.claim.metric, delta)
    variant = o.claim.chance.variant if o.claim.chance else ""
    above = o.above_chance or (0.0, -delta, 0.0)  # without a condition on chance: met
    if o.verdict == "supported":
        also = f", and {variant} is less than {most} above chance" if variant else ""
        return f"the difference is smaller than {most}{also}"
    beyond = ["the difference exceeds " + most] if o.low >= delta or o.high <= -delta else []
    beyond += [f"{variant} is more than {most} above chance"] if above[1] >= delta else []
    if o.verdict == "contradicted":
        return " and ".join(beyond) or f"a difference of {most} or more is shown"
    if beyond:
        return f"by the interval, {' and '.join(beyond)}, {_likely(o)}"
    inside, at_chance = -delta < o.low and o.high < delta, above[2] < delta
    if inside and at_chance:
        return f"the interval lies within ±{most}, {_likely(o)}"
    if inside:
        return f"{variant} is not shown to be less than {most} above chance, nor more"
    return f"the difference is not shown to be smaller than {most}, nor larger"


SENTENCES: Mapping[str, Callable[["Outcome"], str]] = {
    "difference": _difference,
    "superlative": _superlative,
    "equivalence": _equivalence,
}
