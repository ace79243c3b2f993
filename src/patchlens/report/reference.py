"""Published numbers beside ours: the differences, and why some are not comparable."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from numbers import Real
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from patchlens.settings.base import Strict
from patchlens.settings.sources import UNOFFICIAL
from patchlens.settings.validated import validated

Status = Literal["within", "outside", "not comparable", "not run"]
STATUSES: dict[Status, str] = {
    "within": "within the band",
    "outside": "outside the band",
    "not comparable": "not comparable",
    "not run": "not run",
}
DIGITS = 2  # after the decimal point, in per cent
NO_WEIGHTS = "no weights of this model in the registry"
KEYS = ["dataset", "origin", "head", "variant"]


class AtLeast(Strict):
    """A lower bound of a protocol value."""

    at_least: float


class PublishedModel(Strict):
    """A model as its source names it; see reference.yaml."""

    weights: list[str]
    values: Annotated[dict[str, dict[str, float]], Field(min_length=1)]


class Published(Strict):
    """Numbers of one source under one protocol; see reference.yaml."""

    title: str
    source: str
    second_hand: bool
    protocol: str
    task: str | None = None
    why_not: str | None = None
    needs: dict[str, str | float | list[str] | AtLeast] = Field(default={})
    band: Annotated[float, Field(gt=0)] | None = None
    band_reason: str | None = None
    models: Annotated[dict[str, PublishedModel], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> "Published":
        if (self.band is None) != (self.band_reason is None):
            raise ValueError("'band' and 'band_reason' go together")
        scored = self.task is not None and self.why_not is None
        if scored and self.band is None:
            raise ValueError("'band' is missing; it is needed to compare ours")
        names = [score for model in self.models.values() for score in model.values]
        if scored and (wrong := [name for name in names if name.count(".") != 2]):
            raise ValueError(f"'{wrong[0]}' is not a score; write head.variant.metric")
        return self


@dataclass(frozen=True)
class Compared:
    """A published number and ours, both in per cent.

    `ours` is None if we have none; `why` says why the two are not compared.
    """

    published: Published
    model: str
    dataset: str
    score: str
    value: float
    status: Status
    ours: float | None = None
    slot: str = ""
    why: str = ""

    @property
    def difference(self) -> float | None:
        """Ours minus theirs in points; None if the two are not comparable."""
        if self.ours is None or self.status == "not comparable":
            return None
        return round(self.ours - self.value, DIGITS)


def published() -> dict[str, Published]:
    """The numbers of reference.yaml."""
    with as_file(files("patchlens.report") / "reference.yaml") as path:
        found: dict[str, Published] = validated(
            path,
            dict[str, Published],
            missing="this file belongs to the package; reinstall patchlens",
        )
    return found


def compare(
    numbers: Mapping[str, Published],
    tables: Mapping[str, pd.DataFrame],
    kinds: Mapping[str, str],
) -> list[Compared]:
    """Every published number with ours, one row per number, dataset and model slot.

    Args:
        numbers: the published numbers.
        tables: task -> its table, one row per dataset, model, head and variant, with protocol.
        kinds: dataset in params.yaml -> its kind.
    """
    return [
        row
        for one in numbers.values()
        for model, about in one.models.items()
        for score, values in about.values.items()
        for dataset, value in values.items()
        for row in _rows(one, model, about, dataset, score, value, tables, kinds)
    ]


def _rows(
    one: Published,
    model: str,
    about: PublishedModel,
    dataset: str,
    score: str,
    value: float,
    tables: Mapping[str, pd.DataFrame],
    kinds: Mapping[str, str],
) -> Iterator[Compared]:
    if one.why_not is not None:
        yield Compared(one, model, dataset, score, value, "not comparable", why=one.why_not)
        return
    if not about.weights or one.task is None:
        yield Compared(one, model, dataset, score, value, "not run", why=NO_WEIGHTS)
        return
    head, variant, metric = score.split(".")
    found = tables.get(one.task, pd.DataFrame(columns=KEYS))
    if found.empty:  # the table of a task without datasets lacks the columns of its cells
        found = pd.DataFrame(columns=KEYS)
    here = found["dataset"].map(kinds) == dataset
    named = [any(text in str(origin) for text in about.weights) for origin in found["origin"]]
    theirs = pd.Series(named, index=found.index, dtype=bool)
    rows = found[here & theirs & (found["head"] == head) & (found["variant"] == variant)]
    if metric in rows:
        rows = rows[rows[metric].notna()]
    if metric not in rows or rows.empty:
        why = _missing(dataset, one.task, bool(here.any()), any(named))
        yield Compared(one, model, dataset, score, value, "not run", why=why)
        return
    for _, row in rows.iterrows():
        ours = round(100 * float(row[metric]), DIGITS)
        unmet = "; ".join(_unmet(one, row))
        assert one.band is not None
        near = abs(ours - value) <= one.band
        status: Status = "not comparable" if unmet else "within" if near else "outside"
        slot = f"{row['model']} on {row['dataset']}"
        yield Compared(one, model, dataset, score, value, status, ours, slot, unmet)


def _missing(dataset: str, task: str, has_dataset: bool, has_model: bool) -> str:
    absent = [] if has_dataset else [f"{task} was not run on {dataset}"]
    absent += [] if has_model else ["no model slot has these weights"]
    return " and ".join(absent) or "this head, variant or metric was not run"


def _unmet(one: Published, row: "pd.Series[Any]") -> Iterator[str]:
    if isinstance(other := row.get("not_official"), str):
        yield f"{UNOFFICIAL} ({other})"
    for column, wanted in one.needs.items():
        value = row.get(column)
        if isinstance(wanted, AtLeast):
            if not isinstance(value, Real) or not float(value) >= wanted.at_least:
                yield f"{column} is {value}, but at least {wanted.at_least:g} in theirs"
        elif value not in (allowed := wanted if isinstance(wanted, list) else [wanted]):
            yield f"{column} is {value}, but {' or '.join(map(str, allowed))} in theirs"


def counts(rows: Sequence[Compared]) -> dict[str, int]:
    """The number of rows with each result, by the words for it."""
    return {words: sum(row.status == status for row in rows) for status, words in STATUSES.items()}


def heading(one: Published) -> list[str]:
    """Source, protocol and tolerance band, one or two sentences each."""
    second = " (second-hand, from a transcript)" if one.second_hand else ""
    told = [f"Source: {one.source}{second}.", f"Protocol: {one.protocol}."]
    if one.band is not None:
        told.append(f"Band: ±{one.band:g} points. {one.band_reason}")
    return told


def result(row: Compared) -> str:
    """The result in words, with the reason."""
    return STATUSES[row.status] + (f": {row.why}" if row.why else "")
