"""Watch the features of a model while it trains in Lightning (pip install pytorch-lightning)."""

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import nn

import patchlens as pl

rng = np.random.default_rng(0)
masks = rng.integers(0, 3, (24, 8, 8)).repeat(8, axis=1).repeat(8, axis=2)
colours = np.array([[120, 90, 90], [90, 120, 90], [90, 90, 120]])
images = (colours[masks] + rng.integers(-80, 80, (*masks.shape, 3))).clip(0, 255).astype(np.uint8)
data = pl.from_arrays(images, masks, classes=["a", "b", "c"], shots=4, seeds=2, patches=(8, 8))
probe = pl.SegmentationProbe(data, wrapping={"patch_size": 8, "mean": [0.5] * 3, "std": [0.25] * 3})


class Autoencoder(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 16, 8, 8), nn.ConvTranspose2d(16, 3, 8, 8)

    def training_step(self, batch):
        return nn.functional.mse_loss(self.decoder(self.encoder(batch)), batch)

    def on_train_epoch_end(self):
        self.log("pixel_miou", probe.score(self.encoder), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar"], False)
trainer = lightning.Trainer(max_epochs=5, accelerator="cpu", **quiet)
trainer.fit(Autoencoder(), torch.utils.data.DataLoader(pixels, batch_size=8))
print(f"pixel mIoU {trainer.callback_metrics['pixel_miou']:.3f}")
