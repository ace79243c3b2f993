"""Measure your own module: three feature variants on images that are rendered here (10 seconds)."""

import torch
from torch import nn

import patchlens as pl


class Patchify(nn.Module):
    """Stands for your model: float images [B, 3, H, W] -> a map [B, D, H / 8, W / 8]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Sequential(nn.Conv2d(3, 32, 8, stride=8), nn.GELU(), nn.Conv2d(32, 32, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """One vector of 32 numbers for each patch of 8 × 8 pixels."""
        return self.embed(images)


backbone = pl.wrap(Patchify(), patch_size=8, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
data = pl.load_dataset("minicity", stills=6, shots=3, seeds=2, patches=(8, 16))
result = pl.evaluate(backbone, data, heads=["knn"], variant=["raw", "prune", "zscore"])
print(result)
print(pl.evaluate(backbone, data, task="retrieval", relevant=["instance"]))
