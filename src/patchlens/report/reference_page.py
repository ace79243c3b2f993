"""docs/reference-comparison.md: published numbers beside ours."""

from collections.abc import Sequence
from itertools import groupby

from patchlens.display import grid
from patchlens.report.reference import STATUSES, Compared, Published

INTRODUCTION = """\
<!-- Made by `make readme` from src/patchlens/report/reference.yaml and metrics/tables. -->
# Published numbers and ours

Published numbers from protocols similar to ours, in per cent, beside the numbers of this run. Two
numbers are compared only if dataset, weights and metric are the same and our protocol meets the
conditions of theirs; otherwise the table says why not. The tolerance bands are our own choice: no
exact agreement is expected.

The paper itself is not listed, since our references contain no numbers of it. Its findings are
judged as [claims](claims.md).

{counts}
"""
HEAD = ["model", "dataset", "score", "published", "ours", "difference", "result"]


def counts(rows: Sequence[Compared]) -> dict[str, int]:
    """The number of rows with each result, by the words for it."""
    return {words: sum(row.status == status for row in rows) for status, words in STATUSES.items()}


def page(rows: Sequence[Compared]) -> str:
    """The document."""
    told = ", ".join(f"{n} {words}" for words, n in counts(rows).items())
    parts = [INTRODUCTION.format(counts=f"{len(rows)} numbers: {told}.")]
    for one, members in groupby(rows, key=lambda row: row.published):
        table = grid.markdown(HEAD, [_cells(row) for row in members])
        parts.append("\n".join([f"## {one.title}: {one.source}", "", *heading(one), "", table, ""]))
    return "\n".join(parts)


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


def _cells(row: Compared) -> list[str]:
    ours = "" if row.ours is None else f"{row.ours:g} ({row.slot})"
    difference = "" if row.difference is None else f"{row.difference:+g}"
    return [row.model, row.dataset, row.score, f"{row.value:g}", ours, difference, result(row)]
