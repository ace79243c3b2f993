"""One sentence a headline metric: which model leads, by how much, and what cannot be told."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from patchlens.report.headlines import Headline
from patchlens.report.task_tables import Shown
from patchlens.site import prose
from patchlens.site.leads import Lead, Rival, lead
from patchlens.site.reasons import gain, over_floor


@dataclass(frozen=True)
class Answer:
    """What the first page says of a metric.

    Attributes:
        need: what it is good for.
        title: of the metric, with its dataset.
        leader: the best model, or "" where nothing can be said.
        sentence: about it.
        caveat: what keeps it from being a verdict, or "".
        why: what the leader has over a floor, and without its dimensions of high variance, or "".
        variant: the best of all variants, in words.
        link: the page of the task.
    """

    need: str
    title: str
    leader: str
    sentence: str
    caveat: str
    why: str
    variant: str
    link: str


@dataclass(frozen=True)
class Tally:
    """How often a model is the best of those that are compared, and how often it alone is."""

    model: str
    best: int
    alone: int


def tally(found: Iterable[Headline]) -> tuple[list[Tally], int]:
    """How often each model is not separable from the best, the most often first.

    Returns:
        The models that ever are, and the number of metrics with enough units to tell.
    """
    leads = [one for headline in found if (one := lead(headline)) and not one.few]
    best, alone = Counter[str](), Counter[str]()
    for one in leads:
        near = [rival.model for rival in one.rivals if not rival.separable]
        best.update([one.leader, *near])
        alone.update([] if near else [one.leader])
    order = sorted(best, key=lambda model: (-best[model], -alone[model]))
    return [Tally(model, best[model], alone[model]) for model in order], len(leads)


def answer(headline: Headline, is_floor: Callable[[str], bool]) -> Answer:
    """The sentence on a headline metric.

    Args:
        headline: the metric.
        is_floor: whether a model is there to be beaten.
    """
    of_task = prose.of(headline.task)
    leader, sentence = "", "Its table has no paired bootstrap: no lead is claimed."
    caveat, why = "", ""
    if (found := lead(headline)) is not None:
        leader, sentence, caveat = found.leader, _sentence(found), _caveat(found, is_floor)
        why = reasons(found, is_floor)
    return Answer(
        of_task.need or of_task.title,
        f"{headline.title} on {headline.dataset}",
        leader,
        sentence,
        caveat,
        why,
        _best(headline),
        f"{headline.task}.html",
    )


def amount(shown: Shown, value: float) -> str:
    """A score in the unit of the tables."""
    return f"{100 * value:.1f} %" if shown.share else f"{value:g}"


def _sentence(found: Lead) -> str:
    shown = found.headline.shown
    score = amount(shown, found.score)
    if not found.rivals:
        return f"{found.leader} alone was run: {score}."
    near = [rival for rival in found.rivals if not rival.separable]
    behind = next((rival for rival in found.rivals if rival.separable), None)
    if behind is found.rivals[0]:
        leads = "is ahead" if found.few else "leads"
        return f"{found.leader} {leads} with {score}, by {_by(shown, behind)} over {behind.model}."
    text = f"{found.leader} is best with {score}, not separable from {_named(shown, near)}"
    return text + (f"; ahead of {behind.model} by {_by(shown, behind)}." if behind else ".")


def _named(shown: Shown, rivals: Sequence[Rival]) -> str:
    """All of them, the nearest with its difference."""
    first, *others = rivals
    return ", ".join([f"{first.model} ({_by(shown, first)})", *(r.model for r in others)])


def _by(shown: Shown, rival: Rival) -> str:
    return difference(shown, (rival.difference, rival.low, rival.high))


def difference(shown: Shown, values: Sequence[float], sign: str = "") -> str:
    """A difference and its interval in the unit of the tables; no end is rounded to 0."""
    if not shown.share:
        return f"{{:{sign}.4g}} [{{:.4g}}, {{:.4g}}]".format(*values)
    points = [100 * value for value in values]
    digits = 2 if any(0 < abs(value) < 0.05 for value in points) else 1
    return f"{{:{sign}.{digits}f}} points [{{:.{digits}f}}, {{:.{digits}f}}]".format(*points)


def reasons(found: Lead, is_floor: Callable[[str], bool]) -> str:
    """What the leader has over the nearest floor, and without its dimensions of high variance."""
    shown, parts = found.headline.shown, []
    if (floor := over_floor(found, is_floor)) is not None and floor[1][1] > 0:
        parts.append(f"{difference(shown, floor[1])} above the nearest floor, {floor[0]}.")
    if (pruned := gain(found, "prune")) is not None:
        control = gain(found, "prune_random")
        beside = f", without as many at random {_change(shown, control)}" if control else ""
        without = "Without its dimensions of highest variance"
        parts.append(f"{without} {_change(shown, pruned)}{beside}.")
    return " ".join(parts)


def _change(shown: Shown, better: Sequence[float]) -> str:
    """By how much a score changes that gets better by so much."""
    value, low, high = better
    return difference(shown, better if shown.higher else (-value, -high, -low), "+")


def _caveat(found: Lead, is_floor: Callable[[str], bool]) -> str:
    parts = []
    names = [found.leader, *(rival.model for rival in found.rivals)]
    trained = [name for name in names if not is_floor(name)]
    if trained and is_floor(found.leader):
        parts.append(f"{found.leader} is a floor: here no trained model is shown to beat it.")
    elif trained:
        level = [r.model for r in found.rivals if not r.separable and is_floor(r.model)]
        if level:
            parts.append(f"Not shown to beat the floor {', '.join(level)}.")
    if found.few:
        parts.append(f"Undecided: {found.units} units are too few for a verdict.")
    return " ".join(parts)


def _best(headline: Headline) -> str:
    """The best model × variant, and how many others are level with it."""
    shown, rows = headline.shown, headline.rows
    known = rows[rows[shown.key].notna() & (rows["role"] != "ceiling")]
    at = known[shown.key].argmax() if shown.higher else known[shown.key].argmin()
    best = known.iloc[int(at)]
    others = int((known[headline.level].astype(str) == "True").sum()) - 1
    level = f", level with {others} other{'s' * (others > 1)}" if others > 0 else ""
    text = amount(shown, float(best[shown.key]))
    return f"Best of all variants: {best['model']} with {best['variant']}, {text}{level}."
