"""The table of tasks: each is a folder beside this file, whose name is that of its DVC stage.

A folder has `run.py` and `metrics.py`, of which its scores are made; `words.py`, of which tables,
claims and the site are made; `settings.py`, its section in params.yaml. Other files are named by
the fields of its entry.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchlens.names import DatasetName

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


@dataclass(frozen=True)
class Entry:
    """A task.

    Attributes:
        name: its folder, its stage and the first word of its metrics.
        help: the text of its command.
        study: whether it describes features and ranks no models.
        datasets_of: the section that lists its datasets, if it has none of its own.
        tabled: whether it is a study with `table.py`, whose tables are its own.
        explores: whether it has `explore.py`, which writes the data of an interactive page.
        costs: whether it has `cost.py`; other tasks cost little beside the extraction of features.
    """

    name: str
    help: str
    study: bool = False
    datasets_of: str = ""
    tabled: bool = False
    explores: bool = False
    costs: bool = False


ENTRIES = (
    Entry(
        "segmentation",
        "Evaluate few-shot semantic segmentation (T1).",
        explores=True,
        costs=True,
    ),
    Entry(
        "selection",
        "Choose layer, variant and head by nested folds, and score the choice.",
        explores=True,
        costs=True,
    ),
    Entry(
        "sweep",
        "Score every m in prune.choices, beside the rivals of pruning.",
        study=True,
        costs=True,
    ),
    Entry(
        "identification",
        "Evaluate instance identification under degradations (T2).",
        explores=True,
        costs=True,
    ),
    Entry("retrieval", "Evaluate object retrieval (T3).", explores=True, costs=True),
    Entry(
        "tracking",
        "Evaluate association, linking and label propagation (T4).",
        explores=True,
        costs=True,
    ),
    Entry(
        "variance",
        "Study how the variance spreads over the dimensions and what the top ones encode.",
        study=True,
        datasets_of="segmentation",
        tabled=True,
        explores=True,
    ),
)


def cells(settings: "Settings") -> dict[str, list[DatasetName]]:
    """Every stage that writes metrics of cells, with its datasets."""
    own = settings.tasks()
    of_tasks = {task.name: own[task.datasets_of or task.name] for task in ENTRIES}
    return {"extract": settings.extract.datasets, **of_tasks}
