"""From the scores of a sweep to its outputs: the curves, the best m, the chosen m."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.features.variants import WITH_M
from patchlens.protocol import DIGITS
from patchlens.tasks.sweep.points import RAW, Point

METRIC_OF = {"knn": "patch_miou", "linear": "patch_miou", "retrieval": "map"}
Scores = Mapping[Point, float]


def curves(head: str, found: Sequence[Scores], counts: Sequence[int], width: int) -> pd.DataFrame:
    """One row per variant and m; `raw` and the rivals have the same score at every m.

    Args:
        head: knn, linear or retrieval.
        found: the scores of each support seed, or of the one fit that retrieval has.
        counts: numbers of dimensions, ascending.
        width: D.
    """
    rows = []
    for variant in dict.fromkeys(point.variant for point in found[0]):
        for m in counts:
            values = _values(found, variant, m)
            rows.append(
                {
                    "head": head,
                    "metric": METRIC_OF[head],
                    "variant": variant,
                    "m": m / width,
                    "dimensions": m,
                    "score": values.mean(),
                    "score_std": _std(values),
                }
            )
    return pd.DataFrame(rows).round(DIGITS)


def _values(found: Sequence[Scores], variant: str, m: int) -> NDArray[np.float64]:
    """One score per support seed; without seeds, one per draw."""
    wanted = m if variant in WITH_M else 0
    by_seed = [
        [score for point, score in scores.items() if (point.variant, point.m) == (variant, wanted)]
        for scores in found
    ]
    return np.array(by_seed[0] if len(by_seed) == 1 else [np.mean(draws) for draws in by_seed])


def best(table: pd.DataFrame) -> dict[str, Any]:
    """`raw` and the rivals, and for each family the best m on the query (an oracle's choice)."""
    raw = float(table.loc[table["variant"] == "raw", "score"].iloc[0])
    result: dict[str, Any] = {}
    for variant, rows in table.groupby("variant", sort=False):
        top = rows.sort_values("score", ascending=False, kind="stable").iloc[0]
        score = {"score": float(top["score"]), "score_std": float(top["score_std"])}
        if variant in WITH_M:
            score |= {
                "oracle_m": float(top["m"]),
                "oracle_gain": round(float(top["score"]) - raw, DIGITS),
            }
        result[str(variant)] = score
    return result


def gain_of_choice(found: Sequence[Scores], counts: Sequence[int], width: int) -> dict[str, float]:
    """What the number of dimensions that each support set chose for itself gains on the query."""
    raw = np.array([scores[RAW] for scores in found])
    picked = np.array(
        [
            scores[Point("prune", 0, m) if m else RAW]
            for scores, m in zip(found, counts, strict=True)
        ]
    )
    shares = np.array(counts) / width
    values = {
        "chosen_m": shares.mean(),
        "chosen_m_std": _std(shares),
        "score": picked.mean(),
        "score_std": _std(picked),
        "gain": (picked - raw).mean(),
        "gain_std": _std(picked - raw),
    }
    return {key: round(float(value), DIGITS) for key, value in values.items()}


def _std(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
