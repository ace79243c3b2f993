"""Intervals of curves whose CSV files hold points alone, from the records of their cells."""

import pandas as pd

from patchlens import paths
from patchlens.files import existing
from patchlens.report.curve_intervals import CURVES, ends
from patchlens.site.plots import Plot
from patchlens.site.reading import Run

REMEDY = "`dvc pull` or `dvc repro` brings the records; Git does not hold them"


def added(plot: Plot, data: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The rows of a plot with `<y>_ci_low` and `<y>_ci_high`, where its records tell them.

    Args:
        plot: its stage and score.
        data: its rows of all configured cells.
        run: how to resample.

    Raises:
        DataError: the records of a cell are missing.
    """
    curve = CURVES.get((plot.stage, plot.y))
    if curve is None or f"{plot.y}_ci_low" in data:
        return data
    asked, parts = run.settings.uncertainty, []
    for (dataset, model), rows in data.groupby(["dataset", "model"], sort=False):
        path = paths.cell(str(dataset), str(model)) / f"{plot.stage}.records.parquet"
        records = pd.read_parquet(existing(path, REMEDY))
        found = ends(curve, records, asked.resamples, asked.seed)
        found = found.rename(columns={e: f"{plot.y}_ci_{e}" for e in ("low", "high")})
        parts.append(rows.merge(found, on=list(curve.keys), how="left"))
    return pd.concat(parts, ignore_index=True)
