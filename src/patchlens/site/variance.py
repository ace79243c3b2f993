"""The page on variance: spectra, maps of the top dimensions, and the effect of pruning."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from patchlens import paths
from patchlens.files import existing
from patchlens.report.palette import Look
from patchlens.site import curves, precomputed, prose, tasks
from patchlens.site.figure import Cell, Control, Figure, Grid, base, choices, spec
from patchlens.site.figure import files as tables_and_data
from patchlens.site.page import Page
from patchlens.site.plots import REMEDY, Plot
from patchlens.site.reading import Run

SPECTRUM = "variance_spectrum.csv"
SWEEP = "sweep.csv"
OWN = (SPECTRUM, SWEEP, "variance_dimensions.csv")
DASHES: dict[str, list[float]] = {  # variant -> its dashes; other variants are in the CSV file only
    "prune": [1, 0],
    "prune_random": [5, 3],
    "zscore": [14, 4],
    "raw": [12, 3, 2, 3],
    "keep_top": [1.5, 4],
}
COLUMNS = {
    "top1": "largest (%)",
    "top5": "largest 5 (%)",
    "top_1pct": "largest 1 % (%)",
    "top_10pct": "largest 10 % (%)",
    "participation": "participation ratio",
    "pca_participation": "participation ratio (PCA)",
    "kurtosis_top": "kurtosis of the largest",
    "width": "dimensions D",
}
TITLES = {"share": "Share of the variance by rank", "cumulative": "Cumulative share"}
EQUAL = {
    "share": "With equal variances the line would be flat.",
    "cumulative": "The faster a line rises, the fewer dimensions hold the variance.",
}


def page(run: Run, looks: Mapping[str, Look]) -> Page:
    """The page on variance.

    Raises:
        DataError: a file of a configured cell is missing.
    """
    plots = {plot.file: plot for plot in run.plots if plot.stage in tasks.ELSEWHERE}
    figures = spectra(plots[SPECTRUM].rows(looks), looks) if SPECTRUM in plots else []
    sweeps = sweep(plots[SWEEP], plots[SWEEP].rows(looks), looks) if SWEEP in plots else []
    others = [p for file, p in plots.items() if file not in OWN]
    drawn = [curves.curve(plot, plot.rows(looks), looks) for plot in others]
    table = _grid()
    maps, images = _heat_maps(run.models)
    files = tables_and_data([*figures, *sweeps, *drawn, table]) | tasks.copies("variance") | images
    context = {
        "spectra": figures,
        "sweeps": sweeps,
        "curves": drawn,
        "grid": table,
        "links": tasks.links("variance"),
        "maps": maps,
        "dashes": DASHES,
    }
    return Page("variance", "Variance", "variance.html", context, files, "Results")


def spectra(data: pd.DataFrame, looks: Mapping[str, Look]) -> list[Figure]:
    """Share and cumulative share of the variance by rank, at the headline layer of each model.

    Args:
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
    return [_spectrum(long, value, title, looks) for value, title in TITLES.items()]


def _spectrum(data: pd.DataFrame, value: str, title: str, looks: Mapping[str, Look]) -> Figure:
    shown = data[["dataset", "model", "layer", "of", "rank", value]]
    shown = shown[shown[value] > 0].reset_index(drop=True)
    models = [model for model in looks if model in set(shown["model"])]
    controls = choices(shown, ["dataset", "of"])
    scale = alt.Scale(type="log", nice=False)
    x = alt.X("rank:Q", axis=curves.axis("rank", curves.ticks(shown["rank"], True)), scale=scale)
    marks = curves.ticks(shown[value], True) if value == "share" else []
    y = alt.Y(
        f"{value}:Q",
        axis=curves.axis(value, marks),
        scale=alt.Scale(type="log", nice=False) if value == "share" else alt.Scale(domain=[0, 1]),
    )
    lines = (
        base(controls).mark_line(strokeWidth=2).encode(x=x, y=y, color=curves.colour(models, looks))
    )
    firsts = shown[shown["rank"] == 1]
    words = ", ".join(
        f"{r.model} {getattr(r, value):.1%}"
        for r in firsts[firsts["of"] == "dimensions"].itertuples()
    )
    return Figure(
        f"variance-{value}",
        title,
        f"{title}, one line per model. The first dimension holds: {words}.",
        spec([lines], shown),
        shown,
        controls,
        models,
        note=f"At the headline layer of each model. {EQUAL[value]}",
    )


def sweep(plot: Plot, data: pd.DataFrame, looks: Mapping[str, Look]) -> list[Figure]:
    """For each model: scores by the share of removed dimensions, with the rivals of removal."""
    kept = data[data["variant"].isin(DASHES)].reset_index(drop=True)
    return [
        _sweep(plot, kept[kept["model"] == m], m, look)
        for m, look in looks.items()
        if m in set(kept["model"])
    ]


def _sweep(plot: Plot, data: pd.DataFrame, model: str, look: Look) -> Figure:
    shown = data.reset_index(drop=True)
    controls = [_scored(control, shown) for control in choices(shown, ["dataset", "head"])]
    variants = [name for name in DASHES if name in set(shown["variant"])]
    dash = alt.StrokeDash(
        "variant:N",
        scale=alt.Scale(domain=variants, range=[DASHES[v] for v in variants]),
        legend=None,
    )
    removed = alt.Axis(format="%", labelExpr="replace(datum.label, '%', '')", tickCount=6)
    x = alt.X(f"{plot.x}:Q", title="dimensions removed (%)", axis=removed)
    y = alt.Y(f"{plot.y}:Q", axis=curves.axis(plot.y), scale=alt.Scale(zero=False))
    chart = base(controls)
    band = chart.transform_filter("datum.variant === 'prune' || datum.variant === 'prune_random'")
    area = (
        band.transform_calculate(**curves.ends(plot.y, "std"))
        .mark_area(opacity=0.13, color=look.colour)
        .encode(x=x, y=alt.Y("band_low:Q"), y2="band_high:Q", detail="variant:N")
    )
    lines = chart.mark_line(color=look.colour, strokeWidth=2).encode(
        x=x, y=y, strokeDash=dash, tooltip=curves.tips(["variant", plot.x, plot.y])
    )
    return Figure(
        f"sweep-{model}",
        model,
        f"Scores of {model} by the share of dimensions removed: {', '.join(variants)}.",
        spec([area, lines], shown, 220),
        shown,
        controls,
    )


def _scored(control: Control, data: pd.DataFrame) -> Control:
    """The selector of heads, each with the metric of its scores."""
    if control.field != "head" or "metric" not in data:
        return control
    metric = data.groupby("head")["metric"].first()
    words = {h: f"{name}: {prose.column(metric[h])}" for h, name in control.options.items()}
    return replace(control, label="Score", options=words)


def _heat_maps(models: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Maps of the top dimensions, one entry per dataset and model, and their files."""
    found, files = [], dict[str, bytes]()
    for dataset in precomputed.datasets("dimensions"):
        at = precomputed.at(dataset, "")
        of_dataset = precomputed.read(dataset, "dimensions")
        for model in (name for name in models if name in of_dataset):
            part = of_dataset[model]
            found.append({"dataset": dataset, "model": model, "at": at, **part})
            names = [image["file"] for image in part["images"]]
            names += [name for dimension in part["dimensions"] for name in dimension["maps"]]
            files |= precomputed.files(dataset, names)
    return found, files


def _grid() -> Grid:
    table = pd.read_csv(
        existing(paths.TABLES / "variance.csv", REMEDY), keep_default_na=False, na_values=[""]
    )
    keys = [key for key in COLUMNS if key in table]
    rows = []
    for row in table.to_dict("records"):
        cells = [Cell(str(row["model"])), Cell(str(row["dataset"]))]
        for key in keys:
            value = float(row[key]) * (100 if key in prose.SHARES or key.startswith("top") else 1)
            cells.append(Cell(f"{value:.1f}" if key != "width" else f"{value:.0f}", value))
        rows.append(cells)
    header = ["model", "dataset", *(COLUMNS[key] for key in keys)]
    note = (
        "Share of all variance in the dimensions of highest variance. Participation ratio: between "
        "1 (one dimension has all the variance) and D."
    )
    return Grid(
        "variance-table",
        "How the variance spreads",
        header,
        rows,
        note,
    )
