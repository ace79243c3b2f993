"""Apply feature variants to arrays of your own: which one brings like patches together?"""

import numpy as np

import patchlens as pl

rng = np.random.default_rng(0)
labels = rng.integers(0, 4, (40, 8, 8))
features = rng.normal(size=(40, 8, 8, 64)).astype(np.float32)
features[..., :4] += 4 * np.eye(4, dtype=np.float32)[labels]
features[..., 60:] *= 30  # a few dimensions have most of the variance and say nothing


def agreement(found: np.ndarray) -> float:
    """The share of patches whose nearest patch of another image has the same label."""
    x = found.reshape(-1, found.shape[-1])
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    image = np.repeat(np.arange(len(found)), labels[0].size)
    similarity = np.where(image[:, None] == image, -np.inf, x @ x.T)
    return float((labels.ravel()[similarity.argmax(axis=1)] == labels.ravel()).mean())


fitted_on = features[:20]  # without labels
for name in ("raw", "l2", "zscore", "prune", "keep_top", "pca_whiten"):
    transform = pl.Variant(name, m=0.1).fit(fitted_on)
    print(f"{name:10}  {agreement(transform(features)):.3f}")
