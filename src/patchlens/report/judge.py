"""Judges claims on the cells of a run: both sides resampled together, then one verdict each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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

FAMILY = {"paper": "shipped", "minicity": "shipped", "open": "open", "own": "own"}  # by group
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


def missing(claim: Claim, configured: Configured) -> Iterator[str]:
    """Reasons why a claim cannot be run, from params.yaml and the weights."""
    absent = [model for model in claim.models if model not in configured.models]
    if absent:
        yield f"not in models: {', '.join(absent)}"
    unknown = [dataset for dataset in claim.datasets if dataset not in configured.kinds]
    if unknown:
        yield f"not in datasets: {', '.join(unknown)}"
    ran = configured.tasks.get(claim.metric.split(".")[0], [])
    for dataset in claim.datasets:
        kind = configured.kinds.get(dataset)
        if kind is None:
            continue
        if dataset not in ran:
            yield f"{claim.metric.split('.')[0]} does not run on {dataset}"
        elif claim.group != "own" and kind != dataset:
            yield f"dataset {dataset} is of kind {kind}, but the claim is about {dataset}"
        else:
            yield from _misfilled(claim, dataset, absent)


def _misfilled(claim: Claim, dataset: DatasetName, absent: Sequence[ModelName]) -> Iterator[str]:
    """Slots whose weights are not those that the claim is about."""
    for model, texts in claim.slots.items():
        if model in absent:
            continue
        path = paths.cell(dataset=dataset, model=model) / "extract.json"
        if not path.is_file():
            yield f"{model} on {dataset}: {path.name} is missing"
            continue
        with reading(path):
            about = read_json(path)
            origin, other = str(about["origin"]), str(about.get("not_official", ""))
        if "dataset" in other and claim.group != "own":
            yield f"dataset {dataset} is {UNOFFICIAL}"
        if "weights" in other:
            yield f"slot {model} has the weights {origin}"
            continue
        # Not the architecture: an untrained model has the same one.
        if not any(text.lower() in origin.lower() for text in texts):
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

    Raises:
        DataError: records contradict each other or cannot be resampled.
    """
    judge = ClaimJudge(configured, SharedResampler(resamples, seed))
    outcomes = {name: judge.judge(claim) for name, claim in claims.items()}
    for family in dict.fromkeys(FAMILY.values()):
        together = {
            name: outcome.p
            for name, outcome in outcomes.items()
            if outcome.was_run and FAMILY[outcome.claim.group] == family
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
            return self._judge(claim)
        except NotRun as reason:
            return Outcome(claim, note=str(reason))

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
