"""The differences between two sets of metrics: scores, settings and verdicts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from patchlens.report.compare import flat
from patchlens.site.revision import Metrics

ENDS = ("_ci_low", "_ci_high")
NO_SCORES = (*ENDS, "_std")
TIMING = ("images_per_second", "device")  # older revisions keep them among the metrics
CLAIMS = "claims/claims.json"


@dataclass(frozen=True)
class Change:
    """A score that changed.

    Attributes:
        cell: `dataset/model/task`.
        name: head, variant and metric, joined by dots.
        before, after: its values.
        low, high: its 95 % interval before, or None.
    """

    cell: str
    name: str
    before: float
    after: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def excess(self) -> float:
        """The change in half-widths of the interval before; 0 without an interval."""
        if self.low is None or self.high is None:
            return 0
        half = (self.high - self.low) / 2
        return abs(self.difference) / half if half else float("inf")

    @property
    def beyond(self) -> str:
        """Whether the new value lies outside the interval of the old value."""
        if self.low is None or self.high is None:
            return "no interval"
        return "within" if self.low <= self.after <= self.high else "beyond"


@dataclass(frozen=True)
class Differences:
    """All differences.

    Attributes:
        scores: changed scores, the largest change relative to its interval first, those without
            an interval last.
        words: (place, before, after) of settings, hashes and other text.
        verdicts: (claim, before, after).
        only_before, only_after: cells that only one side has.
        equal: the number of unchanged scores.
    """

    scores: list[Change]
    words: list[tuple[str, str, str]]
    verdicts: list[tuple[str, str, str]]
    only_before: list[str]
    only_after: list[str]
    equal: int


def between(before: Metrics, after: Metrics) -> Differences:
    """Compare the cells and verdicts of two sets of metrics, without timings."""
    scores, words, equal = [], [], 0
    cells = [{path for path in side if path.startswith("cells/")} for side in (before, after)]
    for path in sorted(cells[0] & cells[1]):
        cell = path.removeprefix("cells/").removesuffix(".json")
        old, new = _values(before[path]), _values(after[path])
        for name in sorted(old.keys() | new.keys()):
            a, b = old.get(name), new.get(name)
            if name.split(".")[-1] in TIMING or name.endswith(NO_SCORES):
                continue
            if isinstance(a, float) and isinstance(b, float) and "protocol." not in name:
                low, high = (old.get(name + end) for end in ENDS)
                equal += a == b
                scores += [Change(cell, name, a, b, low, high)] if a != b else []
            elif a != b:
                words.append((f"{cell}: {name}", _word(a), _word(b)))
    scores.sort(key=lambda c: (c.low is None, -c.excess, -abs(c.difference), c.cell, c.name))
    return Differences(
        scores,
        words,
        list(_verdicts(before, after)),
        sorted(_cell(path) for path in cells[0] - cells[1]),
        sorted(_cell(path) for path in cells[1] - cells[0]),
        equal,
    )


def _cell(path: str) -> str:
    return path.removeprefix("cells/").removesuffix(".json")


def _word(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _verdicts(before: Metrics, after: Metrics) -> Iterator[tuple[str, str, str]]:
    old, new = before.get(CLAIMS, {}), after.get(CLAIMS, {})
    for claim in sorted(old.keys() | new.keys()):
        words = [side[claim]["verdict"] if claim in side else "–" for side in (old, new)]
        if words[0] != words[1]:
            yield claim, words[0], words[1]


def _values(cell: dict[str, Any]) -> dict[str, Any]:
    """Place -> value; numbers as floats."""
    return {
        place: float(value) if isinstance(value, int | float) else value
        for place, value in flat(cell, ".")
    }
