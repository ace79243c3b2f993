"""From the runs of T1 to its records, its curves and the scores that are not resampled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.features.variants import WITH_M
from patchlens.protocol import DIGITS
from patchlens.tasks.scores import accuracy, f1, iou, mean_iou
from patchlens.tasks.segmentation.classify import Run

LEVELS = ("pixel", "patch")
RECORDS = ["head", "variant", "seed", "draw", "level", "image_id", "true", "predicted", "count"]


def is_headline(run: Run, layer: int, shots: int, k: int) -> bool:
    """Whether a run belongs to the headline: its layer, its shots, its k."""
    return run.layer == layer and run.shots == shots and run.k in (0, k)


def seed_scores(runs: Sequence[Run], level: str) -> NDArray[np.float64]:
    """MIoU of each seed (the mean of its draws) [S], at `patch` or `pixel` level."""
    present = present_classes(runs[0], level)
    by_seed: dict[int, list[float]] = {}
    for run in runs:
        counts = run.counts[level].total()
        by_seed.setdefault(run.seed, []).append(float(mean_iou(counts, present)))
    return np.array([np.mean(scores) for scores in by_seed.values()])


def present_classes(run: Run, level: str) -> NDArray[np.bool_]:
    """Which classes occur in the whole query's ground truth [C]."""
    return np.asarray(run.counts[level].total().sum(axis=1) > 0)


def score(runs: Sequence[Run]) -> dict[str, float]:
    """The metrics of one head × variant that are not resampled, over its seeds and draws."""
    result: dict[str, float] = {}
    for level in LEVELS:
        present = present_classes(runs[0], level)
        total = np.stack([run.counts[level].total() for run in runs])
        result |= {
            f"{level}_f1": np.nan_to_num(f1(total)[:, present]).mean(),
            f"{level}_accuracy": accuracy(total).mean(),
        }
    result["classes_absent_from_support"] = float(np.mean([run.absent for run in runs]))
    if recalls := [run.recall for run in runs if run.recall is not None]:
        result["knn_recall"] = min(recalls)
    if runs[0].head == "linear":
        result["c_median"] = float(np.median([run.c for run in runs]))
        result["c_at_edge_share"] = float(np.mean([run.at_edge for run in runs]))
    return {key: round(float(value), DIGITS) for key, value in result.items()}


def sweep(runs: Sequence[Run], axis: str) -> pd.DataFrame:
    """One row per head, variant and value of `axis` (k, layer or shots), with mean and std."""
    groups: dict[tuple[str, str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.head, run.variant, getattr(run, axis)), []).append(run)
    rows = []
    for (head, variant, value), members in groups.items():
        row: dict[str, Any] = {"head": head, "variant": variant, axis: value}
        for level in LEVELS:
            if level not in members[0].counts:
                continue  # left empty: the k sweep of variants is scored on patches
            scores = seed_scores(members, level)
            row[f"{level}_miou"] = scores.mean()
            row[f"{level}_miou_std"] = scores.std(ddof=1) if len(scores) > 1 else 0.0
        rows.append(row)
    keys = ["head", "variant", axis]
    columns = [f"{level}_miou{end}" for level in LEVELS for end in ("", "_std")]
    return pd.DataFrame(rows, columns=keys + columns).sort_values(keys).round(DIGITS)


def class_scores(groups: dict[tuple[str, str], list[Run]], classes: Sequence[str]) -> pd.DataFrame:
    """IoU and F1 (pixels, then patches) of each class, mean over seeds and draws."""
    rows = []
    for (head, variant), runs in groups.items():
        total = np.stack([run.counts["pixel"].total() for run in runs])
        patch = np.stack([run.counts["patch"].total() for run in runs])
        share = total[0].sum(axis=1) / total[0].sum()
        for c, name in enumerate(classes):
            absent = share[c] == 0
            rows.append(
                {
                    "head": head,
                    "variant": variant,
                    "class": name,
                    "iou": np.nan if absent else np.nan_to_num(iou(total)[:, c]).mean(),
                    "f1": np.nan if absent else np.nan_to_num(f1(total)[:, c]).mean(),
                    "pixel_share": share[c],
                    "patch_iou": np.nan if absent else np.nan_to_num(iou(patch)[:, c]).mean(),
                    "patch_f1": np.nan if absent else np.nan_to_num(f1(patch)[:, c]).mean(),
                }
            )
    return pd.DataFrame(rows).round(DIGITS)


def chosen_c(runs: Sequence[Run]) -> pd.DataFrame:
    """The C that the folds chose for the linear probe on each variant without an m.

    What the sweep starts from; another m changes nothing here. Columns variant, seed, c, at_edge.
    """
    linear = (r for r in runs if r.head == "linear" and r.variant not in WITH_M)
    rows = [[r.variant, r.seed, r.c, r.at_edge] for r in linear]
    return pd.DataFrame(rows, columns=["variant", "seed", "c", "at_edge"])


def records(runs: Sequence[Run], image_ids: Sequence[str]) -> pd.DataFrame:
    """Every confusion count above 0 of the headline runs, the basis of intervals and claims."""
    frames = []
    for run in runs:
        for level in LEVELS:
            counts = run.counts[level]
            frames.append(
                pd.DataFrame(
                    {
                        "head": run.head,
                        "variant": run.variant,
                        "seed": run.seed,
                        "draw": run.draw,
                        "level": level,
                        "image_id": np.asarray(image_ids)[counts.image],
                        "true": counts.true,
                        "predicted": counts.predicted,
                        "count": counts.count,
                    }
                )
            )
    table = pd.concat(frames, ignore_index=True)
    names = ["head", "variant", "level", "image_id"]
    return table.astype(dict.fromkeys(names, "category"))[RECORDS]
