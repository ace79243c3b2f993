"""The figure of the sweep on the results page."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from patchlens.display.style import STYLE, VARIANT_COLOURS, save
from patchlens.features.variants import WITH_M
from patchlens.names import ModelName
from patchlens.tasks.sweep.words import WORDS

FILE = "sweep.csv"
NAME = "pruning"
ALT = "Scores over m on {dataset} for every model"


def draw(tables: Mapping[ModelName, pd.DataFrame], path: Path) -> None:
    """Points over `raw` with m dimensions dropped or kept: one row per head, one panel per model.

    Args:
        tables: model -> its sweep.csv.
        path: of the PNG.
    """
    heads = [head for head in WORDS.heads if any(head in set(t["head"]) for t in tables.values())]
    with mpl.rc_context(STYLE):
        size = (1 + 2.1 * len(tables), 0.7 + 2.1 * len(heads))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(heads), len(tables), squeeze=False, sharex=True, sharey="row")
        for row, head in zip(panels, heads, strict=True):
            for axes, (model, table) in zip(row, tables.items(), strict=True):
                _panel(axes, table[table["head"] == head])
                if head == heads[0]:
                    axes.set_title(model)
            row[0].set_ylabel(f"{WORDS.heads[head]}\n(gain over raw, points)")
        figure.supxlabel("dimensions dropped or kept, m (% of the width)")
        handles = panels[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=len(WITH_M) + 1)
        save(figure, path)


def _panel(axes: mpl.axes.Axes, table: pd.DataFrame) -> None:
    raw = table.loc[table["variant"] == "raw", "score"].mean()
    axes.axhline(0, color=VARIANT_COLOURS["raw"], linewidth=1, label="raw")
    for variant in WITH_M:
        rows = table[table["variant"] == variant].sort_values("m")
        x, y = 100 * rows["m"], 100 * (rows["score"] - raw)
        axes.plot(x, y, color=VARIANT_COLOURS[variant], marker="o", markersize=3, label=variant)
