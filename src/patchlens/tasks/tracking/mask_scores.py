"""T4c, scores: region similarity J and boundary accuracy F of masks, and their statistics.

Definitions: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation, CVPR 2016, §4. The ends of a video are left out as in the semi-supervised evaluation
of DAVIS 2017. Void is not as there: the official code counts it as background, so that what is
predicted on it is wrong; here it is left out of both masks.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Bools, Floats

TOLERANCE = 0.008  # of the image diagonal, rounded up to whole pixels
QUARTERS = 4
DAVIS_METRICS = ("j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay")


def region_similarity(truth: Bools, found: Bools) -> float:
    """J, the Jaccard index of two masks [H, W]; 1 where both are empty."""
    union = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / union if union else 1.0


def boundary_accuracy(truth: Bools, found: Bools) -> float:
    """F, the harmonic mean of precision and recall of the boundary of `found`.

    A boundary pixel is hit if the other boundary has a pixel within the tolerance. Of two empty
    boundaries F is 1, of one empty boundary 0.
    """
    of_truth, of_found = (np.argwhere(boundary(mask)) for mask in (truth, found))
    if not len(of_truth) or not len(of_found):
        return float(len(of_truth) == len(of_found))
    reach = np.ceil(TOLERANCE * np.hypot(*truth.shape))
    precision = _hit(of_found, of_truth, reach)
    recall = _hit(of_truth, of_found, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: Bools) -> Bools:
    """The pixels of a mask [H, W] that differ from the one to the right, below, or both."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return np.asarray(
        (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])
    )


def _hit(pixels: NDArray[np.int64], others: NDArray[np.int64], reach: float) -> float:
    # Distances are roots of integers: half a unit beyond reaches no further pixel.
    limit = np.sqrt(reach**2 + 0.5)
    from scipy.spatial import KDTree  # slow to import, and few datasets have masks in videos

    distance, _ = KDTree(others).query(pixels, distance_upper_bound=limit)
    return float(np.isfinite(distance).mean())


def statistics(values: Mapping[str, Floats]) -> dict[str, float]:
    """Mean, recall (share above 0.5) and decay of J and F over an object's frames.

    Decay is the mean of the first quarter less that of the last; quarters share their ends.

    Args:
        values: `j` and `f` of each scored frame [F], at least one.
    """
    out: dict[str, float] = {}
    for name, value in values.items():
        ends = np.round(np.linspace(1, len(value), QUARTERS + 1) + 1e-10).astype(np.int64) - 1
        first, last = value[ends[0] : ends[1] + 1], value[ends[-2] : ends[-1] + 1]
        out |= {
            f"{name}_mean": float(value.mean()),
            f"{name}_recall": float((value > 0.5).mean()),
            f"{name}_decay": float(first.mean() - last.mean()),
        }
    return out
