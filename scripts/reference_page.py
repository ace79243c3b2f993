"""Write docs/reference-comparison.md from published numbers and metrics/tables.

`python scripts/reference_page.py` writes it, `--check` only says whether it is outdated.
"""

import sys
from collections.abc import Sequence
from itertools import groupby

from made_pages import ROOT, bring_up_to_date
from patchlens import paths
from patchlens.display import grid
from patchlens.report.reference import Compared, counts, heading, result
from patchlens.settings.load import load
from patchlens.site.reading import read
from patchlens.site.reference import rows
from patchlens.tasks.known import known

PAGE = ROOT / "docs/reference-comparison.md"
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


def main() -> int:
    text = page(rows(read(load(paths.PARAMS, known()))))
    return bring_up_to_date(__doc__.splitlines()[0], {PAGE: text})


def page(rows: Sequence[Compared]) -> str:
    """The document."""
    told = ", ".join(f"{n} {words}" for words, n in counts(rows).items())
    parts = [INTRODUCTION.format(counts=f"{len(rows)} numbers: {told}.")]
    for one, members in groupby(rows, key=lambda row: row.published):
        table = grid.markdown(HEAD, [_cells(row) for row in members])
        parts.append("\n".join([f"## {one.title}: {one.source}", "", *heading(one), "", table, ""]))
    return "\n".join(parts)


def _cells(row: Compared) -> list[str]:
    ours = "" if row.ours is None else f"{row.ours:g} ({row.slot})"
    difference = "" if row.difference is None else f"{row.difference:+g}"
    return [row.model, row.dataset, row.score, f"{row.value:g}", ours, difference, result(row)]


if __name__ == "__main__":
    sys.exit(main())
