"""One sentence per headline metric: which model leads, by how much, and how certain that is."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from patchlens.display.grid import difference
from patchlens.report.headlines import Headline
from patchlens.report.paired import RAW
from patchlens.site.leads import Lead, Rival, lead
from patchlens.tasks.metric import Metric

ENDS = ("", "_ci_low", "_ci_high")


@dataclass(frozen=True)
class Answer:
    """What the overview says about a metric.

    Attributes:
        need: what a user would want the metric for.
        title: of the metric, with its dataset.
        leader: the best model, or "" if no models were compared.
        sentence: which model leads, and by how much.
        caveat: why the lead is not a verdict, or "".
        why: how far the leader is above the nearest floor, and how its score changes without its
            dimensions of highest variance, or "".
        variant: the best model and variant, in words.
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
    """On how many metrics a model is the best or level with it (`best`), and alone the best."""

    model: str
    best: int
    alone: int


def tally(found: Iterable[Headline]) -> tuple[list[Tally], int]:
    """On how many metrics each model is the best or not separable from it, most metrics first.

    Returns:
        The models that are so at least once, and the number of metrics with enough units.
    """
    leads = [one for headline in found if (one := lead(headline)) and not one.few]
    best, alone = Counter[str](), Counter[str]()
    for one in leads:
        near = _level(one)
        best.update(near)
        alone.update(near if len(near) == 1 else [])
    order = sorted(best, key=lambda model: (-best[model], -alone[model]))
    return [Tally(model, best[model], alone[model]) for model in order], len(leads)


def beyond(found: Iterable[Headline], is_floor: Callable[[str], bool]) -> tuple[list[str], str]:
    """How far trained models are above floors and below ceilings, where there are enough units.

    Returns:
        Sentences on what can be said, and one on where a floor is not beaten; "" for none.
    """
    leads = [one for headline in found if (one := lead(headline)) and not one.few]
    names = {name for one in leads for name in (one.leader, *(r.model for r in one.rivals))}
    if all(map(is_floor, names)) or not any(map(is_floor, names)):
        return [], ""
    room: list[float] = []
    unbeaten: list[str] = []
    for one in leads:
        metric, rows = one.headline.metric, one.headline.rows
        if floors := [name for name in _level(one) if is_floor(name)]:
            unbeaten.append(f"{one.headline.task.words.title}, {one.headline.title} ({floors[0]})")
        ceilings = rows[(rows["role"] == "ceiling") & (rows["variant"] == RAW)][metric.key]
        room += [gap for gap in metric.sense * (ceilings - one.score) if gap > 0][:1]
    beaten, all_ = len(leads) - len(unbeaten), f"{len(leads)} metric{'s' * (len(leads) > 1)}"
    said = [f"A trained model is shown to beat every floor in {beaten} of {all_}."]
    if room:
        said.append(f"A ceiling, which has seen the labels, is above the best in {len(room)}.")
    listed = "; ".join(unbeaten)
    return said, f"No trained model is shown to beat a floor in {listed}." if listed else ""


def _level(found: Lead) -> list[str]:
    """The best model, and those not separable from it."""
    return [found.leader, *(rival.model for rival in found.rivals if not rival.separable)]


def answer(headline: Headline, is_floor: Callable[[str], bool]) -> Answer:
    """The sentence on a headline metric.

    Args:
        headline: the metric.
        is_floor: whether a model is a floor.
    """
    of_task = headline.task.words
    leader, sentence = "", "The table has no paired bootstrap, so no model is called the best."
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
        f"{headline.task.name}.html",
    )


def amount(metric: Metric, value: float) -> str:
    """A score in the unit of the tables."""
    return f"{100 * value:.1f} %" if metric.is_share else f"{value:g}"


def _sentence(found: Lead) -> str:
    metric = found.headline.metric
    score = amount(metric, found.score)
    if not found.rivals:
        return f"Only {found.leader} was run: {score}."
    near = [rival for rival in found.rivals if not rival.separable]
    behind = next((rival for rival in found.rivals if rival.separable), None)
    if behind is found.rivals[0]:
        leads = "is ahead" if found.few else "leads"
        return f"{found.leader} {leads} with {score}, by {_by(metric, behind)} over {behind.model}."
    text = f"{found.leader} is best with {score}, not separable from {_named(metric, near)}"
    return text + (f"; ahead of {behind.model} by {_by(metric, behind)}." if behind else ".")


def _named(metric: Metric, rivals: Sequence[Rival]) -> str:
    """All rivals by name, the nearest one with its difference."""
    first, *others = rivals
    return ", ".join([f"{first.model} ({_by(metric, first)})", *(r.model for r in others)])


def _by(metric: Metric, rival: Rival) -> str:
    return difference(metric.is_share, (rival.difference, rival.low, rival.high))


def reasons(found: Lead, is_floor: Callable[[str], bool]) -> str:
    """How far the leader is above the nearest floor, and its change without the top dimensions."""
    metric, parts = found.headline.metric, []
    if (floor := over_floor(found, is_floor)) is not None and floor[1][1] > 0:
        parts.append(
            f"{difference(metric.is_share, floor[1])} above the nearest floor, {floor[0]}."
        )
    if (pruned := gain(found, "prune")) is not None:
        control = gain(found, "prune_random")
        beside = (
            f"; without as many random dimensions: {_change(metric, control)}" if control else ""
        )
        without = "Without its dimensions of highest variance"
        parts.append(f"{without}: {_change(metric, pruned)}{beside}.")
    return " ".join(parts)


def over_floor(found: Lead, is_floor: Callable[[str], bool]) -> tuple[str, list[float]] | None:
    """The floor nearest to the leader with the difference; None if a floor leads."""
    floors = [rival for rival in found.rivals if is_floor(rival.model)]
    if is_floor(found.leader) or not floors:
        return None
    first = floors[0]
    return first.model, [first.difference, first.low, first.high]


def gain(found: Lead, variant: str) -> list[float] | None:
    """The gain of a variant over the leader's raw features, with its interval, if it was run."""
    key, rows = found.headline.metric.key, found.headline.rows
    columns = [f"{key}_gain{end}" for end in ENDS]
    at = rows[(rows["model"] == found.leader) & (rows["variant"] == variant)]
    if not set(columns) <= set(rows.columns) or at[columns].dropna().empty:
        return None
    return [float(value) for value in at[columns].iloc[0]]


def _change(metric: Metric, better: Sequence[float]) -> str:
    """The change of a score, given by how much it gets better."""
    value, low, high = better
    return difference(
        metric.is_share, better if metric.higher_is_better else (-value, -high, -low), "+"
    )


def _caveat(found: Lead, is_floor: Callable[[str], bool]) -> str:
    parts = []
    names = [found.leader, *(rival.model for rival in found.rivals)]
    trained = [name for name in names if not is_floor(name)]
    if trained and is_floor(found.leader):
        parts.append(f"{found.leader} is a floor, and no trained model is shown to beat it.")
    elif trained:
        level = [r.model for r in found.rivals if not r.separable and is_floor(r.model)]
        if level:
            kind = "floors" if len(level) > 1 else "a floor"
            parts.append(f"Not shown to beat {' or '.join(level)} ({kind}).")
    if found.few:
        parts.append(f"Undecided: {found.units} units are too few for a verdict.")
    return " ".join(parts)


def _best(headline: Headline) -> str:
    """The best model and variant, and how many others are level with it."""
    metric, rows = headline.metric, headline.rows
    known = rows[rows[metric.key].notna() & (rows["role"] != "ceiling")]
    at = known[metric.key].argmax() if metric.higher_is_better else known[metric.key].argmin()
    best = known.iloc[int(at)]
    others = int(known[headline.level].sum()) - 1
    level = f", level with {others} other{'s' * (others > 1)}" if others > 0 else ""
    if headline.task.words.recommends is not None:  # its rows have no variant of their own
        return f"Its choice: {headline.task.words.recommends(best.to_dict())}."
    text = amount(metric, float(best[metric.key]))
    return f"Best of all variants: {best['model']} with {best['variant']}, {text}{level}."
