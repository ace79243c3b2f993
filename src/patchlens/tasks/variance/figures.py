"""The figure of the study of variance on the results page."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from patchlens.display.palette import looks
from patchlens.display.style import STYLE, save
from patchlens.names import ModelName

FILE = "variance_spectrum.csv"
NAME = "spectra"
ALT = "Spectra on {dataset} for every model"
DASHES = ("-", "--", "-.", ":")


def draw(tables: Mapping[ModelName, pd.DataFrame], path: Path) -> None:
    """Cumulative share of the variance by rank, one curve per model.

    Args:
        tables: model -> its variance_spectrum.csv; its last layer is drawn.
        path: of the PNG.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        by_dimension, by_component = figure.subplots(1, 2)
        palette = looks(list(tables))
        for i, (model, table) in enumerate(tables.items()):
            table = table[table["layer"] == table["layer"].max()]
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
