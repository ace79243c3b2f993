"""A page a task: its tables, rankings, curves, classes and confusions."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from patchlens import paths
from patchlens.files import existing
from patchlens.report import grid, headlines
from patchlens.report.headlines import Headline
from patchlens.report.palette import Look
from patchlens.report.task_tables import Shown
from patchlens.site import confusion, curves, overview_figures, prose
from patchlens.site.answers import answer
from patchlens.site.figure import Cell, Figure, Grid
from patchlens.site.page import Page
from patchlens.site.plots import REMEDY
from patchlens.site.reading import Run

ELSEWHERE = ("variance", "sweep")  # stages that have a page of their own
FORMS = {"csv": "CSV", "md": "Markdown", "tex": "LaTeX"}


def pages(run: Run, looks: Mapping[str, Look]) -> list[Page]:
    """A page for every task, and for every other stage that plots something.

    Args:
        run: what was measured.
        looks: of the models.

    Raises:
        DataError: a file of a configured cell is missing.
    """
    others = [plot.stage for plot in run.plots if plot.stage not in run.tables]
    stages = dict.fromkeys([*run.tables, *(s for s in others if s not in ELSEWHERE)])
    return [_page(run, stage, looks) for stage in stages]


def links(name: str) -> dict[str, str]:
    """Name of a form -> where the table lies below the site."""
    return {words: f"tables/{name}.{end}" for end, words in FORMS.items()}


def copies(name: str) -> dict[str, bytes]:
    """The files of a table of metrics/tables/, for the site."""
    files = {f"tables/{name}.{end}": (paths.TABLES / name).with_suffix(f".{end}") for end in FORMS}
    return {there: existing(path, REMEDY).read_bytes() for there, path in files.items()}


def _page(run: Run, task: str, looks: Mapping[str, Look]) -> Page:
    found = list(headlines.of(task, run.tables[task])) if task in run.tables else []
    plots = [plot for plot in run.plots if plot.stage == task]
    rankings = [overview_figures.ranking(h, looks) for h in found]
    drawn = [curves.curve(plot, plot.rows(looks), looks) for plot in plots]
    confusions = [
        f for dataset in _datasets(found) if (f := confusion.figure(task, dataset, run.models))
    ]
    figures: list[Figure] = [*rankings, *drawn, *confusions]
    files = {path: content for figure in figures for path, content in figure.files().items()}
    words = prose.of(task)
    context = {
        "words": words,
        "answers": [answer(h, run.is_floor) for h in found],
        "rankings": rankings,
        "curves": drawn,
        "confusions": confusions,
        "grids": _grids(found),
        "captions": _captions(task) if task in run.tables else {},
        "links": links(task) if task in run.tables else {},
        "why_not": f"{task}.datasets of params.yaml lists no dataset",
    }
    return Page(
        task,
        words.title,
        "task.html",
        context,
        files | (copies(task) if task in run.tables else {}),
        "Results",
    )


def _datasets(found: list[Headline]) -> list[str]:
    return list(dict.fromkeys(headline.dataset for headline in found))


def _grids(found: list[Headline]) -> list[Grid]:
    """A table a dataset and head: a row a model × variant, a column a headline metric."""
    heads = dict.fromkeys((h.dataset, h.head) for h in found)
    return [_grid([h for h in found if (h.dataset, h.head) == head]) for head in heads]


def _grid(found: list[Headline]) -> Grid:
    first = found[0]
    rows = []
    for _, row in first.rows.iterrows():
        cells = [Cell(str(row["model"])), Cell(str(row["variant"]))]
        cells += [_cell(row, h.shown, h.level) for h in found]
        cells += [Cell(grid.number(row[key]), float(row[key])) for key in grid.COST]
        rows.append(cells)
    header = ["model", "variant", *(h.shown.name for h in found), *grid.COST.values()]
    title = first.title.split(":")[0]
    return Grid(
        f"{first.task}-{first.dataset}-{first.head}", f"{first.dataset}, {title}", header, rows
    )


def _cell(row: "pd.Series[Any]", shown: Shown, level: str) -> Cell:
    value = row[shown.key]
    if pd.isna(value):
        return Cell("")
    factor = 100 if shown.share else 1
    text = f"{factor * value:.1f}"
    ends = [row.get(f"{shown.key}_ci_{end}") for end in ("low", "high")]
    if not any(end is None or pd.isna(end) for end in ends):
        text += " [{:.1f}, {:.1f}]".format(
            *(factor * float(end) for end in ends if end is not None)
        )
    std = row.get(f"{shown.key}_std")
    if std is not None and not pd.isna(std):
        text += f" ± {factor * std:.1f}"
    return Cell(text, float(value), str(row[level]) == "True")


def _captions(task: str) -> dict[str, str]:
    """Title of a dataset's section -> its protocol in words, from the task's Markdown table."""
    text = existing((paths.TABLES / task).with_suffix(".md"), REMEDY).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for section in text.split("### ")[1:]:
        title, *paragraphs = section.split("\n\n")
        found |= {title.strip(): p.strip() for p in paragraphs if p.startswith("Protocol ")}
    return found
