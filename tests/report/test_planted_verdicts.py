"""From planted features through T1 and its records to a verdict that follows what was planted."""

import numpy as np
import pandas as pd
import pytest

from patchlens import paths
from patchlens.report.judge import judge
from patchlens.tasks.segmentation import summary
from patchlens.tasks.segmentation.classify import Task
from patchlens.tasks.segmentation.few_shot import Query, Support
from report.court import claim, configured, write_cell, write_index
from tasks.planted import CLASSES, NOISY, PRUNE, features
from tasks.world import fit_data, settings

pytestmark = pytest.mark.usefixtures("here")
GRID, IMAGES, SEEDS = (6, 6), 16, (0, 1, 2, 3, 4)
TASK = settings(
    variants=["raw", "prune", "keep_top", "prune_random"], heads=["knn", "linear"], k=5, shots=4
)


def labels(images: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CLASSES, (images, *GRID)).astype(np.uint8)


def planted(label: np.ndarray, seed: int, **scales: float) -> np.ndarray:
    return features(label.ravel().astype(int), seed, **scales).reshape(*label.shape, -1)


def judged(**scales: float) -> dict:
    """Verdicts about pruning the planted number of dimensions."""
    truth = labels(IMAGES, 1)
    shown = planted(truth, 2, **scales)
    query = Query(
        features=lambda rows, layer: shown[rows.start : rows.stop],
        labels=truth,
        mask=lambda row: truth[row],
        classes=CLASSES,
    )
    supports = []
    for seed in SEEDS:
        known = labels(4, 10 + seed)
        bank = planted(known, 20 + seed, **scales)
        data = fit_data(bank.reshape(-1, bank.shape[-1]), m=NOISY)
        supports.append(Support(seed, lambda n, layer, b=bank: b, lambda n, k=known: k, data))
    runs = list(Task(TASK, PRUNE, [0], "cpu", query).run(supports, "planted"))
    ids = [f"q{i:03}" for i in range(IMAGES)]
    write_index("town", ids)
    write_cell("town", "one", {("knn", "raw"): np.zeros((1, IMAGES), int)})
    records: pd.DataFrame = summary.records(runs, ids)
    records.to_parquet(paths.cell(dataset="town", model="one") / "segmentation.records.parquet")
    side = {"models": ["one"]}
    pruned = {"a": side | {"variant": "prune"}, "b": side, "delta": 0.02}
    claims = {
        "gain": claim(**pruned),
        "control": claim(**pruned | {"b": side | {"variant": "prune_random"}}),
        "linear": claim(
            **pruned,
            kind="equivalence",
            direction=None,
            metric="segmentation.linear.pixel_miou",
            chance={"variant": "keep_top"},
        ),
    }
    found = judge(claims, configured(), 1000, 0)
    return {name: outcome.verdict for name, outcome in found.items()}


def test_large_noise_makes_pruning_help_knn_and_harmless_to_the_probe():
    assert judged(noise=30.0) == {
        "gain": "supported",
        "control": "supported",
        "linear": "supported",
    }


def test_large_informative_dimensions_flip_the_verdicts():
    found = judged(noise=0.3, signal=3.0)
    assert found["gain"] == "contradicted"
    assert found["linear"] == "contradicted"
