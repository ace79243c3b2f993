"""The k-NN probe: patch mIoU on held-out scenes, by the product's own features and neighbours."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from minicity.spec import CLASSES
from patchlens.datasets.layout import IGNORE
from patchlens.features.variants import unit_rows
from patchlens.pretrain.model import as_backbone
from patchlens.tasks.knn import search, vote
from patchlens.tasks.scores import accuracy, confusion, mean_iou
from patchlens.tasks.segmentation.labels import patch_labels

BATCH = 16  # frames per forward pass


@dataclass(frozen=True)
class Probed:
    """The result of a probe.

    Attributes:
        miou: patch mIoU over the classes present in the scored scenes, in 0..1.
        accuracy: share of correct patches, in 0..1.
        spread: variance of the unit features, summed over dimensions, in 0..1; 0 is a collapse.
    """

    miou: float
    accuracy: float
    spread: float


class KnnProbe:
    """A memory bank of scenes, and query scenes that it labels.

    Args:
        frames: uint8 [N, 4, H, W], the bank first.
        bank: number of frames in the bank.
        k: neighbours.
        patch: patch size in pixels.
        device: where features and neighbours are computed.
    """

    def __init__(
        self, frames: NDArray[np.uint8], bank: int, k: int, patch: int, device: torch.device
    ) -> None:
        self._frames, self._bank, self._k, self._device = frames, bank, k, device
        grid = (frames.shape[2] // patch, frames.shape[3] // patch)
        self._labels = np.stack(
            [patch_labels(frame[3], grid, len(CLASSES), "majority") for frame in frames]
        )

    def __call__(self, model: nn.Module) -> Probed:
        """Score a timm ViT."""
        return self.score(self.features(model))

    def score(self, features: NDArray[np.float32]) -> Probed:
        """Score the features of all frames [N, h, w, D]."""
        labels, bank = self._labels, self._bank
        width = features.shape[-1]
        stored = labels[:bank].ravel() != IGNORE
        truth = labels[bank:].ravel()
        similarity, rows = search(
            features[:bank].reshape(-1, width)[stored],
            features[bank:].reshape(-1, width),
            self._k,
            distance="cosine",
            device="cuda" if self._device.type == "cuda" else "cpu",
        )
        neighbours = labels[:bank].ravel()[stored].astype(np.int64)[rows]
        _, winner = vote(
            similarity, neighbours, len(CLASSES), weighting="majority", temperature=1.0
        )
        counts = confusion(truth, winner, len(CLASSES))
        unit = unit_rows(features.reshape(-1, width)).astype(np.float64)
        return Probed(
            float(mean_iou(counts, counts.sum(axis=1) > 0)),
            float(accuracy(counts)),
            float(unit.var(axis=0).sum()),
        )

    def features(self, model: nn.Module) -> NDArray[np.float32]:
        """Patch features [N, h, w, D] of all frames, as the stage `extract` computes them."""
        backbone = as_backbone(model).to(self._device)
        parts = []
        for start in range(0, len(self._frames), BATCH):
            batch = np.ascontiguousarray(self._frames[start : start + BATCH, :3])
            images = torch.from_numpy(batch).to(self._device)
            tokens = backbone(images, layers=[-1], norm=True)[0]
            parts.append(tokens.patches.float().cpu().numpy())
        return np.concatenate(parts)
