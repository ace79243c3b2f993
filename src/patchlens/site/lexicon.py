"""The words of the site: those of the tasks, and of columns that no task owns."""

from dataclasses import dataclass

from patchlens.tasks.metric import Metric
from patchlens.tasks.table import TABLE, TASKS
from patchlens.tasks.words import Words

COLUMNS = {
    "gflops_per_image": "GFLOPs per image",
    "parameters_m": "parameters (millions)",
}


@dataclass(frozen=True)
class Lexicon:
    """The words of a stage, or of none; a name without words is shown as it is.

    Attributes:
        words: of the task of the stage.
        metrics: of the task.
    """

    words: Words
    metrics: tuple[Metric, ...] = ()

    def column(self, name: str) -> str:
        """A column of a CSV file in words."""
        known = COLUMNS | {m.key: m.title for m in self.metrics} | dict(self.words.columns)
        return known.get(name, name.replace("_", " "))

    def value(self, text: str) -> str:
        """A value of a selector in words."""
        return self.words.values.get(text, self.words.head(text))

    def is_share(self, name: str) -> bool:
        """Whether a column is a share, shown in per cent."""
        metric = next((m for m in self.metrics if m.member(name)), None)
        return name in self.words.shares if metric is None else metric.is_share


def of(stage: str) -> Lexicon:
    """The words of a stage; one that is no task is called by its name."""
    if stage in TASKS:
        return Lexicon(TASKS[stage].words, TASKS[stage].metrics)
    return Lexicon(Words(stage.replace("_", " ").capitalize(), "", lambda rows: ""))


def everywhere() -> Lexicon:
    """The words of all tasks, for figures that are of no stage; of equal names the first counts."""
    columns: dict[str, str] = {}
    heads: dict[str, str] = {}
    for task in TABLE:
        columns = dict(task.words.columns) | columns
        heads = dict(task.words.heads) | heads
    words = Words("", "", lambda rows: "", heads=heads, columns=columns)
    return Lexicon(words, tuple(metric for task in TABLE for metric in task.metrics))


def sentence(text: str) -> str:
    """`text` with a capital at its start, unless its first word already has one, as in mAP."""
    return text if text.split()[0] != text.split()[0].lower() else text[0].upper() + text[1:]
