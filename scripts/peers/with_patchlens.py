"""Measure an own module on an own folder with patchlens."""

import patchlens as pl


def measure(model, folder, head="knn"):
    backbone = pl.wrap(model, patch_size=14, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    data = pl.load_dataset("folder", folder, shots=30, seeds=2, patches=(16, 16))
    result = pl.evaluate(backbone, data, heads=[head], k=10, dtype="float32", device="cpu")
    return result.metrics[head]["raw"]["pixel_miou"]
