"""From patch scores to a class of each pixel."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

TIE = 1e-6  # shares and probabilities nearer than this are equal


def upsampled_argmax(scores: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.int64]:
    """Class of each pixel [H, W]: class scores [h, w, C] bilinearly upsampled, then argmax.

    The corners of the image are aligned, not the centres of the corner pixels
    (`align_corners=False`). Scores that differ by less than about 1e-6 go to the lower class id.
    """
    # A class without any score in the image cannot win: skip it.
    present = np.flatnonzero(scores.reshape(-1, scores.shape[-1]).max(axis=0) > 0)
    # Votes are often equal, and interpolation rounds equal maps differently (a value's place in its
    # vector register decides): a handicap above rounding makes the lower id win everywhere.
    handicapped = scores[..., present] - TIE * np.arange(len(present), dtype=np.float32)
    maps = torch.from_numpy(np.ascontiguousarray(handicapped)).permute(2, 0, 1)[None]
    large = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)[0]
    # torch.max is many times faster than torch.argmax here.
    return np.asarray(present[torch.max(large, dim=0).indices.numpy()])
