"""A small valid settings file, and what `load` says when a test spoils it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchlens.errors import SettingsError
from patchlens.settings.load import load
from patchlens.tasks.known import known

VALID = """
device: cpu
fetch:
  made: [minicity]
  downloaded: [scenes]
  placed: [streets, own]
datasets:
  minicity:
    kind: minicity
    stills: 64
    videos: 4
    view: {mode: whole, grid: equal, patches: [16, 32]}
    support: {split: support, images: 8, per: total, seeds: [0, 1]}
    query: {split: query, images: all, per: total, unit: image}
  streets:
    kind: camvid
    root: camvid
    view: {mode: tiles, grid: paper, tile: 256, pixels: [224, 224]}
    support: {split: train, images: 8, per: class, seeds: [0, 1]}
    query: {split: test, images: 3, per: total, unit: sequence}
  own:
    kind: folder
    root: own
    view: {mode: whole, grid: paper, pixels: [224, 448]}
    support: {split: a, images: 4, per: total, seeds: [7, 8]}
    query: {split: b, images: all, per: total, unit: image}
  scenes:
    kind: ade20k
    view: {mode: whole, grid: paper, pixels: [224, 224]}
    support: null
    query: null
models:
  random: {source: untrained, arch: vit_tiny_patch16_224, seed: 0}
  pixels: {source: pixels, patch_size: 8}
  dino: {source: timm, tag: vit_small_patch16_224.dino, position: dino, mean: [0, 0, 0]}
  own: {source: file, file: own.pth, arch: vit_tiny_patch16_224, mapping: {drop: [head.*]}}
extract: {datasets: [minicity, streets]}
features: {layer: -1, layer_sweep: [-3, -2], norm: true, dtype: float16, batch_size: 8}
prune: {m: 0.26, select: fixed, choices: [0.1, 0.26], fit_on: support, random_draws: 3, pca_drop: 1}
segmentation:
  datasets: [minicity, streets]
  variants: [raw, prune]
  heads: [knn, linear]
  k: 10
  k_sweep: [1, 10]
  shots: 8
  shots_sweep: [1, 8]
  label: majority
  knn: {distance: cosine, vote: majority, temperature: 0.07}
  linear: {c: [0.1, 1.0], default_c: 1.0, folds: 4, max_iter: 100}
selection: {datasets: [minicity], folds: 3}
sweep: {datasets: [minicity], images: 8, heads: [knn], rivals: [zscore]}
identification:
  datasets: []
  images: 4
  patches: 16
  granularities: [1, 2]
  distance: cosine
  degradations: {blur: [1, 2], shift: [1]}
  seed: 0
retrieval: {datasets: [], relevant: [instance], frame_distance: null, distance: cosine}
tracking:
  datasets: []
  deltas: [1, 2]
  age: 30
  thresholds: [0.0, 0.5]
  davis: {queue: 7, radius: 12, top: 5, temperature: 0.1}
uncertainty: {resamples: 2000, claim_resamples: 10000, seed: 0}
"""
GONE = object()


@pytest.fixture
def valid() -> Any:
    return yaml.safe_load(VALID)


@pytest.fixture
def complaints(tmp_path: Path, valid: Any) -> Callable[..., list[str]]:
    """`complaints({"prune.m": 2})`: the lines of the error, without the file's name."""

    def explain(changes: dict[str, Any]) -> list[str]:
        content = copy.deepcopy(valid)
        for place, value in changes.items():
            *above, key = place.split(".")
            section = content
            for name in above:
                section = section[name]
            if value is GONE:
                del section[key]
            else:
                section[key] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        with pytest.raises(SettingsError) as caught:
            load(path, known())
        lines = str(caught.value).splitlines()
        assert all(line.startswith(f"{path}: ") for line in lines)
        return [line.removeprefix(f"{path}: ") for line in lines]

    return explain


@pytest.fixture
def gone() -> object:
    """The value that takes a key away."""
    return GONE
