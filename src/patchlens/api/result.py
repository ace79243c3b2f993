"""What an evaluation found: a small table with intervals, and all that stands behind it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from patchlens.report.headlines import score
from patchlens.tasks import result
from patchlens.tasks.metric import Metric, headline
from patchlens.tasks.table import TASKS

if TYPE_CHECKING:
    from altair import FacetChart

ENDS = ("_ci_low", "_ci_high", "_std")


@dataclass(frozen=True, repr=False, kw_only=True)
class Result(result.Result):
    """What `evaluate` found. It shows as a table; `write(task, folder)` writes what a stage does.

    Attributes:
        task, dataset, model: what was evaluated.
        metrics: head -> variant -> metric -> value; shares are 0 to 1. `<metric>_ci_low` and
            `_ci_high` are the ends of the 95 % bootstrap interval over query units, `_std` is the
            standard deviation over support seeds.
        protocol: the settings and facts that a reader needs to compare the numbers.
        curves: tables of curves, such as scores by class or by severity.
        records: counts or scores of single images, queries or videos, which intervals resample.
    """

    task: str
    dataset: str
    model: str

    @property
    def frame(self) -> pd.DataFrame:
        """One row per head, variant and metric: value, low, high (the interval) and std."""
        rows = []
        for head, variants in self.metrics.items():
            for variant, scores in variants.items():
                for key, value in scores.items():
                    if key.endswith(ENDS):
                        continue
                    ends = [scores.get(key + end) for end in ENDS]
                    rows.append([self.dataset, self.model, head, variant, key, value, *ends])
        names = ["dataset", "model", "head", "variant", "metric", "value", "low", "high", "std"]
        return pd.DataFrame(rows, columns=names)

    def table(self) -> pd.DataFrame:
        """The headline scores as text, with their intervals: one row per head and variant."""
        rows = []
        for head, variants in self.metrics.items():
            for variant, scores in variants.items():
                shown = {"head": head, "variant": variant}
                for metric in self._headlines(head, scores):
                    ends = [scores.get(metric.key + end) for end in ENDS[:2]]
                    interval = [end for end in ends if end is not None]
                    value = scores[metric.key]
                    whole = score(metric, value, interval) if interval else f"{value:.3g}"
                    shown[metric.name] = whole
                rows.append(shown)
        return pd.DataFrame(rows).fillna("")

    def __repr__(self) -> str:
        head = f"{self.task} of {self.model} on {self.dataset}, 95 % intervals"
        return f"{head}\n{self.table().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return str(self.table().to_html(index=False))

    def plot(self) -> "FacetChart":
        """The headline scores with their intervals, as a chart of Altair."""
        import altair as alt

        rows = self.frame
        keys = {
            (head, variant, metric.key)
            for head, variants in self.metrics.items()
            for variant, scores in variants.items()
            for metric in self._headlines(head, scores)
        }
        where = zip(rows["head"], rows["variant"], rows["metric"], strict=True)
        base = alt.Chart(rows[[one in keys for one in where]])
        base = base.encode(y=alt.Y("variant:N", sort=None, title=None))
        scale = alt.Scale(zero=False)
        lines = base.mark_rule().encode(x=alt.X("low:Q", title=None, scale=scale), x2="high:Q")
        points = base.mark_point(filled=True).encode(x=alt.X("value:Q", scale=scale))
        title = f"{self.task}: {self.model} on {self.dataset}"
        chart: alt.FacetChart = (lines + points).facet(row="head:N", column="metric:N", title=title)
        return chart

    def _headlines(self, head: str, scores: dict[str, float]) -> list[Metric]:
        if self.task not in TASKS:  # of the user: its scores are all there is
            return [Metric(key, key) for key in scores if not key.endswith(ENDS)]
        return headline(TASKS[self.task].metrics, head, list(scores))
