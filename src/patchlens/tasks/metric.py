"""Metrics as data: each task lists its own once, and all that shows scores follows the list."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

NUMBER = "{}"  # in a key or a head: any number, as in d1, d5 or patch_2


@dataclass(frozen=True)
class Metric:
    """A metric of a task.

    Attributes:
        key: its name in cells, CSV files and claims; with `{}`, a family such as d1, d5, d10.
        title: its name in words, without the unit; `{}` is the number of a family, and `{s}` a
            plural s.
        unit: `share` (0–1, shown in per cent), `count` or `number`.
        higher_is_better: its sense.
        heads: the heads that it is measured in; none in a study, which has no heads.
        headline: the heads in which it has tables and figures and is compared with the best; of a
            family, its smallest and its largest number, and those of `between`.
        between: numbers of a family.
        patchwise: the heads in which it scores single patches, so that claims compare it on equal
            grids only.
    """

    key: str
    title: str
    unit: Literal["share", "count", "number"] = "share"
    higher_is_better: bool = True
    heads: tuple[str, ...] = ()
    headline: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    patchwise: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The title with the unit, and with the sense if it is not the usual one."""
        unit = " (%)" if self.is_share else ""
        return self.title + unit + ("" if self.higher_is_better else " (fewer is better)")

    @property
    def is_share(self) -> bool:
        """Whether it is shown in per cent, and its differences in points."""
        return self.unit == "share"

    @property
    def sense(self) -> int:
        """1 if higher is better, otherwise -1."""
        return 1 if self.higher_is_better else -1

    def member(self, key: str) -> "Metric | None":
        """The metric of exactly this key: itself, or one of its family; None if it is another."""
        if (found := number(self.key, key)) is None:
            return None
        plural = "" if found == "1" else "s"
        title = self.title.replace("{s}", plural).replace(NUMBER, found)
        return replace(self, key=key, title=title)


def matches_any(patterns: Iterable[str], text: str) -> bool:
    """Whether a head or key is of one of the patterns."""
    return any(matches(pattern, text) for pattern in patterns)


def matches(pattern: str, text: str) -> bool:
    """Whether a head or key is of a pattern, in which `{}` is any number."""
    return number(pattern, text) is not None


def headline(metrics: Iterable[Metric], head: str, keys: Sequence[str]) -> list[Metric]:
    """The metrics that are shown for a head, in the order of the list.

    Args:
        metrics: those of the task.
        head: one of its heads.
        keys: the metrics that were measured.
    """
    shown = [m for m in metrics if matches_any(m.headline, head)]
    return [member for metric in shown for member in _ends(metric, keys)]


def find(metrics: Iterable[Metric], head: str | None, key: str) -> Metric | None:
    """The metric `key` of a head (None: of a study, which has no heads), if there is one."""
    for metric in metrics:
        is_there = not metric.heads if head is None else matches_any(metric.heads, head)
        if is_there and (found := metric.member(key)):
            return found
    return None


def _ends(metric: Metric, keys: Sequence[str]) -> Iterator[Metric]:
    found = {key: member for key in keys if (member := metric.member(key))}
    if NUMBER not in metric.key:
        yield from found.values()
        return
    ordered = sorted(found, key=lambda key: int(number(metric.key, key) or 0))
    ends = {*ordered[:1], *ordered[-1:]}
    for key in ordered:
        if key in ends or number(metric.key, key) in metric.between:
            yield found[key]


def number(pattern: str, text: str) -> str | None:
    """The number at `{}`, "" if the pattern has none; None if the text is not of the pattern."""
    before, number, after = pattern.partition(NUMBER)
    if not number:
        return "" if text == pattern else None
    found = re.fullmatch(rf"{re.escape(before)}(\d+){re.escape(after)}", text)
    return found[1] if found else None
