"""One sentence a headline metric: which model leads, by how much, and what cannot be told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from patchlens.report.headlines import Headline
from patchlens.report.task_tables import Shown
from patchlens.site import prose
from patchlens.site.leads import Lead, Rival, lead


@dataclass(frozen=True)
class Answer:
    """What the first page says of a metric.

    Attributes:
        need: what it is good for.
        title: of the metric, with its dataset.
        leader: the best model, or "" where nothing can be said.
        sentence: about it.
        caveat: what keeps it from being a verdict, or "".
        variant: the best of all variants, in words.
        link: the page of the task.
    """

    need: str
    title: str
    leader: str
    sentence: str
    caveat: str
    variant: str
    link: str


def answer(headline: Headline, is_floor: Callable[[str], bool]) -> Answer:
    """The sentence on a headline metric.

    Args:
        headline: the metric.
        is_floor: whether a model is there to be beaten.
    """
    of_task = prose.of(headline.task)
    leader, sentence, caveat = "", "Its table has no paired bootstrap: no lead is claimed.", ""
    if (found := lead(headline)) is not None:
        leader, sentence, caveat = found.leader, _sentence(found), _caveat(found, is_floor)
    return Answer(
        of_task.need or of_task.title,
        f"{headline.title} on {headline.dataset}",
        leader,
        sentence,
        caveat,
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
        return f"{found.leader} leads with {score}, by {_by(shown, behind)} over {behind.model}."
    text = f"{found.leader} is best with {score}, not separable from {_named(shown, near)}"
    return text + (f"; ahead of {behind.model} by {_by(shown, behind)}." if behind else ".")


def _named(shown: Shown, rivals: Sequence[Rival]) -> str:
    """All of them, the nearest with its difference."""
    first, *others = rivals
    return ", ".join([f"{first.model} ({_by(shown, first)})", *(r.model for r in others)])


def _by(shown: Shown, rival: Rival) -> str:
    values = (rival.difference, rival.low, rival.high)
    if shown.share:
        return "{:.1f} points [{:.1f}, {:.1f}]".format(*(100 * v for v in values))
    return "{:.4g} [{:.4g}, {:.4g}]".format(*values)


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
