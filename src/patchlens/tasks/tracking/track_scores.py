"""T4b, scores: TrackEval's counts of a video, and the metrics of any sum of videos.

HOTA: Luiten et al., IJCV 2021; IDF1: Ristani et al., ECCV-W 2016; ID switches and MOTA: Bernardin
and Stiefelhagen, 2008. All as TrackEval computes and combines them.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from patchlens.arrays import Floats, Ints
from patchlens.tasks.tracking.videos import Video

ALPHAS = tuple(f"{hundredths:02d}" for hundredths in range(5, 100, 5))  # of HOTA, as named here
_PLAIN = {
    "clr_tp": ("clear", "CLR_TP"),
    "clr_fn": ("clear", "CLR_FN"),
    "clr_fp": ("clear", "CLR_FP"),
    "idsw": ("clear", "IDSW"),
    "id_tp": ("identity", "IDTP"),
    "id_fn": ("identity", "IDFN"),
    "id_fp": ("identity", "IDFP"),
}
_KINDS = ("tp", "fn", "fp")


@cache
def scorers() -> dict[str, Any]:
    """TrackEval's metrics by name."""
    from trackeval.metrics import CLEAR, HOTA, Identity  # slow to import, and tables need none

    quiet = {"PRINT_CONFIG": False}
    return {"hota": HOTA(), "clear": CLEAR(quiet), "identity": Identity(quiet)}


def counts(data: Mapping[str, Any]) -> dict[str, float]:
    """What of a video is additive: from sums over videos (and classes) `link_metrics` follow.

    `hota_tp_50`, `hota_fn_50`, `hota_fp_50` and `ass_50` (AssA × TP) for each of the 19 thresholds
    of localisation, 05 to 95 hundredths; `clr_tp`, `clr_fn`, `clr_fp`, `idsw`, `id_tp`, `id_fn`,
    `id_fp`.

    Args:
        data: a video as TrackEval's datasets give it after their preprocessing.
    """
    found = {name: metric.eval_sequence(data) for name, metric in scorers().items()}
    hota = found["hota"]
    out = {name: float(found[metric][field]) for name, (metric, field) in _PLAIN.items()}
    for a, alpha in enumerate(ALPHAS):
        out |= {f"hota_{kind}_{alpha}": float(hota[f"HOTA_{kind.upper()}"][a]) for kind in _KINDS}
        out[f"ass_{alpha}"] = float(hota["AssA"][a] * hota["HOTA_TP"][a])
    return out


def link_metrics(sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """AssA, IDF1, ID switches, HOTA, DetA, MOTA (all but the switches in 0–1) of summed counts.

    A ratio is NaN where a resample has neither a box nor a result.

    Args:
        sums: the counts summed over the videos of each resample [B], by name.
    """
    tp, fn, fp = (np.stack([sums[f"hota_{k}_{a}"] for a in ALPHAS]) for k in _KINDS)
    assa = np.stack([sums[f"ass_{a}"] for a in ALPHAS]) / np.maximum(1, tp)
    deta = tp / np.maximum(1, tp + fn + fp)
    boxes = np.maximum(1, sums["clr_tp"] + sums["clr_fn"])
    identity = sums["id_tp"] + 0.5 * (sums["id_fp"] + sums["id_fn"])
    found = {
        "assa": assa.mean(axis=0),
        "idf1": sums["id_tp"] / np.maximum(1, identity),
        "idsw": sums["idsw"],
        "hota": np.sqrt(deta * assa).mean(axis=0),
        "deta": deta.mean(axis=0),
        "mota": (sums["clr_tp"] - sums["clr_fp"] - sums["idsw"]) / boxes,
    }
    empty = sums["clr_tp"] + sums["clr_fn"] + sums["clr_fp"] == 0
    return {
        name: value if name == "idsw" else np.where(empty, np.nan, value)
        for name, value in found.items()
    }


def as_data(video: Video, tracks: Ints) -> dict[str, Any]:
    """A linked video as TrackEval's metrics take it, without classes and without preprocessing.

    The boxes are ground truth and result at once, and each is its own match (similarity 1, with all
    others 0): DetA is 1, HOTA √AssA and MOTA 1 − IDSW / boxes, whatever boxes overlap.

    Args:
        video: the objects [O].
        tracks: the track of each [O].
    """
    instances, truth = np.unique(video.instance, return_inverse=True)
    ids, found = np.unique(tracks, return_inverse=True)
    frames = [here for _, here in video.by_frame()]
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": len(instances),
        "num_tracker_ids": len(ids),
        "num_gt_dets": len(video),
        "num_tracker_dets": len(video),
        "gt_ids": [truth[here] for here in frames],
        "tracker_ids": [found[here] for here in frames],
        "similarity_scores": [np.eye(len(here)) for here in frames],
    }
