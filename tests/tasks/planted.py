"""Features with a known truth: a few informative dimensions and a few noisy ones of any size."""

import numpy as np

from patchlens.settings.features import Prune
from patchlens.tasks.segmentation.few_shot import Labelled, Query
from patchlens.tasks.sweep import points as sweep
from tasks.world import fit_data, settings

CPU = "cpu"
CLASSES, WIDTH, NOISY = 4, 16, 4
PRUNE = Prune(
    m=0.25,
    select="fixed",
    choices=[0.125, 0.25, 0.5],
    fit_on="support",
    random_draws=3,
    pca_drop=NOISY,
)
COUNTS = [2, 4, 8]
TASK = settings(k=5, heads=["knn", "linear"])
RIVALS = ("zscore", "pca_drop_top", "pca_whiten")


def labels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CLASSES, count)


def features(y: np.ndarray, seed: int, *, noise: float, signal: float = 1.0) -> np.ndarray:
    """The class in dimensions 4…15, nothing but noise in 0…3, each on its own scale."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(CLASSES, WIDTH - NOISY))
    informative = centres[y] + 0.6 * rng.normal(size=(len(y), WIDTH - NOISY))
    return np.hstack([noise * rng.normal(size=(len(y), NOISY)), signal * informative]).astype(
        np.float32
    )


def rotation() -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(WIDTH, WIDTH)))
    return q.astype(np.float32)


def query_of(x: np.ndarray, y: np.ndarray) -> Query:
    """Images of 2 × 5 patches, so that there are several chunks of them."""
    images, labels = x.reshape(-1, 2, 5, x.shape[-1]), y.astype(np.uint8).reshape(-1, 2, 5)
    return Query(lambda rows, layer: images[rows.start : rows.stop], labels, no_mask, CLASSES)


def no_mask(row: int) -> np.ndarray:
    raise AssertionError("the sweep scores patches")


def swept(
    *,
    noise: float,
    signal: float = 1.0,
    rotate: bool = False,
    heads=("knn", "linear"),
    c=1.0,
    device=CPU,
):
    """All scores of all points, by head, for support and query with these features."""
    y, query_y = labels(400, 1), labels(600, 2)
    turn = rotation() if rotate else np.eye(WIDTH, dtype=np.float32)
    x = features(y, 3, noise=noise, signal=signal) @ turn
    query_x = features(query_y, 4, noise=noise, signal=signal) @ turn
    bank = Labelled(x, y, np.repeat(np.arange(4), 100))
    query = query_of(query_x, query_y)
    plan = sweep.SweepPlan(COUNTS, RIVALS, PRUNE, seed=0, draws=3)
    data, found = fit_data(x), {}
    if "knn" in heads:
        found["knn"] = sweep.knn_scores(bank, data, query, 0, plan, TASK, device)
    if "linear" in heads:
        found["linear"] = sweep.linear_scores(
            bank, data, query, 0, plan, TASK.linear, dict.fromkeys(("raw", *RIVALS), c), device
        )
    return found
