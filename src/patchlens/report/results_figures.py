"""The figures of the results page: spectra of all models, and scores over m."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from patchlens.names import ModelName
from patchlens.report.palette import looks
from patchlens.report.why_figures import COLOURS, HEADS, STYLE, save

DASHES = ("-", "--", "-.", ":")
SWEPT = ("prune", "prune_random", "keep_top")


def spectra(tables: Mapping[ModelName, pd.DataFrame], path: Path) -> None:
    """Cumulative share of the variance by rank, one curve per model.

    Args:
        tables: model -> its variance_spectrum.csv, rows of the last layer only.
        path: of the PNG.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        by_dimension, by_component = figure.subplots(1, 2)
        palette = looks(list(tables))
        for i, (model, table) in enumerate(tables.items()):
            colour, dashes = palette[model].colour, DASHES[i % len(DASHES)]
            share = 100 * np.arange(1, len(table) + 1) / len(table)
            for axes, column in ((by_dimension, "cumulative"), (by_component, "eigen_cumulative")):
                y = 100 * table[column]
                axes.plot(share, y, label=model, color=colour, linestyle=dashes, linewidth=2)
        for axes, what in ((by_dimension, "dimensions"), (by_component, "principal components")):
            axes.plot([0, 100], [0, 100], color="#999999", linewidth=1)
            axes.set_xlabel(f"{what}, highest variance first (% of the width)")
            axes.set_ylabel("share of the variance (%)")
            axes.set_xlim(0, 100)
            axes.set_ylim(0, 101)
        figure.legend(*by_dimension.get_legend_handles_labels(), loc="outside right upper")
        save(figure, path)


def pruning(tables: Mapping[ModelName, pd.DataFrame], path: Path) -> None:
    """Points over `raw` with m dimensions dropped or kept: one row per head, one panel per model.

    Args:
        tables: model -> its sweep.csv.
        path: of the PNG.
    """
    heads = [head for head in HEADS if any(head in set(t["head"]) for t in tables.values())]
    with mpl.rc_context(STYLE):
        size = (1 + 2.1 * len(tables), 0.7 + 2.1 * len(heads))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(heads), len(tables), squeeze=False, sharex=True, sharey="row")
        for row, head in zip(panels, heads, strict=True):
            for axes, (model, table) in zip(row, tables.items(), strict=True):
                _panel(axes, table[table["head"] == head])
                if head == heads[0]:
                    axes.set_title(model)
            row[0].set_ylabel(f"{HEADS[head]}\n(gain over raw, points)")
        figure.supxlabel("dimensions dropped or kept, m (% of the width)")
        handles = panels[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=len(SWEPT) + 1)
        save(figure, path)


def _panel(axes: mpl.axes.Axes, table: pd.DataFrame) -> None:
    raw = table.loc[table["variant"] == "raw", "score"].mean()
    axes.axhline(0, color=COLOURS["raw"], linewidth=1, label="raw")
    for variant in SWEPT:
        rows = table[table["variant"] == variant].sort_values("m")
        x, y = 100 * rows["m"], 100 * (rows["score"] - raw)
        axes.plot(x, y, color=COLOURS[variant], marker="o", markersize=3, label=variant)
