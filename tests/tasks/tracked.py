"""Datasets of videos whose objects and features the test gives, through the tracking stage."""

import json
from pathlib import Path

import numpy as np

from cells import compute
from configured import configured
from patchlens import paths
from patchlens.settings.datasets import Dataset
from patchlens.settings.load import Settings
from patchlens.settings.uncertainty import Uncertainty
from patchlens.tasks.tracking.settings import Propagation, Tracking
from tasks.scene import GRID, box, dataset, image, write_features, write_index
from tasks.world import PRUNE

UNCERTAINTY = Uncertainty(resamples=100, claim_resamples=10_000, seed=0)
DAVIS = Propagation(queue=7, radius=12, top=5, temperature=0.1)
SETTINGS = Tracking(
    datasets=["d"], deltas=[1, 2, 5], age=30, thresholds=[0.0, 0.3, 0.9], davis=DAVIS
)
PLACES = [(0, 0, 8, 16), (24, 0, 32, 16), (40, 16, 48, 32)]  # pixels, far from each other


def frames(name: str, split: str, seen: list[list[int]], first: int = 0) -> list[dict]:
    """Frames of a video with these instances, each at its own place, 0 for nobody there."""
    return [
        image(
            f"{name}_{first + t}",
            *(box(n, *place, track=n % 10) for n, place in zip(here, PLACES, strict=True) if n),
            split=split,
            sequence=name,
            frame=first + t,
        )
        for t, here in enumerate(seen)
    ]


def maps(images: list[dict], looks=lambda instance: instance % 10) -> np.ndarray:
    """Patch maps [N, 4, 6, 8]: around each object the one-hot code of what it looks like."""
    out = np.zeros((len(images), *GRID, 8))
    out[..., 0] = 1
    for frame, entry in zip(out, images, strict=True):
        for o in entry["objects"]:
            columns = slice(max(0, int(o["x0"]) // 8 - 1), int(o["x1"]) // 8 + 1)
            frame[int(o["y0"]) // 8 : int(o["y1"]) // 8, columns] = np.eye(8)[looks(o["instance"])]
    return out


TRAIN = frames("t", "train", [[51, 52, 0], [51, 52, 0], [51, 0, 53]])
SEEN = [[11, 12, 13], [11, 0, 13], [0, 0, 0], [11, 12, 14]]


def prepare(root: Path, query: list[dict], values: np.ndarray | None = None, support=TRAIN) -> None:
    ids = [entry["image_id"] for entry in support]
    write_index(root, [*support, *query], support=ids)
    if support:
        write_features("support", ids, maps(support))
    values = maps(query) if values is None else values
    write_features("query", [entry["image_id"] for entry in query], values)


def of(found: Dataset, variants, settings=SETTINGS, chosen=PRUNE) -> Settings:
    """Settings of dataset `d`."""
    sections = {"prune": chosen, "tracking": settings, "uncertainty": UNCERTAINTY}
    return configured(datasets={"d": found}, variants=variants, shots=3, **sections)


def run(root: Path, variants=("raw",), support=True, settings=SETTINGS, chosen=PRUNE) -> dict:
    found = dataset(root, support=support)
    asked = of(found, variants, settings, chosen)
    compute("prune", dataset="d", model="m", settings=asked)
    compute("tracking", dataset="d", model="m", settings=asked)
    return json.loads((paths.cell(dataset="d", model="m") / "tracking.json").read_text())
