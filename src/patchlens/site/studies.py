"""The pages of studies: spectra, maps of dimensions, scores over m, curves, tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from patchlens import paths
from patchlens.display.palette import Look
from patchlens.site import curves, lexicon, precomputed
from patchlens.site.figure import Control, Figure, Grid, TableCell, base, choices, spec
from patchlens.site.figure import files as tables_and_data
from patchlens.site.page import Page
from patchlens.site.plots import Plot
from patchlens.site.reading import Run
from patchlens.site.tasks import copies, links
from patchlens.tasks.table import TABLE, TASKS, Task

DASHES: dict[str, list[float]] = {  # variant -> its dashes; other variants are in the CSV file only
    "prune": [1, 0],
    "prune_random": [5, 3],
    "zscore": [14, 4],
    "raw": [12, 3, 2, 3],
    "keep_top": [1.5, 4],
}
TITLES = {"share": "Share of the variance by rank", "cumulative": "Cumulative share"}
EQUAL = {
    "share": "With equal variances the line would be flat.",
    "cumulative": "The faster a line rises, the fewer dimensions hold the variance.",
}


def pages(run: Run, looks: Mapping[str, Look]) -> list[Page]:
    """One page for the studies that share it and were run, named after the one with its title.

    Raises:
        DataError: a file of a configured cell is missing.
    """
    shared: dict[str, list[Task]] = {}
    for task in TABLE:
        if task.study:
            shared.setdefault(task.words.page, []).append(task)
    ran = {plot.stage for plot in run.plots}
    return [
        _page(run, name, studies, looks)
        for name, studies in shared.items()
        if any(task.name in ran or len(run.studies.get(task.name, ())) for task in studies)
    ]


def _page(run: Run, name: str, studies: Sequence[Task], looks: Mapping[str, Look]) -> Page:
    stages = {task.name: task for task in studies}
    plots = [plot for plot in run.plots if plot.stage in stages]
    plots = [plot for plot in plots if plot.file not in stages[plot.stage].words.undrawn]
    drawn: dict[str, list[Figure]] = {"spectrum": [], "over_m": [], "": []}
    for plot in plots:
        draw = FORMS.get(plot.template or "")
        if not len(data := plot.rows(looks)):
            continue
        figures = [curves.curve(plot, data, looks)] if draw is None else draw(plot, data, looks)
        drawn[plot.template if draw and plot.template else ""] += figures
    maps, images = _heat_maps(run.models)
    tables = [_grid(TASKS[study], run.studies[study]) for study in stages if study in run.studies]
    files = tables_and_data([*(f for part in drawn.values() for f in part), *tables]) | images
    for study in stages:
        if study in run.studies:
            files |= copies(paths.TABLES / study)
    words = TASKS[name].words
    context = {
        "words": words,
        "why_not": f"{TASKS[name].datasets_of or name}.datasets in params.yaml lists no datasets",
        "spectra": drawn["spectrum"],
        "sweeps": drawn["over_m"],
        "curves": drawn[""],
        "grids": [(table, links(study)) for table, study in zip(tables, run.studies, strict=True)],
        "maps": maps,
        "dashes": DASHES,
    }
    return Page(name, words.title, "study.html", context, files, "Results")


def spectra(plot: Plot, data: pd.DataFrame, looks: Mapping[str, Look]) -> list[Figure]:
    """Share and cumulative share of the variance by rank, at the headline layer of each model.

    Args:
        plot: the plot.
        data: layer, rank and the shares of dimensions and of principal components.
        looks: of the models.
    """
    last = data[data["layer"] == data.groupby(["dataset", "model"])["layer"].transform("max")]
    parts = []
    for name, share, cumulative in (
        ("dimensions", "share", "cumulative"),
        ("principal components", "eigen_share", "eigen_cumulative"),
    ):
        columns = {share: "share", cumulative: "cumulative"}
        part = last[["dataset", "model", "layer", "rank", *columns]].rename(columns=columns)
        parts.append(part.assign(of=name))
    long = pd.concat(parts, ignore_index=True)
    return [_spectrum(plot, long, value, title, looks) for value, title in TITLES.items()]


def _spectrum(
    plot: Plot, data: pd.DataFrame, value: str, title: str, looks: Mapping[str, Look]
) -> Figure:
    words_of = lexicon.of(plot.stage)
    shown = data[["dataset", "model", "layer", "of", "rank", value]]
    shown = shown[shown[value] > 0].reset_index(drop=True)
    models = [model for model in looks if model in set(shown["model"])]
    controls = choices(shown, ["dataset", "of"], words_of)
    scale = alt.Scale(type="log", nice=False)
    x = alt.X(
        "rank:Q", axis=curves.axis("rank", words_of, curves.ticks(shown["rank"], True)), scale=scale
    )
    marks = curves.ticks(shown[value], True) if value == "share" else []
    y = alt.Y(
        f"{value}:Q",
        axis=curves.axis(value, words_of, marks),
        scale=alt.Scale(type="log", nice=False) if value == "share" else alt.Scale(domain=[0, 1]),
    )
    lines = curves.lines(base(controls), x, y, curves.colour(models, looks))
    firsts = shown[shown["rank"] == 1]
    words = ", ".join(
        f"{r.model} {getattr(r, value):.1%}"
        for r in firsts[firsts["of"] == "dimensions"].itertuples()
    )
    return Figure(
        f"{plot.stage}-{value}",
        title,
        f"{title}, one line per model. The first dimension holds: {words}.",
        spec([lines], shown),
        shown,
        controls,
        models,
        note=f"At the headline layer of each model. {EQUAL[value]}",
    )


def over_m(plot: Plot, data: pd.DataFrame, looks: Mapping[str, Look]) -> list[Figure]:
    """For each model: scores by the share of removed dimensions, with the rivals of removal."""
    kept = data[data["variant"].isin(DASHES)].reset_index(drop=True)
    return [
        _over_m(plot, kept[kept["model"] == m], m, look)
        for m, look in looks.items()
        if m in set(kept["model"])
    ]


def _over_m(plot: Plot, data: pd.DataFrame, model: str, look: Look) -> Figure:
    shown = data.reset_index(drop=True)
    words = lexicon.of(plot.stage)
    controls = [_scored(control) for control in choices(shown, ["dataset", "head"], words)]
    variants = [name for name in DASHES if name in set(shown["variant"])]
    dash = alt.StrokeDash(
        "variant:N",
        scale=alt.Scale(domain=variants, range=[DASHES[v] for v in variants]),
        legend=None,
    )
    removed = alt.Axis(format="%", labelExpr="replace(datum.label, '%', '')", tickCount=6)
    x = alt.X(f"{plot.x}:Q", title="dimensions removed (%)", axis=removed)
    y = alt.Y(f"{plot.y}:Q", axis=curves.axis(plot.y, words), scale=alt.Scale(zero=False))
    chart = base(controls)
    band = chart.transform_filter("datum.variant === 'prune' || datum.variant === 'prune_random'")
    area = (
        band.transform_calculate(**curves.ends(plot.y, "std"))
        .mark_area(opacity=0.13, color=look.colour)
        .encode(x=x, y=alt.Y("band_low:Q"), y2="band_high:Q", detail="variant:N")
    )
    lines = chart.mark_line(color=look.colour, strokeWidth=2).encode(
        x=x, y=y, strokeDash=dash, tooltip=curves.tips(["variant", plot.x, plot.y], words)
    )
    return Figure(
        f"{plot.stage}-{model}",
        model,
        f"Scores of {model} by the share of dimensions removed: {', '.join(variants)}.",
        spec([area, lines], shown, 220),
        shown,
        controls,
    )


def _scored(control: Control) -> Control:
    """The selector of heads chooses a score."""
    return replace(control, label="Score") if control.field == "head" else control


def _heat_maps(models: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Maps of the top dimensions, one entry per dataset and model, and their files."""
    found, files = [], dict[str, bytes]()
    for dataset in precomputed.datasets("maps"):
        at = precomputed.at(dataset, "")
        of_dataset = precomputed.read(dataset, "maps")
        for model in (name for name in models if name in of_dataset):
            part = of_dataset[model]
            found.append({"dataset": dataset, "model": model, "at": at, **part})
            names = [image["file"] for image in part["images"]]
            names += [name for dimension in part["dimensions"] for name in dimension["maps"]]
            files |= precomputed.files(dataset, names)
    return found, files


def _grid(task: Task, table: pd.DataFrame) -> Grid:
    """The table of a study, with the columns that its words name."""
    words, called = task.words, lexicon.of(task.name)
    columns = {key: name for key, name in words.table.items() if key in table}
    rows = []
    for row in table.to_dict("records"):
        cells = [TableCell(str(row["model"])), TableCell(str(row["dataset"]))]
        for key in columns:
            value = float(row[key]) * (100 if called.is_share(key) else 1)
            cells.append(TableCell(f"{value:.0f}" if key in WHOLE else f"{value:.1f}", value))
        rows.append(cells)
    header = ["model", "dataset", *columns.values()]
    title = words.heading or words.title
    return Grid(f"{task.name}-table", title, header, rows, words.note)


FORMS: dict[str, Callable[[Plot, pd.DataFrame, Mapping[str, Look]], list[Figure]]] = {
    "spectrum": spectra,  # template of a plot in dvc.yaml -> its figures
    "over_m": over_m,
}
WHOLE = ("width",)  # columns of whole numbers
