"""Cells with made-up records, so that the answer to a claim about them is known."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from patchlens.report.judge import Configured
from patchlens.settings.claims import Claim

PIXELS = 100  # of each of two classes in each image
SEEDS, UNITS = 5, 24
PROTOCOL = {"prune_m_used": 50.0, "grid": "16×32"}


def write_index(dataset: str, units: Sequence[str]) -> None:
    """An index with one query image a unit name given (repeat a name for a sequence)."""
    folder = Path("data/index") / dataset
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"q{i:03}" for i in range(len(units))]
    pd.DataFrame({"image_id": ids, "unit": units}).to_parquet(folder / "query.parquet")
    sequences = [None if u == i else u for u, i in zip(units, ids, strict=True)]
    images = pd.DataFrame({"image_id": ids, "sequence": sequences})
    images.to_parquet(folder / "images.parquet")
    about = {"reader": "folder", "classes": ["a", "b"], "palette": [], "labels": {}}
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")


def write_cell(
    dataset: str,
    model: str,
    runs: Mapping[tuple[str, str], Any],
    origin: str = "seed 0",
    seeds: Sequence[int] | None = None,
    protocol: Mapping[str, Any] = PROTOCOL,
    extract: Mapping[str, Any] | None = None,
) -> None:
    """A cell whose (head, variant) -> wrong pixels [S, U], or [S, draws, U]."""
    rows = []
    for (head, variant), wrong in runs.items():
        array = np.asarray(wrong)
        array = array if array.ndim == 3 else array[:, None]
        for (s, draw, image), count in np.ndenumerate(array):
            seed = s if seeds is None else seeds[s]
            for true in (0, 1):
                for predicted, n in ((true, PIXELS - count), (1 - true, count)):
                    name = (head, variant, seed, draw, "pixel", f"q{image:03}", true, predicted, n)
                    rows.append(name)
    columns = ["head", "variant", "seed", "draw", "level", "image_id", "true", "predicted", "count"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.astype(dict.fromkeys(["head", "variant", "level", "image_id"], "category"))
    folder = Path("metrics/cells") / dataset / model
    folder.mkdir(parents=True, exist_ok=True)
    table[table["count"] > 0].to_parquet(folder / "segmentation.records.parquet")
    cell = {"protocol": PROTOCOL | protocol}
    (folder / "segmentation.json").write_text(json.dumps(cell), encoding="utf-8")
    about = {"origin": origin, "architecture": "vit_base_patch16_224.dino"}
    (folder / "extract.json").write_text(json.dumps(about | dict(extract or {})), encoding="utf-8")


def about(wrong: int, noise: int = 2, seed: int = 0, units: int = UNITS) -> np.ndarray:
    """Wrong pixels [S, U] around a number."""
    rng = np.random.default_rng(seed)
    return wrong + rng.integers(-noise, noise + 1, (SEEDS, units))


def miou(wrong: Any) -> float:
    """The seed-mean mIoU of wrong pixels [S, U], by hand."""
    errors = np.asarray(wrong).sum(axis=-1)
    total = PIXELS * np.asarray(wrong).shape[-1]
    return float(np.mean((total - errors) / (total + errors)))


def claim(**changes: Any) -> Claim:
    """A difference of two models of one dataset by k-NN; changes replace its keys."""
    keys: dict[str, Any] = {
        "text": "A beats B.",
        "source": "ours",
        "kind": "difference",
        "direction": "greater",
        "metric": "segmentation.knn.pixel_miou",
        "datasets": ["town"],
        "a": {"models": ["one"]},
        "b": {"models": ["two"]},
        "delta": 0.02,
    }
    return Claim.model_validate({k: v for k, v in (keys | changes).items() if v is not None})


def configured(**changes: Any) -> Configured:
    """Models one, two, three on the datasets town and farm."""
    keys: dict[str, Any] = {
        "models": ["one", "two", "three"],
        "tasks": {"segmentation": ["town", "farm"], "variance": ["town"]},
        "kinds": {"town": "folder", "farm": "folder"},
    }
    return Configured(**keys | changes)
