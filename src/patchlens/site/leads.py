"""Who leads a headline metric, by how much, and from whom it cannot be told: paired intervals.

As in the tables, resamples draw query units, the same for all models, conditional on the support
sets; here of the features as they come (`raw`), so that no model gains by a variant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.files import existing
from patchlens.report.of_task import OF_TASK
from patchlens.report.paired import counts_from_records, resamples
from patchlens.report.verdict import MIN_UNITS
from patchlens.settings.segmentation import Uncertainty
from patchlens.site import headlines
from patchlens.site.headlines import Headline
from patchlens.site.reading import Run
from patchlens.tasks.bootstrap import interval

Floats = NDArray[np.float64]
VARIANT = "raw"


@dataclass(frozen=True)
class Rival:
    """A model behind the leader.

    Attributes:
        model: its name.
        difference: by how much the leader is better; a share or the metric's own unit.
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
    """The models on a headline metric, the best first.

    Attributes:
        headline: the metric.
        leader: its best model.
        score: of the leader.
        rivals: the others, from the nearest to the farthest.
        units: how many query units were resampled.
    """

    headline: Headline
    leader: str
    score: float
    rivals: tuple[Rival, ...]
    units: int

    @property
    def few(self) -> bool:
        """Whether there are too few units for any verdict."""
        return self.units < MIN_UNITS


def leads(run: Run) -> dict[str, Lead | None]:
    """Key of every headline -> its lead; see `lead`."""
    found = (h for task in run.tables for h in headlines.of(task, run.scores(task)))
    rivals = [model for model in run.models if run.role(model) != "ceiling"]
    return {headline.key: lead(headline, rivals, run.settings.uncertainty) for headline in found}


def lead(headline: Headline, models: list[str], uncertainty: Uncertainty) -> Lead | None:
    """The lead on a metric; None for a task whose records have no paired bootstrap.

    Args:
        headline: of a task.
        models: those that are compared.
        uncertainty: settings of the bootstrap, as of the tables.

    Raises:
        DataError: records are missing.
    """
    rows = headline.rows[headline.rows["model"].isin(models)]
    rows = rows[rows["variant"] == VARIANT]
    rows = rows[rows[headline.shown.key].notna()]
    drawn = _segmentation if headline.task == "segmentation" else _weighted
    if rows.empty or (drawn is _weighted and headline.task not in OF_TASK):
        return None
    samples, units = drawn(headline, list(rows["model"]), uncertainty)
    sense = 1.0 if headline.shown.higher else -1.0
    scores = {m: sense * s for m, s in zip(rows["model"], rows[headline.shown.key], strict=True)}
    order = sorted(
        scores, key=lambda model: -scores[model]
    )  # stable: equal scores keep their order
    best = order[0]
    rivals = []
    for model in order[1:]:
        differences = sense * (samples[best] - samples[model])
        low, high = interval(differences[np.isfinite(differences)])
        rivals.append(Rival(model, scores[best] - scores[model], float(low), float(high)))
    return Lead(headline, best, sense * scores[best], tuple(rivals), units)


def _records(headline: Headline, model: str) -> pd.DataFrame:
    path = paths.cell(headline.dataset, model) / f"{headline.task}.records.parquet"
    wanted = [("head", "==", headline.head), ("variant", "==", VARIANT)]
    existing(path, "`dvc pull` or `dvc repro` brings the records; Git does not hold them")
    return pd.read_parquet(path, filters=wanted)


def _segmentation(
    headline: Headline, models: list[str], uncertainty: Uncertainty
) -> tuple[Mapping[str, Floats], int]:
    index = Index(paths.index(headline.dataset), Path())
    units = dict(zip(index.query["image_id"], index.query["unit"], strict=True))
    samples = {}
    for model in models:
        records = _records(headline, model)
        pixel = records[records["level"] == "pixel"]
        counts = counts_from_records(pixel, units, len(index.classes))
        samples[model] = resamples(counts, uncertainty.resamples, uncertainty.seed)
    return samples, len(set(units.values()))


def _weighted(
    headline: Headline, models: list[str], uncertainty: Uncertainty
) -> tuple[Mapping[str, Floats], int]:
    samples, units = {}, 0
    for model in models:
        weighted = OF_TASK[headline.task](_records(headline, model))
        drawn = weighted.resampled(uncertainty.resamples, uncertainty.seed)
        samples[model], units = drawn[headline.shown.key], len(weighted.units)
    return samples, units
