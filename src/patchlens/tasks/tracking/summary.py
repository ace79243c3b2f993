"""From the counts of videos to the outputs of T4: the records, the cell, the curve over Δ."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from patchlens.arrays import Floats
from patchlens.tasks.resample import divide
from patchlens.tasks.tracking.association import COUNTS
from patchlens.tasks.tracking.mask_scores import DAVIS_METRICS
from patchlens.tasks.tracking.track_scores import link_metrics

RECORDS = ["head", "variant", "draw", "unit", "count", "value"]
CURVE = {  # columns of the curve over Δ -> metrics of association
    "nearest": "d{}",
    "nearest_ci_low": "d{}_ci_low",
    "nearest_ci_high": "d{}_ci_high",
    "optimal": "optimal_d{}",
    "chance": "chance_d{}",
}
Sums = Mapping[str, Floats]
Row = tuple[str, str, int, str, str, float]


def rows(
    head: str, variant: str, draw: int, unit: str, counts: Mapping[str, float]
) -> Iterable[Row]:
    """The records of one video: one row per count."""
    return [(head, variant, draw, unit, name, float(value)) for name, value in counts.items()]


def by_delta(sums: Floats, deltas: Sequence[int]) -> dict[str, float]:
    """Counts by name, such as `nearest_d5`, of what `associate` gives [deltas, 4]."""
    return {
        f"{name}_d{delta}": float(value)
        for delta, row in zip(deltas, sums, strict=True)
        for name, value in zip(COUNTS, row, strict=True)
    }


def records(found: Iterable[Row]) -> pd.DataFrame:
    """All counts of all videos, sorted: what intervals, claims and tables are made of.

    Columns head, variant, draw, unit (the video), count, value. Counts are additive: those of a
    resample of videos are sums of rows, and `metrics` turns them into scores.
    """
    table = pd.DataFrame(found, columns=RECORDS).sort_values(RECORDS[:-1], ignore_index=True)
    return table.astype(dict.fromkeys(["head", "variant", "unit", "count"], "category"))


def metrics(head: str, sums: Sums) -> dict[str, Floats]:
    """Scores of a head from counts summed over the videos of each resample [B].

    A ratio is NaN where its resample has nothing to be scored.

    Args:
        head: `association`, `link`, `link_free`, `davis`.
        sums: the counts by name.
    """
    return _OF[head](sums)


def _association(sums: Sums) -> dict[str, Floats]:
    deltas = [name.removeprefix("pairs_d") for name in sums if name.startswith("pairs_d")]
    return {
        f"{prefix}d{delta}": divide(sums[f"{name}_d{delta}"], sums[f"pairs_d{delta}"])
        for delta in sorted(deltas, key=int)
        for prefix, name in (("", "nearest"), ("optimal_", "optimal"), ("chance_", "chance"))
    }


def _davis(sums: Sums) -> dict[str, Floats]:
    means = {name: divide(sums[name], sums["objects"]) for name in DAVIS_METRICS}
    return means | {"jf_mean": (means["j_mean"] + means["f_mean"]) / 2}


_OF: dict[str, Callable[[Sums], dict[str, Floats]]] = {
    "association": _association,
    "davis": _davis,
    "link": link_metrics,
    "link_free": link_metrics,
}


def curve(
    table: pd.DataFrame,
    scores: Mapping[str, Mapping[str, float]],
    variants: Sequence[str],
    deltas: Sequence[int],
) -> pd.DataFrame:
    """Association by Δ: one row per variant and Δ; empty if a Δ has no pairs.

    Args:
        table: the records.
        scores: variant -> its metrics of association; none in a cell without it.
        variants: in the order of the settings.
        deltas: in the order of the settings.
    """
    of_first = table[(table["head"] == "association") & (table["draw"] == 0)]
    pairs = of_first.groupby(["variant", "count"], observed=True)["value"].sum()
    lines = [
        (
            variant,
            delta,
            *(scores[variant].get(name.format(delta)) for name in CURVE.values()),
            int(pairs[variant, f"pairs_d{delta}"]),
        )
        for variant in variants
        if variant in scores
        for delta in deltas
    ]
    return pd.DataFrame(lines, columns=["variant", "delta", *CURVE, "pairs"])
