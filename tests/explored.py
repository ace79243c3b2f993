"""A tiny run of the pipeline on minicity, up to the stage explorer and the pages made of it."""

import base64
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from playwright.sync_api import Page

from cells import compute
from configured import configured
from patchlens import paths
from patchlens.backbones import weights
from patchlens.datasets import indexing as index
from patchlens.display.palette import looks
from patchlens.report import explorer as stage
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.datasets import Minicity, Query, Support, View
from patchlens.settings.features import Features, Prune
from patchlens.settings.load import Extract
from patchlens.settings.models import PixelsModel, UntrainedModel
from patchlens.settings.uncertainty import Uncertainty
from patchlens.site import build, media, precomputed
from patchlens.tasks.identification.settings import Degradations, Identification
from patchlens.tasks.retrieval.settings import Retrieval
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.tracking.settings import Propagation, Tracking

VIEW = View(mode="whole", grid="equal", patches=[8, 16])
CITY = Minicity(
    kind="minicity",
    stills=10,
    videos=0,
    view=VIEW,
    support=Support(split="support", images=3, per="total", seeds=[4, 1]),
    query=Query(split="query", images="all", per="total", unit="image"),
)
VIDEO = Minicity(
    kind="minicity",
    stills=0,
    videos=1,
    view=VIEW,
    support=Support(split="video_train", images="all", per="total", seeds=[0]),
    query=Query(split="video_test", images="all", per="total", unit="sequence"),
)
DATASETS = {"city": CITY, "video": VIDEO}
RENDERED = {"city": "minicity", "video": "minicity_video"}  # the same images, by their names there
MODELS = {
    "pixels": PixelsModel(source="pixels", patch_size=8),
    "vit": UntrainedModel(
        source="untrained",
        arch="vit_tiny_patch16_224",
        arch_args={"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
        seed=0,
    ),
}
FEATURES = Features(layer=-1, layer_sweep=[], norm=True, dtype="float32", batch_size=8)
PRUNE = Prune(m=0.25, select="fixed", choices=[0.25], fit_on="support", random_draws=1, pca_drop=1)
SEGMENTATION = Segmentation(
    datasets=["city"],
    variants=["raw", "zscore", "prune"],
    heads=["knn"],
    k=7,
    k_sweep=[],
    shots=2,
    shots_sweep=[],
    label="majority",
    knn=Knn(distance="cosine", vote="majority", temperature=0.07),
    linear=Linear(c=[1.0], default_c=1.0, folds=2, max_iter=500),
)
IDENTIFICATION = Identification(
    datasets=["city"],
    images=1,
    patches=4,
    granularities=[1],
    distance="cosine",
    degradations=Degradations(blur=[1.0, 3.0], shift=[4.0]),
    seed=0,
)
RETRIEVAL = Retrieval(
    datasets=["city"], relevant=["fine_class"], frame_distance=None, distance="cosine"
)
TRACKING = Tracking(
    datasets=["video"],
    deltas=[1],
    age=30,
    thresholds=[0.0, 0.9],
    davis=Propagation(queue=7, radius=12, top=5, temperature=0.1),
)
UNCERTAINTY = Uncertainty(resamples=100, claim_resamples=10_000, seed=0)
SETTINGS = configured(
    datasets=DATASETS,
    models=MODELS,
    extract=Extract(datasets=list(DATASETS)),
    features=FEATURES,
    prune=PRUNE,
    segmentation=SEGMENTATION,
    identification=IDENTIFICATION,
    retrieval=RETRIEVAL,
    tracking=TRACKING,
    uncertainty=UNCERTAINTY,
)


def run(rendered: Path) -> None:
    """Run the stages in the working folder, in the order of the graph, on images that are there."""
    for model, settings in MODELS.items():
        weights.run(model, settings)
    for name, dataset in DATASETS.items():
        shutil.copytree(rendered / paths.raw(RENDERED[name]), paths.raw(name))
        index.run(name, dataset)
        for model in MODELS:
            for first in ("extract", "prune"):
                compute(first, dataset=name, model=model, settings=SETTINGS)
    for model in MODELS:
        for of_city in ("variance", "segmentation", "degrade"):
            compute(of_city, dataset="city", model=model, settings=SETTINGS)
        compute("tracking", dataset="video", model=model, settings=SETTINGS)
    explore()


def explore() -> None:
    """Run the stage explorer."""
    stage.run(SETTINGS)


def pages(out: Path) -> None:
    """Write the pages that show it; `pixels` is the floor."""
    found: Any = SimpleNamespace(
        is_floor=lambda model: model == "pixels", settings=SETTINGS, tables={}
    )
    listed = media.pages(found)
    build.write(listed, {"palette": looks(list(MODELS))}, out)


def script(dataset: str, file: str) -> Any:
    """What a script of the stage hands over."""
    text = (paths.EXPLORER / dataset / file).read_text(encoding="utf-8")
    return json.loads(re.fullmatch(r"\w+\((.*)\);\n", text, re.DOTALL)[1])


def unpacked(text: str, dtype: str) -> np.ndarray:
    """An array that was packed as base64."""
    return np.frombuffer(base64.b64decode(text), dtype)


def part(dataset: str, name: str) -> Any:
    """A part of the stage's output."""
    return precomputed.read(dataset, name)


def visit(page: Page, name: str) -> None:
    """Open a page of the site below the working folder."""
    page.goto((Path("site") / f"{name}.html").resolve().as_uri())
