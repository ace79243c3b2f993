"""Put the default's answer, one row per model, into the README.

`python scripts/answer.py` reads metrics/tables and writes the block `results`; `make readme` does
so too.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from embed import embed
from patchlens.display import grid
from patchlens.report import results
from patchlens.report.headlines import entry
from patchlens.tasks.metric import Metric, find
from patchlens.tasks.resample import MIN_UNITS
from patchlens.tasks.table import TASKS

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Column:
    """A score of the answer: its title, and where the tables hold it."""

    title: str
    task: str
    head: str
    key: str
    variant: str
    unit: str
    dataset: str = ""  # of those that the task runs on; "" where there is one

    @property
    def metric(self) -> Metric:
        """The score."""
        found = find(TASKS[self.task].metrics, self.head, self.key)
        assert found is not None
        return found


COLUMNS = (
    Column("T1 k-NN", "segmentation", "knn", "pixel_miou", "raw", "images"),
    Column("T1 k-NN, pruned", "segmentation", "knn", "pixel_miou", "prune", "images"),
    Column("T1 linear", "segmentation", "linear", "pixel_miou", "raw", "images"),
    Column("T2 robustness", "identification", "patch", "robustness", "raw", "source images"),
    # Where the ceiling is told from the floors: docs/protocol.md, 9.
    Column("T3 mAP", "retrieval", "instance", "map", "raw", "instances", "minicity_video"),
    Column("T4, Δ = 10", "tracking", "association", "d10", "raw", "videos"),
)


def answer(tables: Path) -> str:
    """The table of models × scores as Markdown, and what to conclude from it.

    Args:
        tables: the folder of the committed tables, such as metrics/tables.

    Raises:
        SystemExit: a score of the answer is missing, or is there for several datasets.
    """
    scores = [(column, _scores(tables, column)) for column in COLUMNS]
    of_first = scores[0][1]
    titles = ["model", *(column.title for column, _ in scores), "params (M)"]
    body = []
    for model, row in of_first.iterrows():
        entries = [
            entry(rows.loc[model], column.metric, results.BEST_MODEL) for column, rows in scores
        ]
        role = "" if row["role"] == "rival" else f" ({row['role']})"
        body.append([f"{model}{role}", *entries, grid.number(row["parameters_m"])])
    chance = _chance(tables, str(of_first["dataset"].iloc[0]))
    return "\n\n".join([grid.markdown(titles, body), _conclusion(scores), _caption(scores, chance)])


def _scores(tables: Path, column: Column) -> pd.DataFrame:
    """The rows of a column, by model."""
    path = tables / f"{column.task}.csv"
    table = pd.read_csv(path)
    rows = table[(table["head"] == column.head) & (table["variant"] == column.variant)]
    if column.dataset:
        rows = rows[rows["dataset"] == column.dataset]
    datasets = list(dict.fromkeys(rows["dataset"]))
    if len(datasets) != 1:
        sys.exit(
            f"{path}: head {column.head}, variant {column.variant}: datasets {datasets} where the "
            "README shows one; reproduce the default of params.yaml, then `make readme`"
        )
    return rows.set_index("model")


def _chance(tables: Path, dataset: str) -> str:
    """What blind guesses reach on the stills, in words."""
    t1 = pd.read_csv(tables / "segmentation.csv")
    [t3] = [_scores(tables, column) for column in COLUMNS if column.task == "retrieval"]
    blind = t1[(t1["head"] == "majority") & (t1["dataset"] == dataset)]["pixel_miou"].iloc[0]
    order = t3["chance_map_instance"].iloc[0]
    return f"Blind guesses reach {100 * blind:.1f} in T1 and {100 * order:.1f} in T3."


def _conclusion(scores: list[tuple[Column, pd.DataFrame]]) -> str:
    """In how many columns with enough units a model is the best or level with it, or a floor is."""
    wins: Counter[str] = Counter()
    floors: dict[str, list[str]] = {}
    decided = [(c, rows) for c, rows in scores if _units(c, rows) >= MIN_UNITS]
    for column, rows in decided:
        best = rows[rows[column.metric.key + results.BEST_MODEL].astype(bool)]
        wins.update(str(model) for model in best.index[best["role"] == "rival"])
        if named := [f"`{model}`" for model in best.index[best["role"] == "floor"]]:
            floors[column.title] = named
    by_count: dict[int, list[str]] = {}
    for model, count in wins.most_common():
        by_count.setdefault(count, []).append(f"`{model}`")
    each = [f"{', '.join(names)} in {n} of {len(decided)} columns" for n, names in by_count.items()]
    text = f"Best, or not separable from the best: {'; '.join(each) or 'no model'}"
    left = [column.title for column, rows in scores if _units(column, rows) < MIN_UNITS]
    text += f" ({', '.join(left)} not counted: too few units)." if left else "."
    if floors:
        where = " and ".join(f"{title} ({', '.join(names)})" for title, names in floors.items())
        text += f" In {where} a floor is among the best: no model is shown to beat it there."
    return text


def _units(column: Column, rows: pd.DataFrame) -> int:
    """How many units the intervals of a column resample."""
    return int(rows[f"{column.metric.key}_units"].max())


def _caption(scores: list[tuple[Column, pd.DataFrame]], chance: str) -> str:
    """What the columns and marks mean."""
    units: dict[str, int] = {}
    for column, rows in scores:
        units[column.unit] = _units(column, rows)
    few = [name for name, count in units.items() if count < MIN_UNITS]
    weak = f" Fewer than {MIN_UNITS} {' or '.join(few)} are too few for a verdict." if few else ""
    resampled = ", ".join(f"{count} {name}" for name, count in units.items())
    datasets = dict.fromkeys(f"`{rows['dataset'].iloc[0]}`" for _, rows in scores)
    return (
        f"Scores in per cent on {' and '.join(datasets)}; higher is better. In brackets: the 95 % "
        "bootstrap interval. **Bold**: the best of the column, and every model whose paired 95 % "
        "interval against it includes 0. A ceiling has seen the labels of the evaluation and is "
        f"excluded from the ranking. {chance} The intervals resample {resampled}.{weak} They do "
        "not cover another training run."
    )


if __name__ == "__main__":
    embed(ROOT / "README.md", "results", answer(ROOT / "metrics/tables"))
