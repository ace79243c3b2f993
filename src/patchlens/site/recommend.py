"""The answer to "which model should I use?", from the task that chooses a setting for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from patchlens.display.grid import difference
from patchlens.report.headlines import Headline, of, score
from patchlens.report.power import LEAST, MOST, by_unit, more_units
from patchlens.report.rows import weighted_of
from patchlens.site.leads import Lead, Rival, lead
from patchlens.site.reading import Run
from patchlens.tasks.metric import Metric
from patchlens.tasks.table import TASKS


@dataclass(frozen=True)
class Recommendation:
    """What to use on a dataset.

    Attributes:
        dataset: the dataset.
        model: the model.
        setting: its layer, variant and head.
        score: with its interval, on what.
        rival: the runner-up, and whether the two can be told apart.
        next: what to do next.
        cost: of the model for one image.
        words: what those of the setting mean.
    """

    dataset: str
    model: str
    setting: str
    score: str
    rival: str
    next: str
    cost: str
    words: str

    def lines(self) -> list[str]:
        """As text."""
        return [
            f"Use {self.model}: {self.setting}.",
            self.score,
            self.rival,
            f"Next: {self.next}",
            f"Cost: {self.cost}",
        ]


def recommendations(run: Run) -> Iterator[Recommendation]:
    """One for each dataset of the tasks that recommend a setting."""
    for task, table in run.tables.items():
        if TASKS[task].words.recommends is None:
            continue
        for headline in of(TASKS[task], table):
            if (found := lead(headline)) is not None:
                yield _recommended(found, run)


def _recommended(found: Lead, run: Run) -> Recommendation:
    headline, metric = found.headline, found.headline.metric
    row = _row(headline, found.leader)
    ends = [float(row[metric.key + end]) for end in ("_ci_low", "_ci_high")]
    recommends = headline.task.words.recommends
    assert recommends is not None
    unit = "image" if row["query_unit"] == "image" else "sequence"
    unit_of = " %" if metric.is_share else ""
    seen = (
        f"{metric.title[:1].upper()}{metric.title[1:]} {score(metric, found.score, ends)}{unit_of} "
        f"on {found.units} {unit}s that the choice had not seen ({row['candidates']} candidates)."
    )
    trained = [r for r in found.rivals if not run.is_floor(r.model)] or list(found.rivals)
    rival, todo = "Only one model was run.", "compare it with others (--models)."
    if trained:
        rival, todo = _beside(found, trained[0], metric, unit)
    floors = [r for r in found.rivals if run.is_floor(r.model) and not r.separable]
    if run.is_floor(found.leader) and all(run.is_floor(r.model) for r in found.rivals):
        todo = f"{found.leader} is a floor: compare it with trained models (--models)."
    elif run.is_floor(found.leader):
        todo = f"{found.leader} is untrained: no model has learned what these labels need."
    elif floors:
        todo = (
            f"it is not shown to beat the floor {floors[0].model}: check the labels, or add more."
        )
    cost = (
        f"{row['gflops_per_image']:.1f} GFLOPs an image, {row['parameters_m']:.1f} M parameters"
        if row["parameters_m"]
        else "none to speak of"
    )
    return Recommendation(
        headline.dataset,
        found.leader,
        recommends(row),
        seen,
        rival,
        todo,
        f"{cost}.",
        headline.task.words.explains(row),
    )


def _beside(found: Lead, rival: Rival, metric: Metric, unit: str) -> tuple[str, str]:
    """The runner-up in words, and what follows from it."""
    by = difference(metric.is_share, (rival.difference, rival.low, rival.high))
    start = f"Runner-up: {rival.model}, behind by {by}"
    if rival.separable and not found.few:
        return f"{start}: the two can be told apart.", "use it; larger models may be better still."
    if rival.separable:
        told = f"{start}, but {found.units} {unit}s are too few to decide (at least 10)."
        return told, f"label {10 - found.units} more {unit}s."
    told = f"{start}: the two cannot be told apart."
    if found.units < LEAST:
        return told, f"label at least {LEAST} {unit}s: fewer say nothing of how many would decide."
    rows = [_row(found.headline, name) for name in (found.leader, rival.model)]
    values = [by_unit(weighted_of(found.headline.task, row), metric.key) for row in rows]
    more = more_units(values[0] - values[1])
    if more is None:
        return told, (
            f"take the cheaper one: more than {MOST} times as many labelled {unit}s would be needed"
            " to separate them."
        )
    many = f"{more.low} to {more.high}" if more.high else f"{more.low} or many"
    many = str(more.low) if more.low == more.high else many
    return told, f"{many} more labelled {unit}s would separate these two; or take the cheaper one."


def _row(headline: Headline, model: str) -> dict[str, Any]:
    [row] = headline.rows[headline.rows["model"] == model].to_dict("records")
    return {str(key): value for key, value in row.items()}
