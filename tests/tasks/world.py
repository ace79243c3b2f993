"""A tiny T1: 2 × 2 patches an image, 8 × 8 pixels, features that the test makes of the labels."""

from collections.abc import Callable

import numpy as np

from patchlens.features.moments import rank_by_variance
from patchlens.features.variants import FitData, pruned_count
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.features import Prune
from patchlens.tasks.segmentation.classify import Task
from patchlens.tasks.segmentation.few_shot import Query, Support
from patchlens.tasks.segmentation.settings import Segmentation

CLASSES = 3
PRUNE = Prune(m=0.34, select="fixed", choices=[0.34], fit_on="support", random_draws=2, pca_drop=1)
Features = Callable[[np.ndarray], np.ndarray]


def settings(**changes) -> Segmentation:
    fields = {
        "datasets": ["d"],
        "variants": ["raw"],
        "heads": ["knn"],
        "k": 1,
        "k_sweep": [],
        "shots": 2,
        "shots_sweep": [],
        "label": "majority",
        "knn": Knn(distance="cosine", vote="majority", temperature=0.07),
        "linear": Linear(c=[1.0], default_c=1.0, folds=2, max_iter=500),
    }
    return Segmentation(**fields | changes)


def one_hot(labels: np.ndarray) -> np.ndarray:
    """The oracle: the feature of a patch is its label; ignored patches have class 0's."""
    return np.eye(CLASSES, dtype=np.float32)[np.where(labels == 255, 0, labels)]


def noisy(labels: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(int(labels.astype(int).sum()) + len(labels))
    noise = rng.normal(size=(*labels.shape, 6)).astype(np.float32)
    noise[..., :CLASSES] = one_hot(labels) + 0.6 * noise[..., :CLASSES]
    return noise


def masks_of(labels: np.ndarray) -> np.ndarray:
    """Every patch as a block of 4 × 4 pixels."""
    return labels.repeat(4, axis=1).repeat(4, axis=2)


def query(labels: np.ndarray, features: Features = one_hot) -> Query:
    masks, values = masks_of(labels), features(labels)
    return Query(
        features=lambda rows, layer: values[rows.start : rows.stop],
        labels=labels,
        mask=lambda row: masks[row],
        classes=CLASSES,
    )


def fit_data(x: np.ndarray, m: int = 0) -> FitData:
    """What variants are fitted on, of patches [n, D]."""
    exact = x.astype(np.float64)
    variance = exact.var(axis=0)
    return FitData(exact.mean(axis=0), variance, rank_by_variance(variance), m, lambda: [x])


def support(
    labels: np.ndarray, features: Features = one_hot, seed: int = 0, shots: int = 2, m=PRUNE.m
):
    values = features(labels)
    flat = values[:shots].reshape(-1, values.shape[-1])
    data = fit_data(flat, pruned_count(m, flat.shape[1]))
    return Support(seed, lambda n, layer: values[:n], lambda n: labels[:n], data)


def task(query_set: Query, layers=(0,), prune: Prune = PRUNE, **changes) -> Task:
    return Task(settings(**changes), prune, layers, "cpu", query_set)


def random_labels(images: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (images, 2, 2)).astype(np.uint8)
    labels[:, 0, 0] = np.arange(images) % CLASSES  # no class is missing
    return labels
