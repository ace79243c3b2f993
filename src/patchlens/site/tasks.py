"""One page per task: its tables, rankings, curves, classes and confusion matrices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from patchlens import paths
from patchlens.display.palette import Look
from patchlens.names import DatasetName, ModelName
from patchlens.report import headlines
from patchlens.report.headlines import Headline
from patchlens.site import confusion, curves, lexicon, overview_figures, precomputed
from patchlens.site.answers import answer
from patchlens.site.figure import FORMS, Grid, TableCell, files
from patchlens.site.page import Page
from patchlens.site.plots import Plot
from patchlens.site.reading import Run
from patchlens.stored import read_bytes
from patchlens.tasks.metric import Metric
from patchlens.tasks.table import TASKS


def pages(run: Run, looks: Mapping[str, Look]) -> list[Page]:
    """A page for every task that was run, and for every other stage that has plots.

    Args:
        run: the results of the run.
        looks: colour and shape of each model.

    Raises:
        DataError: a file of a configured cell is missing.
    """
    ran = [task for task, table in run.tables.items() if not table.empty]
    others = [plot.stage for plot in run.plots if plot.stage not in TASKS]
    return [_page(run, stage, looks) for stage in dict.fromkeys([*ran, *others])]


def links(name: str) -> dict[str, str]:
    """Name of a format -> path of the table in the site."""
    return {words: f"tables/{name}.{end}" for end, words in FORMS.items()}


def copies(table: Path) -> dict[str, bytes]:
    """The files of a table, given without a suffix, for the site."""
    found = {f"tables/{table.name}.{end}": table.with_suffix(f".{end}") for end in FORMS}
    return {there: read_bytes(path) for there, path in found.items()}


def _page(run: Run, task: str, looks: Mapping[str, Look]) -> Page:
    found = list(headlines.of(TASKS[task], run.tables[task])) if task in run.tables else []
    plots = [plot for plot in run.plots if plot.stage == task]
    rankings = [overview_figures.ranking(h, looks, run.role) for h in found]
    drawn = [
        curves.curve(plot, data, looks) for plot in plots if _varies(plot, data := plot.rows(looks))
    ]
    confusions = [
        figure
        for dataset in _datasets(found)
        if task in run.records
        and (figure := confusion.figure(task, DatasetName(dataset), _leader_first(run, dataset)))
    ]
    grids = _grids(found)
    words = lexicon.of(task).words
    context = {
        "words": words,
        "answers": [answer(h, run.is_floor) for h in found],
        "rankings": rankings,
        "curves": drawn,
        "confusions": confusions,
        "grids": grids,
        "ceilings": [model for model in run.models if run.role(model) == "ceiling"],
        "captions": run.captions.get(task, {}),
        "links": links(task) if task in run.tables else {},
    }
    return Page(
        task,
        words.title,
        "task.html",
        context,
        files([*rankings, *drawn, *confusions, *grids])
        | (copies(paths.TABLES / task) if task in run.tables else {}),
        "Results",
    )


def _varies(plot: Plot, data: pd.DataFrame) -> bool:
    """Whether there is a curve to draw: one value on its axis is none."""
    return len(data) > 0 and (plot.bars(data) or data[plot.x].nunique() > 1)


def _leader_first(run: Run, dataset: str) -> list[ModelName]:
    """The models; the one that leads on the dataset comes first, as selectors begin with it."""
    best = precomputed.leader(run, dataset)
    return sorted(run.models, key=lambda model: model != best)


def _datasets(found: list[Headline]) -> list[str]:
    return list(dict.fromkeys(headline.dataset for headline in found))


def _grids(found: list[Headline]) -> list[Grid]:
    """One table per dataset and head: one row per model and variant, one column per metric."""
    heads = dict.fromkeys((h.dataset, h.head) for h in found)
    return [_grid([h for h in found if (h.dataset, h.head) == head]) for head in heads]


def _grid(found: list[Headline]) -> Grid:
    first = found[0]
    by_score = first.rows.sort_values(
        first.metric.key, ascending=not first.metric.higher_is_better, kind="stable"
    )
    ceiling = by_score["role"] == "ceiling"  # the best of the ranked models comes first
    ordered = pd.concat([by_score[~ceiling], by_score[ceiling]])
    rows = []
    for _, row in ordered.iterrows():
        recommends = first.task.words.recommends
        setting = str(row["variant"]) if recommends is None else recommends(row.to_dict())
        cells = [TableCell(str(row["model"])), TableCell(setting)]
        rows.append(cells + [_cell(row, h.metric, h.level) for h in found])
    named = "variant" if first.task.words.recommends is None else "its choice"
    header = ["model", named, *(h.metric.name for h in found)]
    title = first.title.split(":")[0]
    return Grid(
        f"{first.task.name}-{first.dataset}-{first.head}",
        f"{first.dataset}, {title}",
        header,
        rows,
    )


def _cell(row: "pd.Series[Any]", metric: Metric, level: str) -> TableCell:
    value = row[metric.key]
    if pd.isna(value):
        return TableCell("")
    factor, form = (100, "{:.1f}") if metric.is_share else (1, "{:.4g}")
    text = form.format(factor * value)
    ends = [row.get(f"{metric.key}_ci_{end}") for end in ("low", "high")]
    alone = row.get(f"{metric.key}_units") == 1  # a single unit has no interval
    if not alone and not any(end is None or pd.isna(end) for end in ends):
        text += f" [{form}, {form}]".format(*(factor * float(e) for e in ends if e is not None))
    std = row.get(f"{metric.key}_std")
    if std is not None and not pd.isna(std):
        text += f" ± {form.format(factor * std)}"
    return TableCell(text, float(value), bool(row[level]))
