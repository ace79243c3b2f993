"""Write docs/reference-comparison.md from published numbers and metrics/tables.

`python scripts/reference_page.py` writes it, `--check` only says whether it is outdated.
"""

import sys
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

from made_pages import ROOT, bring_up_to_date
from patchlens import paths
from patchlens.backbones.registry.read import entries
from patchlens.display import grid
from patchlens.report.reference import NO_WEIGHTS, Compared, counts, heading, result
from patchlens.settings.load import Settings, load
from patchlens.settings.models import RegistryModel
from patchlens.site.reading import read
from patchlens.site.reference import rows
from patchlens.tasks.known import known

PAGE = ROOT / "docs/reference-comparison.md"
INTRODUCTION = """\
<!-- Made by `make readme` from src/patchlens/report/reference.yaml and metrics/tables. -->
# Published numbers and ours

Published numbers from protocols similar to ours, in per cent, beside the numbers of this run. Two
numbers are compared only if dataset, weights and metric are the same and our protocol meets the
conditions of theirs. A preset beside an empty place scores it; some of these presets do not meet
the conditions, and the row then says so. The tolerance bands are our own choice: no exact agreement
is expected.

The paper itself is not listed, since our references contain no numbers of it. Its findings are
judged as [claims](claims.md).

{counts}
"""
HEAD = ["model", "dataset", "score", "published", "ours", "difference", "result"]
ROW = ["model", "dataset", "score", "published"]
REST = "## What nothing here can be compared with"
NONE = "no preset has these weights on this dataset"


def main() -> int:
    presets = {f.stem: load(f, known()) for f in sorted((ROOT / "presets").glob("*.yaml"))}
    text = page(rows(read(load(paths.PARAMS, known()))), presets)
    return bring_up_to_date(__doc__.splitlines()[0], {PAGE: text})


def page(rows: Sequence[Compared], presets: Mapping[str, Settings]) -> str:
    """The document: what is compared, what a preset would compare, and the rest folded."""
    told = ", ".join(f"{n} {words}" for words, n in counts(rows).items())
    by = [", ".join(name for name, one in presets.items() if fills(one, row)) for row in rows]
    parts, folded = [INTRODUCTION.format(counts=f"{len(rows)} numbers: {told}.")], [REST]
    for one, members in groupby(zip(rows, by, strict=True), key=lambda pair: pair[0].published):
        shown = list(members)
        here = [_compared(row, by) for row, by in shown if row.ours is not None or by]
        rest = [row for row, by in shown if row.ours is None and not by]
        if here:
            table = grid.markdown(HEAD, here)
            parts += [f"## {one.title}: {one.source}", "\n".join([*heading(one), "", table])]
        if rest:
            why = sorted(
                {row.why if row.why in (one.why_not, NO_WEIGHTS) else NONE for row in rest}
            )
            folded.append(f"<details><summary>{escape(one.title)}: {escape(one.source)}</summary>")
            folded += ["\n".join([*([] if here else heading(one)), f"Why: {'; '.join(why)}."])]
            folded += [grid.markdown(ROW, [_published(row) for row in rest]), "</details>"]
    return "\n\n".join(part.strip("\n") for part in [*parts, *folded]) + "\n"


def fills(preset: Settings, row: Compared) -> bool:
    """Whether a run of a preset has the dataset, the weights, the task and the variant of it."""
    about, task = row.published.models[row.model], row.published.task
    if row.published.why_not is not None or task is None:
        return False
    head, variant, _ = row.score.split(".")
    section = preset.sections()[task]
    if variant not in preset.variants or head not in getattr(section, "heads", [head]):
        return False
    models = [one for one in preset.models.values() if isinstance(one, RegistryModel)]
    sources = [str(entries()[one.model].source) for one in models]
    return row.dataset in {preset.datasets[name].kind for name in section.datasets} and any(
        text in source for text in about.weights for source in sources
    )


def _published(row: Compared) -> list[str]:
    return [row.model, row.dataset, row.score, f"{row.value:g}"]


def _compared(row: Compared, presets: str) -> list[str]:
    if row.ours is None:
        return [*_published(row), "", "", f"not run; presets: {presets}"]
    difference = "" if row.difference is None else f"{row.difference:+g}"
    return [*_published(row), f"{row.ours:g} ({row.slot})", difference, result(row)]


if __name__ == "__main__":
    sys.exit(main())
