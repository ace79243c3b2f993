"""Published numbers and ours, as a page: the same rows as docs/reference-comparison.md."""

from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from patchlens.report.reference import Compared, compare, published
from patchlens.report.reference_page import HEAD, counts, heading, result
from patchlens.site.figure import Cell, Grid, csv
from patchlens.site.page import Page
from patchlens.site.reading import Run

DATA = "data/reference.csv"


def rows(run: Run) -> list[Compared]:
    """Every published number beside ours."""
    kinds = {name: dataset.kind for name, dataset in run.settings.datasets.items()}
    return compare(published(), run.tables, kinds)


def pages(run: Run) -> list[Page]:
    """The page."""
    found = rows(run)
    grids = [
        (heading(one), _grid(f"reference-{n}", list(members)))
        for n, (one, members) in enumerate(groupby(found, key=lambda row: row.published))
    ]
    context = {"grids": grids, "counts": counts(found), "total": len(found), "data": DATA}
    files = {DATA: _csv(found)}
    return [Page("reference", "Paper and ours", "reference.html", context, files, "Others")]


def _grid(key: str, members: Sequence[Compared]) -> Grid:
    one = members[0].published
    cells = [
        [
            Cell(row.model),
            Cell(row.dataset),
            Cell(row.score),
            Cell(f"{row.value:g}", row.value),
            Cell("–" if row.ours is None else f"{row.ours:g} ({row.slot})", row.ours),
            Cell("–" if row.difference is None else f"{row.difference:+g}", row.difference),
            Cell(result(row)),
        ]
        for row in members
    ]
    return Grid(key, f"{one.title}: {one.source} (%)", HEAD, cells)


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
