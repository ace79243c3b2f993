"""The page of published numbers beside ours, with the rows of docs/reference-comparison.md."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import ascii_lowercase

import pandas as pd

from patchlens.report.reference import (
    STATUSES,
    Compared,
    compare,
    counts,
    heading,
    published,
    result,
)
from patchlens.site.figure import Grid, TableCell, csv, files
from patchlens.site.page import Page
from patchlens.site.reading import Run

DATA = "data/reference.csv"
ALWAYS = ("model", "dataset", "score", "published")
CELLS: dict[str, Callable[[Compared], TableCell]] = {
    "model": lambda row: TableCell(row.model),
    "dataset": lambda row: TableCell(row.dataset),
    "score": lambda row: TableCell(row.score),
    "published": lambda row: TableCell(f"{row.value:g}", row.value),
    "ours": lambda row: TableCell(
        "" if row.ours is None else f"{row.ours:g} ({row.slot})", row.ours
    ),
    "difference": lambda row: TableCell(
        "" if row.difference is None else f"{row.difference:+g}", row.difference
    ),
}


@dataclass(frozen=True)
class Section:
    """The numbers of one source: a table, lines above it, and the count of each result.

    `compared` says whether any number of ours is beside them; other sections are collapsed.
    """

    grid: Grid
    lines: Sequence[str]
    summary: str
    compared: bool


def rows(run: Run) -> list[Compared]:
    """Every published number with ours."""
    kinds: dict[str, str] = {name: dataset.kind for name, dataset in run.settings.datasets.items()}
    return compare(published(), run.tables, kinds)


def pages(run: Run) -> list[Page]:
    """The page."""
    found = rows(run)
    sections = [
        _section(f"reference-{n}", list(members))
        for n, (_, members) in enumerate(groupby(found, key=lambda row: row.published))
    ]
    sections.sort(key=lambda section: not section.compared)
    context = {"sections": sections, "counts": counts(found), "total": len(found), "data": DATA}
    content = {DATA: _csv(found)} | files(section.grid for section in sections)
    return [Page("reference", "Published numbers", "reference.html", context, content, "Others")]


def _section(key: str, members: Sequence[Compared]) -> Section:
    one = members[0].published
    told = counts(members)
    summary = ", ".join(f"{number} {words}" for words, number in told.items() if number)
    # A reason shared by rows is stated once, above; empty columns are dropped.
    reasons, own = _folded(members)
    columns = {name: [cell(row) for row in members] for name, cell in CELLS.items()}
    columns["result"] = [TableCell(text) for text in own]
    kept = {
        name: cells
        for name, cells in columns.items()
        if name in ALWAYS or any(cell.text for cell in cells)
    }
    cells = [list(row) for row in zip(*kept.values(), strict=True)]
    grid = Grid(key, f"{one.title}: {one.source} (%)", list(kept), cells)
    return Section(
        grid, [*heading(one), *reasons], summary, any(row.ours is not None for row in members)
    )


def _folded(members: Sequence[Compared]) -> tuple[list[str], list[str]]:
    """One line per reason that several rows share, and the text of each row: a letter or all."""
    said = Counter(result(row) for row in members)
    if len(said) == 1:
        (text,) = said
        return [f"All rows: {text}."], [""] * len(members)
    often = [text for text, number in said.items() if number > 1 and ": " in text]
    letters = dict(zip(often, ascii_lowercase, strict=False))
    lines = [f"({letter}) {text}." for text, letter in letters.items()]
    own = [
        f"{STATUSES[row.status]} ({letters[text]})" if (text := result(row)) in letters else text
        for row in members
    ]
    return lines, own


def _csv(found: Sequence[Compared]) -> bytes:
    table = pd.DataFrame(
        {
            "title": row.published.title,
            "source": row.published.source,
            "second_hand": row.published.second_hand,
            "protocol": row.published.protocol,
            "model": row.model,
            "dataset": row.dataset,
            "score": row.score,
            "published": row.value,
            "ours": row.ours,
            "slot": row.slot,
            "difference": row.difference,
            "band": row.published.band,
            "status": row.status,
            "why": row.why,
        }
        for row in found
    )
    return csv(table)
