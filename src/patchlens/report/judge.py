"""Judges claims on the cells of a run: both sides resampled together, then one verdict each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens import paths
from patchlens.arrays import Floats
from patchlens.errors import DataError
from patchlens.names import DatasetName, ModelName
from patchlens.report import verdict as rules
from patchlens.report.measures import NotRun, Score, measure
from patchlens.report.verdict_words import note
from patchlens.settings.claims import Claim, Side
from patchlens.settings.sources import UNOFFICIAL
from patchlens.stored import read_json, reading
from patchlens.tasks.resample import SharedResampler, interval
from patchlens.tasks.table import cells

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

FAMILY = {"paper": "shipped", "minicity": "shipped", "open": "open", "own": "own"}  # by group
OF = "@"  # in the name of a part of a claim; no claim has it in its own
LEVELS = {"difference": 0.95, "superlative": 0.95, "equivalence": 0.9}  # of the interval shown


@dataclass(frozen=True)
class Outcome:
    """A judged claim: the reason why it was not run, or the numbers behind the verdict.

    Attributes:
        claim: as in claims.yaml.
        verdict: supported, contradicted, undecided or not run.
        note: the reason for the verdict, in words.
        effect: positive where it goes the way that the claim says.
        low, high: ends of its interval, not adjusted for the number of claims.
        p_supported, p_contradicted, p: p values of this claim alone.
        p_holm: p adjusted for the number of claims.
        units: query units of the smallest dataset.
        rival: of a superlative, the strongest rival, which the effect is measured against.
        above_chance: of an equivalence with `chance`, by how much that variant is above chance,
            with the ends of the interval.
        part: whether it is of one dataset of a claim about several: no family has it, and its
            `p_holm` is its own p.
    """

    claim: Claim
    verdict: str = "not run"
    note: str = ""
    effect: float = 0.0
    low: float = 0.0
    high: float = 0.0
    p_supported: float = 1.0
    p_contradicted: float = 1.0
    p: float = 1.0
    p_holm: float = 1.0
    units: int = 0
    rival: str = ""
    above_chance: tuple[float, float, float] | None = None
    part: bool = False

    @property
    def was_run(self) -> bool:
        """Whether the claim was judged."""
        return self.verdict != "not run"


@dataclass(frozen=True)
class Configured:
    """What params.yaml lists; cells of other models and datasets are ignored.

    Attributes:
        models: names of the models.
        tasks: task (the first word of a metric) -> the datasets that it runs on.
        kinds: dataset -> its kind.
    """

    models: Sequence[ModelName]
    tasks: Mapping[str, Sequence[DatasetName]]
    kinds: Mapping[DatasetName, str]

    @classmethod
    def of(cls, settings: "Settings") -> "Configured":
        """What these settings list."""
        kinds = {name: dataset.kind for name, dataset in settings.datasets.items()}
        return cls(list(settings.models), cells(settings), kinds)


def extracted(dataset: DatasetName, model: ModelName) -> Mapping[str, Any] | None:
    """What is known of the files behind a cell; None before its features are extracted."""
    path = paths.cell(dataset=dataset, model=model) / "extract.json"
    if not path.is_file():
        return None
    with reading(path):
        return {"not_official": ""} | dict(read_json(path))


def placed(claim: Claim, configured: Configured) -> list[DatasetName]:
    """The datasets of a claim as this run names them.

    A shipped claim is about a published dataset. If its task does not run on one of that name, but
    on a single one of that kind, such as another view of it, then that one is meant.
    """
    ran = configured.tasks.get(claim.metric.split(".")[0], [])
    found = []
    for name in claim.datasets:
        of_kind = [dataset for dataset in ran if configured.kinds.get(dataset) == name]
        other = claim.group != "own" and name not in ran and len(of_kind) == 1
        found.append(of_kind[0] if other else name)
    return found


def missing(
    claim: Claim,
    configured: Configured,
    about: Callable[[DatasetName, ModelName], Mapping[str, Any] | None] = extracted,
) -> Iterator[str]:
    """Reasons why a claim cannot be run, from params.yaml and the weights.

    Args:
        claim: as in claims.yaml.
        configured: what params.yaml lists.
        about: `origin` and `not_official` of a cell, as in extract.json; None if not known.
    """
    absent = [model for model in claim.models if model not in configured.models]
    if absent:
        yield f"not in models: {', '.join(absent)}"
    there = placed(claim, configured)
    unknown = [dataset for dataset in there if dataset not in configured.kinds]
    if unknown:
        yield f"not in datasets: {', '.join(unknown)}"
    ran = configured.tasks.get(claim.metric.split(".")[0], [])
    for named, dataset in zip(claim.datasets, there, strict=True):
        kind = configured.kinds.get(dataset)
        if kind is None:
            continue
        if dataset not in ran:
            yield f"{claim.metric.split('.')[0]} does not run on {dataset}"
        elif claim.group != "own" and kind != named:
            yield f"dataset {dataset} is of kind {kind}, but the claim is about {named}"
        else:
            for model in [model for model in claim.slots if model not in absent]:
                yield from _misfilled(claim, dataset, model, about(dataset, model))


def _misfilled(
    claim: Claim, dataset: DatasetName, model: ModelName, about: Mapping[str, Any] | None
) -> Iterator[str]:
    """Why a cell does not hold what the claim is about."""
    if about is None:
        yield f"{model} on {dataset}: extract.json is missing"
        return
    origin, texts = str(about["origin"]), claim.slots[model]
    if "dataset" in about["not_official"] and claim.group != "own":
        yield f"dataset {dataset} is {UNOFFICIAL}"
    if "weights" in about["not_official"]:
        yield f"slot {model} has the weights {origin}"
    # Not the architecture: an untrained model has the same one.
    elif not any(text.lower() in origin.lower() for text in texts):
        yield f"slot {model} has the weights {origin}, not {' or '.join(texts)}"


@dataclass(frozen=True)
class Effect:
    """Side a minus side b: estimate, expanded resamples [B], units of the smallest dataset."""

    estimate: float
    samples: Floats
    units: int


def judge(
    claims: Mapping[str, Claim], configured: Configured, resamples: int, seed: int
) -> dict[str, Outcome]:
    """Judge every claim; the groups of a family (see `FAMILY`) are adjusted together by Holm.

    A claim about several datasets is followed by its parts, `<claim>@<dataset>`, as far as they
    can be judged: the same comparison on each alone. Their p is not adjusted: no family has them.

    Raises:
        DataError: records contradict each other or cannot be resampled.
    """
    judge = ClaimJudge(configured, SharedResampler(resamples, seed))
    outcomes = {
        name: outcome
        for whole, claim in claims.items()
        for name, outcome in [(whole, judge.judge(claim)), *judge.parts(whole, claim)]
    }
    for family in dict.fromkeys(FAMILY.values()):
        together = {
            name: outcome.p
            for name, outcome in outcomes.items()
            if outcome.was_run and name in claims and FAMILY[outcome.claim.group] == family
        }
        for name, adjusted in rules.holm(together).items():
            o = outcomes[name]
            decided = rules.verdict(o.p_supported, o.p_contradicted, adjusted, o.units)
            judged = replace(o, verdict=decided, p_holm=adjusted)
            outcomes[name] = replace(judged, note=note(judged))
    return outcomes


class ClaimJudge:
    """Holds the scores that several claims need."""

    def __init__(self, configured: Configured, resampler: SharedResampler) -> None:
        self.configured = configured
        self.resampler = resampler
        self.scores: dict[tuple[str, str, str, str], Score] = {}

    def judge(self, claim: Claim) -> Outcome:
        """P values of a claim, not yet adjusted, or the reason why it was not run."""
        reasons = list(dict.fromkeys(missing(claim, self.configured)))
        if reasons:
            return Outcome(claim, note="; ".join(reasons))
        try:
            return self._judge(
                claim.model_copy(update={"datasets": placed(claim, self.configured)})
            )
        except NotRun as reason:
            return Outcome(claim, note=str(reason))

    def parts(self, name: str, claim: Claim) -> Iterator[tuple[str, Outcome]]:
        """What was judged of a claim about several datasets on each of them alone."""
        for dataset in claim.datasets if len(claim.datasets) > 1 else ():
            text = f"On {dataset} alone: {claim.text}"
            o = self.judge(claim.model_copy(update={"datasets": [dataset], "text": text}))
            if o.was_run:
                decided = rules.verdict(o.p_supported, o.p_contradicted, o.p, o.units)
                o = replace(o, verdict=decided, p_holm=o.p, part=True)
                yield f"{name}{OF}{dataset}", replace(o, note=note(o))

    def _judge(self, claim: Claim) -> Outcome:
        rival, above_chance = "", None
        if claim.kind == "superlative":
            rivals = {
                model: self._effect(claim, claim.a, Side(models=[model], variant=claim.b.variant))
                for model in claim.b.models
            }
            rival = min(rivals, key=lambda model: rivals[model].estimate)
            shown = rivals[rival]
            p = rules.superlative([effect.samples for effect in rivals.values()], claim.delta)
        else:
            shown = self._effect(claim, claim.a, claim.b)
            if claim.kind == "difference":
                p = rules.difference(shown.samples, claim.delta)
            elif claim.chance is None:
                p = rules.equivalence(shown.samples, claim.delta)
            else:
                above = self._above_chance(claim, claim.chance.variant)
                low, high = interval(above.samples, LEVELS[claim.kind])
                above_chance = (above.estimate, float(low), float(high))
                p = rules.equivalence(shown.samples, claim.delta, above.samples)
        low, high = interval(shown.samples, LEVELS[claim.kind])
        return Outcome(
            claim,
            verdict="undecided",
            effect=shown.estimate,
            low=float(low),
            high=float(high),
            p_supported=float(p.supported),
            p_contradicted=float(p.contradicted),
            p=float(p.combined),
            units=shown.units,
            rival=rival,
            above_chance=above_chance,
        )

    def _above_chance(self, claim: Claim, variant: str) -> Effect:
        tested = claim.a.model_copy(update={"variant": variant})
        return self._effect(claim, tested, tested, f"{claim.metric}_chance")

    def _effect(self, claim: Claim, a: Side, b: Side, metric_b: str | None = None) -> Effect:
        """Mean over datasets of side a minus side b, in the direction of the claim."""
        sign = -1 if claim.direction == "less" else 1
        estimate, parts, units = np.array(0.0), [], []
        for dataset in claim.datasets:
            sides = [
                [self._score(metric, dataset, model, side.variant) for model in side.models]
                for side, metric in ((a, claim.metric), (b, metric_b or claim.metric))
            ]
            first = sides[0][0]
            self._check_alike(claim, dataset, sides[0] + sides[1])
            weight = sign / len(claim.datasets)
            point, samples = (
                weight * (np.mean(ours, axis=0) - np.mean(theirs, axis=0))
                for ours, theirs in (
                    [[score.point for score in side] for side in sides],
                    [[score.samples for score in side] for side in sides],
                )
            )
            own, of_dataset = rules.effect_parts(
                point, samples, first.draws.seeds, len(first.units)
            )
            estimate = estimate + own
            parts += of_dataset
            units.append(len(first.units))
        return Effect(float(estimate), rules.expanded(estimate, parts), min(units))

    def _check_alike(self, claim: Claim, dataset: DatasetName, scores: list[Score]) -> None:
        first = scores[0]
        if any((score.seeds, score.units) != (first.seeds, first.units) for score in scores):
            raise DataError(
                f"{paths.CELLS / dataset}: the records of {', '.join(claim.models)} have different "
                "seeds or images; run `dvc repro`"
            )
        grids = sorted({score.grid for score in scores})
        if len(grids) > 1:
            raise NotRun(
                f"patch scores on {dataset} are on different grids, {' and '.join(grids)}, and "
                "cannot be compared: use a pixel metric or view.grid: equal"
            )

    def _score(self, metric: str, dataset: DatasetName, model: ModelName, variant: str) -> Score:
        key = (metric, dataset, model, variant)
        if key not in self.scores:
            named = measure(metric)
            assert named is not None  # else the claim was not run
            self.scores[key] = named.score(self.resampler, dataset, model, variant)
        return self.scores[key]
