"""Print the differences between two training seeds in scores and verdicts, as Markdown.

The results of the first seed are in a reproduced folder, those of the second in this folder.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.arrays import Floats
from patchlens.display import grid
from patchlens.report import headlines, results
from patchlens.report.headlines import entry
from patchlens.report.paired import RAW
from patchlens.report.rows import weighted_of
from patchlens.settings.load import load
from patchlens.tasks.known import known
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import SharedResampler, interval
from patchlens.tasks.table import TABLE

Place = tuple[str, str, str]  # dataset, what is measured, model


class Score(NamedTuple):
    """A score of `raw` in one folder, with its resamples [B]."""

    row: "pd.Series[float]"
    drawn: Floats
    metric: Metric


def scores(folder: Path, models: list[str]) -> dict[Place, Score]:
    found = {}
    with contextlib.chdir(folder):
        resampler = SharedResampler.of(load(paths.PARAMS, known()).uncertainty)
        for task in TABLE:
            if task.study:
                continue
            for line in headlines.of(task, pd.read_csv(paths.TABLES / f"{task.name}.csv")):
                raw = line.rows[(line.rows["variant"] == RAW) & line.rows["model"].isin(models)]
                for _, row in raw.iterrows():
                    weighted = weighted_of(task, row)
                    drawn = weighted.resampled(resampler, [line.metric.key])[line.metric.key]
                    place = (line.dataset, results.name_of(line), row["model"])
                    found[place] = Score(row, drawn, line.metric)
    return found


def difference(first: Score, second: Score) -> str:
    apart = second.drawn - first.drawn
    low, high = interval(apart[np.isfinite(apart)])
    value = second.row[first.metric.key] - first.row[first.metric.key]
    return results.points(value, low, high, first.metric)


def main(first: Path, models: list[str]) -> None:
    zero, one = scores(first, models), scores(Path(), models)
    body = []
    for place, found in zero.items():
        both = found, one[place]
        levels = [entry(of.row, of.metric, "") for of in both]
        body.append([*place, *levels, difference(*both)])
    print(grid.markdown(["dataset", "task", "model", "seed 0", "seed 1", "difference"], body))
    verdicts = [json.loads((folder / paths.VERDICTS).read_text()) for folder in (first, Path())]
    texts = pd.read_csv(paths.CLAIMS_TABLE.with_suffix(".csv")).set_index("id")["text"]
    judged = [name for name in verdicts[0] if verdicts[0][name]["verdict"] != "not run"]
    told = [[name, texts[name], *(said(of[name]) for of in verdicts)] for name in judged]
    print("\nThe verdicts with these models in the slots:\n")
    print(grid.markdown(["id", "finding", "seed 0", "seed 1"], told))


def said(verdict: dict[str, float | str]) -> str:
    if "effect" not in verdict:
        return str(verdict["verdict"])
    effect, low, high = (verdict[key] for key in ("effect", "ci_low", "ci_high"))
    return f"{verdict['verdict']}, {effect:+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
