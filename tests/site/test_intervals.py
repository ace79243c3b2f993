"""Bands of curves whose CSV files hold points alone, from the records of a tiny run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import explored
from patchlens import paths
from patchlens.errors import DataError
from patchlens.files import read_json
from patchlens.site import intervals
from patchlens.site.plots import Plot

PLOT = Plot("tracking", "tracking.csv", "delta", "nearest", "variant", ("video",))
RUN: Any = SimpleNamespace(settings=SimpleNamespace(uncertainty=explored.UNCERTAINTY))


def test_each_point_gets_the_interval_of_its_cell(run: Path) -> None:
    found = intervals.added(PLOT, PLOT.rows(explored.MODELS), RUN)

    assert len(found) == len(PLOT.rows(explored.MODELS))
    for model in explored.MODELS:
        cell = read_json(paths.cell("video", model) / "tracking.json", "")["association"]
        rows = found[found["model"] == model].set_index("variant")
        for variant, scores in cell.items():
            got = rows.loc[variant, ["nearest_ci_low", "nearest_ci_high"]].astype(float)
            np.testing.assert_allclose(got, [scores["d1_ci_low"], scores["d1_ci_high"]], atol=1e-4)


def test_missing_records_are_named(run: Path, tmp_path: Path, monkeypatch) -> None:
    data = PLOT.rows(explored.MODELS)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError, match=r"tracking\.records\.parquet: missing; `dvc pull`"):
        intervals.added(PLOT, data, RUN)


@pytest.mark.parametrize(
    ("plot", "data"),
    [
        (PLOT, pd.DataFrame({"nearest_ci_low": [0.1]})),
        (Plot("later", "later.csv", "x", "y", None, ("video",)), pd.DataFrame({"y": [0.1]})),
    ],
)
def test_a_curve_that_has_its_own_or_is_not_known_stays_as_it_is(
    plot: Plot, data: pd.DataFrame
) -> None:
    assert intervals.added(plot, data, RUN) is data
