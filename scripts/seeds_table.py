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
from patchlens.datasets.catalogue import kinds
from patchlens.display import grid
from patchlens.report import headlines, results
from patchlens.report.of_task import OF_TASK
from patchlens.report.paired import RAW
from patchlens.report.tables_samples import of_rows
from patchlens.report.task_tables import T1, Shown, entry
from patchlens.settings.load import load
from patchlens.tasks.bootstrap import interval

LEVEL = "_level_with_best_model"
Place = tuple[str, str, str]  # dataset, what is measured, model


class Found(NamedTuple):
    """A score of `raw` in one folder, with its resamples [B]."""

    row: "pd.Series[float]"
    drawn: Floats
    shown: Shown


def scores(folder: Path, models: list[str]) -> dict[Place, Found]:
    found = {}
    with contextlib.chdir(folder):
        uncertainty = load(paths.PARAMS, kinds()).uncertainty
        for task in (T1, *OF_TASK):
            for line in headlines.of(task, pd.read_csv(paths.TABLES / f"{task}.csv")):
                raw = line.rows[(line.rows["variant"] == RAW) & line.rows["model"].isin(models)]
                samples = of_rows(task, line.dataset, raw.to_dict("records"), uncertainty)
                for (_, row), drawn in zip(raw.iterrows(), samples, strict=True):
                    place = (line.dataset, results.name_of(line), row["model"])
                    found[place] = Found(row, drawn.of[line.shown.key], line.shown)
    return found


def difference(first: Found, second: Found) -> str:
    apart = second.drawn - first.drawn
    low, high = interval(apart[np.isfinite(apart)])
    value = second.row[first.shown.key] - first.row[first.shown.key]
    return results.points(value, low, high, first.shown)


def main(first: Path, models: list[str]) -> None:
    zero, one = scores(first, models), scores(Path(), models)
    body = []
    for place, found in zero.items():
        both = found, one[place]
        levels = [entry(of.row, of.shown, LEVEL).strip("*") for of in both]
        body.append([*place, *levels, difference(*both)])
    print(grid.markdown(["dataset", "task", "model", "seed 0", "seed 1", "difference"], body))
    verdicts = [json.loads((folder / paths.VERDICTS).read_text()) for folder in (first, Path())]
    texts = pd.read_csv(paths.TABLES / "claims.csv").set_index("id")["text"]
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
