"""Which model leads a headline metric, by how much, and which models are not separable from it.

From the tables, for unmodified features (`raw`), so that no model benefits from a variant:
resamples draw query units, the same for all models, conditional on the support sets.
"""

from dataclasses import dataclass

from patchlens.report.headlines import Headline
from patchlens.report.paired import RAW
from patchlens.tasks.resample import MIN_UNITS


@dataclass(frozen=True)
class Rival:
    """A model behind the leader.

    Attributes:
        model: its name.
        difference: by how much the leader is better, in the unit of the metric.
        low, high: ends of its paired 95 % interval.
    """

    model: str
    difference: float
    low: float
    high: float

    @property
    def separable(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0


@dataclass(frozen=True)
class Lead:
    """The models on a headline metric, best first.

    Attributes:
        headline: the metric.
        leader: its best model.
        score: the score of the leader.
        rivals: the other models, nearest first.
        units: the number of resampled query units.
    """

    headline: Headline
    leader: str
    score: float
    rivals: tuple[Rival, ...]
    units: int

    @property
    def few(self) -> bool:
        """Whether there are too few units for a verdict."""
        return self.units < MIN_UNITS


def lead(headline: Headline) -> Lead | None:
    """The lead on a metric, of a model alone too; None if its table does not compare several."""
    key, rows = headline.metric.key, headline.rows
    columns = [f"{key}_behind", f"{key}_behind_ci_low", f"{key}_behind_ci_high"]
    if f"{key}_units" not in rows:
        return None
    rows = rows[(rows["variant"] == RAW) & (rows["role"] != "ceiling") & rows[key].notna()]
    if rows["model"].nunique() == 1:  # has nothing to be behind
        rows = rows.reindex(columns=[*rows.columns.union(columns, sort=False)])
    if rows.empty or not set(columns) <= set(rows.columns):
        return None
    behind = rows[rows[columns[0]].notna()].sort_values(columns[0], kind="stable")
    (best,) = rows[rows[columns[0]].isna()].to_dict("records")
    rivals = tuple(
        Rival(row["model"], *(float(row[column]) for column in columns))
        for row in behind.to_dict("records")
    )
    return Lead(headline, best["model"], float(best[key]), rivals, int(best[f"{key}_units"]))
