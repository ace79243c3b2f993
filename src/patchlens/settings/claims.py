"""Findings as data: `claims.yaml` is parsed into typed claims; each mistake is one line.

The line names the key with the mistake.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import ErrorDetails

from patchlens.names import nearest
from patchlens.settings.base import DatasetName, Line, ModelName, Name, Some, Strict, Within, brief
from patchlens.settings.features import VariantName
from patchlens.settings.messages import explain
from patchlens.settings.validated import refuse, validated

Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Models = Some[ModelName]
MINICITY = "minicity"


class Side(Strict):
    """One side of a comparison: the mean over `models` of the metric with this feature variant."""

    models: Models
    variant: VariantName = "raw"


class Chance(Strict):
    """The variant that must be at chance level on the models of side a.

    Chance level is the score of guesses that name each class as often, independently of the truth.
    """

    variant: VariantName


class Claim(Strict):
    """One finding; docs/claims.md explains the keys.

    `delta` is in the unit of the metric: the smallest effect that counts, or for an equivalence the
    largest that does not. `slots` maps a model to texts, one of which must occur in the origin of
    its weights.
    """

    text: Text
    source: Text
    group: Literal["paper", "open", "minicity", "own"] = "own"
    kind: Literal["difference", "equivalence", "superlative"]
    metric: Line
    datasets: Some[DatasetName]
    a: Side
    b: Side
    direction: Literal["greater", "less"] | None = None
    delta: Annotated[float, Within(0, 100_000)]
    chance: Chance | None = None
    slots: dict[ModelName, Some[Text]] = Field(default={})

    @property
    def models(self) -> list[ModelName]:
        """The models of both sides, without repeats."""
        return list(dict.fromkeys(self.a.models + self.b.models))

    @model_validator(mode="after")
    def _consistent(self) -> "Claim":
        problems = [*self._of_kind(), *self._of_group(), *self._of_names()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _of_kind(self) -> Iterable[str]:
        if self.kind == "equivalence":
            if self.direction is not None:
                yield "direction: an equivalence has no direction; remove this key"
            if self.delta == 0:
                yield "delta: an equivalence needs a margin above 0; allowed: > 0"
        else:
            if self.direction is None:
                yield f"direction: this key is missing; a {self.kind} needs greater or less"
            if self.chance is not None:
                yield "chance: allowed with kind: equivalence only; remove this key"

    def _of_group(self) -> Iterable[str]:
        if self.group in ("paper", "open") and MINICITY in self.datasets:
            yield f"datasets: a claim of group {self.group} is about real data; remove 'minicity'"
        if self.group == "minicity" and self.datasets != [MINICITY]:
            yield "datasets: must be [minicity] for a claim of group minicity"
        unnamed = [model for model in self.models if model not in self.slots]
        if self.group != "own" and unnamed:
            names = ", ".join(unnamed)
            yield f"slots: a claim of group {self.group} must state the weights of {names}"

    def _of_names(self) -> Iterable[str]:
        for slot in self.slots:
            if slot not in self.models:
                yield f"slots.{slot}: not a model of this claim; {nearest(slot, self.models)}"
        common = set(self.a.models) & set(self.b.models)
        if self.a.variant == self.b.variant and (
            set(self.a.models) == set(self.b.models) or (common and self.kind == "superlative")
        ):
            yield "b: overlaps with a; choose other models or another variant"


FILE = dict[Name, Claim]


def load(
    path: Path, metrics: Collection[str], variants: Collection[VariantName]
) -> dict[str, Claim]:
    """Read and validate a file of claims: id -> claim, in the order of the file.

    Args:
        path: the file.
        metrics: the names of all metrics that a claim can be about.
        variants: the feature variants.

    Raises:
        SettingsError: the file does not exist or is not YAML, or one line per mistake in it.
    """
    missing = f"restore it with `git checkout {path}`"
    found: dict[str, Claim] = validated(path, FILE, missing=missing, lines=_explain)
    refuse(path, [*_unknown_metrics(found, metrics), *_unknown_variants(found, variants)])
    return found


def _unknown_variants(
    claims: Mapping[str, Claim], variants: Collection[VariantName]
) -> Iterable[str]:
    for name, claim in claims.items():
        for key in ("a", "b", "chance"):
            side: Side | Chance | None = getattr(claim, key)
            if side is not None and side.variant not in variants:
                variant = brief(side.variant)
                yield f"{name}.{key}.variant: '{variant}' is unknown; {nearest(variant, variants)}"


def _unknown_metrics(claims: Mapping[str, Claim], metrics: Collection[str]) -> Iterable[str]:
    for name, claim in claims.items():
        metric = claim.metric
        if metric not in metrics:
            yield f"{name}.metric: '{brief(metric)}' is unknown; {nearest(metric, metrics)}"
        elif claim.chance is not None and f"{metric}_chance" not in metrics:
            yield f"{name}.chance: no chance level is defined for '{metric}'; remove this key"


def _explain(error: ErrorDetails) -> Iterable[str]:
    """One line per problem; the validators of `Claim` report several problems in one error."""
    if error["type"] != "value_error" or len(error["loc"]) > 1:
        yield explain(error, FILE)
        return
    for line in str(error["ctx"]["error"]).split("\n"):
        yield f"{error['loc'][0]}.{line}"
