"""One page per task: its tables, rankings, curves, classes and confusion matrices."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from patchlens import paths
from patchlens.files import existing
from patchlens.names import DatasetName
from patchlens.report import headlines
from patchlens.report.headlines import Headline
from patchlens.report.palette import Look
from patchlens.report.task_tables import Shown
from patchlens.site import confusion, curves, overview_figures, prose
from patchlens.site.answers import answer
from patchlens.site.figure import FORMS, Cell, Grid, files
from patchlens.site.page import Page
from patchlens.site.plots import REMEDY
from patchlens.site.reading import Run

ELSEWHERE = ("variance", "sweep")  # stages with a separate page


def pages(run: Run, looks: Mapping[str, Look]) -> list[Page]:
    """A page for every task, and for every other stage that has plots.

    Args:
        run: the results of the run.
        looks: colour and shape of each model.

    Raises:
        DataError: a file of a configured cell is missing.
    """
    others = [plot.stage for plot in run.plots if plot.stage not in run.tables]
    stages = dict.fromkeys([*run.tables, *(s for s in others if s not in ELSEWHERE)])
    return [_page(run, stage, looks) for stage in stages]


def links(name: str) -> dict[str, str]:
    """Name of a format -> path of the table in the site."""
    return {words: f"tables/{name}.{end}" for end, words in FORMS.items()}


def copies(name: str) -> dict[str, bytes]:
    """The files of a table of metrics/tables/, for the site."""
    found = {f"tables/{name}.{end}": (paths.TABLES / name).with_suffix(f".{end}") for end in FORMS}
    return {there: existing(path, REMEDY).read_bytes() for there, path in found.items()}


def _page(run: Run, task: str, looks: Mapping[str, Look]) -> Page:
    found = list(headlines.of(task, run.tables[task])) if task in run.tables else []
    plots = [plot for plot in run.plots if plot.stage == task]
    rankings = [overview_figures.ranking(h, looks, run.role) for h in found]
    drawn = [curves.curve(plot, plot.rows(looks), looks) for plot in plots]
    confusions = [
        figure
        for dataset in _datasets(found)
        if task in run.records
        and (figure := confusion.figure(task, DatasetName(dataset), run.models))
    ]
    grids = _grids(found)
    words = prose.of(task)
    context = {
        "words": words,
        "answers": [answer(h, run.is_floor) for h in found],
        "rankings": rankings,
        "curves": drawn,
        "confusions": confusions,
        "grids": grids,
        "ceilings": [model for model in run.models if run.role(model) == "ceiling"],
        "captions": _captions(task) if task in run.tables else {},
        "links": links(task) if task in run.tables else {},
        "why_not": f"{task}.datasets in params.yaml lists no datasets",
    }
    return Page(
        task,
        words.title,
        "task.html",
        context,
        files([*rankings, *drawn, *confusions, *grids])
        | (copies(task) if task in run.tables else {}),
        "Results",
    )


def _datasets(found: list[Headline]) -> list[str]:
    return list(dict.fromkeys(headline.dataset for headline in found))


def _grids(found: list[Headline]) -> list[Grid]:
    """One table per dataset and head: one row per model and variant, one column per metric."""
    heads = dict.fromkeys((h.dataset, h.head) for h in found)
    return [_grid([h for h in found if (h.dataset, h.head) == head]) for head in heads]


def _grid(found: list[Headline]) -> Grid:
    first = found[0]
    by_score = first.rows.sort_values(
        first.shown.key, ascending=not first.shown.higher, kind="stable"
    )
    ceiling = by_score["role"] == "ceiling"  # the best of the ranked models comes first
    ordered = pd.concat([by_score[~ceiling], by_score[ceiling]])
    rows = []
    for _, row in ordered.iterrows():
        cells = [Cell(str(row["model"])), Cell(str(row["variant"]))]
        rows.append(cells + [_cell(row, h.shown, h.level) for h in found])
    header = ["model", "variant", *(h.shown.name for h in found)]
    title = first.title.split(":")[0]
    return Grid(
        f"{first.task}-{first.dataset}-{first.head}",
        f"{first.dataset}, {title}",
        header,
        rows,
    )


def _cell(row: "pd.Series[Any]", shown: Shown, level: str) -> Cell:
    value = row[shown.key]
    if pd.isna(value):
        return Cell("")
    factor, form = (100, "{:.1f}") if shown.share else (1, "{:.4g}")
    text = form.format(factor * value)
    ends = [row.get(f"{shown.key}_ci_{end}") for end in ("low", "high")]
    if not any(end is None or pd.isna(end) for end in ends):
        text += f" [{form}, {form}]".format(*(factor * float(e) for e in ends if e is not None))
    std = row.get(f"{shown.key}_std")
    if std is not None and not pd.isna(std):
        text += f" ± {form.format(factor * std)}"
    return Cell(text, float(value), str(row[level]) == "True")


def _captions(task: str) -> dict[str, str]:
    """Title of a dataset's section -> its protocol in words, from the task's Markdown tables."""
    text = existing((paths.TABLES / task).with_suffix(".md"), REMEDY).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for section in text.split("### ")[1:]:
        title, *paragraphs = section.split("\n\n")
        found |= {title.strip(): p.strip() for p in paragraphs if p.startswith("Protocol ")}
    return found
