"""Watch the features of a model while it trains: one number per epoch, in a plain loop."""

import numpy as np
import torch
from torch import nn

import patchlens as pl

rng = np.random.default_rng(0)
masks = rng.integers(0, 3, (24, 8, 8)).repeat(8, axis=1).repeat(8, axis=2)
colours = np.array([[120, 90, 90], [90, 120, 90], [90, 90, 120]])
noise = rng.integers(-80, 80, (*masks.shape, 3))
images = (colours[masks] + noise).clip(0, 255).astype(np.uint8)
data = pl.from_arrays(images, masks, classes=["a", "b", "c"], shots=4, seeds=2, patches=(8, 8))

torch.manual_seed(0)
model = nn.Conv2d(3, 16, 8, stride=8)
decoder = nn.ConvTranspose2d(16, 3, 8, stride=8)
optimiser = torch.optim.Adam([*model.parameters(), *decoder.parameters()], lr=0.01)
probe = pl.SegmentationProbe(data, wrapping={"patch_size": 8, "mean": [0.5] * 3, "std": [0.25] * 3})
pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25

for epoch in range(5):
    for batch in pixels.split(8):
        loss = nn.functional.mse_loss(decoder(model(batch)), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"epoch {epoch}: loss {loss.item():.3f}, pixel mIoU {probe.score(model):.3f}")
