"""What is said of a task: titles, captions, and the names of its heads and columns."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from patchlens.tasks.metric import NUMBER, matches

if TYPE_CHECKING:
    import pandas as pd

Spread = Literal["interval", "deviation"]


@dataclass(frozen=True)
class Words:
    """The words of a task. No score depends on them.

    Attributes:
        title: of its page.
        about: what it is, in the titles of its tables.
        caption: the rows of one dataset -> their protocol in words; values that differ between
            rows are listed.
        heads: head -> its name, in the order of the tables; a key with `{}` is a family such as
            `patch_{}`, whose members follow in the order of their numbers.
        question: what it tests, as one question.
        need: what a user would need it for, on the overview.
        overview: (head, metric) pairs that the overview shows, in order; if empty, the first
            metric of its first heads.
        results: whether the results page shows the gains of every head, not only of the first.
        floor: a head that uses no features, the last row of each table; "" for none.
        spread: what follows a score in tables: its interval, or its deviation over support seeds.
        mark: a row -> a sign behind its score.
        cost: columns of the cost beside those of every task -> their names.
        columns: columns of its CSV files -> their names, where the name does not say enough.
        values: values in its CSV files -> their names.
        shares: columns of its CSV files that are shares, beside its metrics.
        heading: of a study, on the results page; "" for none.
        table: columns of the table of a study -> their names, on its page.
        note: below that table.
        undrawn: files of its plots that are for DVC only.
        page: the page that shows a study; by default, the task has a page of its own.
        recommends: a row -> the setting that it recommends, of a task that chooses one.
        explains: a row -> what the words of that setting mean.
    """

    title: str
    about: str
    caption: Callable[["pd.DataFrame"], str]
    heads: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    need: str = ""
    overview: tuple[tuple[str, str], ...] = ()
    results: bool = False
    floor: str = ""
    spread: Spread = "interval"
    mark: Callable[["pd.Series[Any]"], str] = lambda row: ""
    cost: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    shares: frozenset[str] = frozenset()
    heading: str = ""
    table: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    undrawn: frozenset[str] = frozenset()
    page: str = ""
    recommends: "Callable[[Mapping[Any, Any]], str] | None" = None
    explains: "Callable[[Mapping[Any, Any]], str]" = lambda row: ""

    def head(self, name: str) -> str:
        """A head in words; by its own name if the task does not name it."""
        for pattern, words in self.heads.items():
            if matches(pattern, name):
                start = pattern.partition(NUMBER)[0]
                return (
                    words.replace(NUMBER, name.removeprefix(start)) if NUMBER in pattern else words
                )
        return name

    def in_order(self, heads: Iterable[str]) -> list[str]:
        """Heads in the order of the tables; those without words come last."""
        patterns = list(self.heads)

        def place(head: str) -> tuple[int, int, str]:
            known = [i for i, pattern in enumerate(patterns) if matches(pattern, head)]
            return (known[0] if known else len(patterns), len(head), head)

        return sorted(heads, key=place)
