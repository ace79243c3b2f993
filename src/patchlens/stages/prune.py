"""Stage prune: per-image moments, and the ranking of dimensions per support seed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.features.moments import Moments, rank_by_variance
from patchlens.features.store import FeatureFile
from patchlens.files import whole_file
from patchlens.names import DatasetName, ModelName
from patchlens.progress import log, track

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

CHUNK = 32


def run(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> None:
    """Write data/moments/<dataset>/<model>.safetensors.

    `count` [N], `total` and `squares` [N, D] are the moments of each image; `mean`, `variance` and
    `ranking` [S, D] are those of each seed's support images (of all images with `fit_on: dataset`).
    """
    folder = paths.features(dataset=dataset, model=model)
    found = [folder / f"{split}.safetensors" for split in ("support", "query")]
    index = Index(paths.index(dataset), Path())
    # Without a support, only moments are written: T2 to T4 then fit on the query.
    files = [FeatureFile(path) for path in (found if index.has_support else found[1:])]
    ids = [image_id for file in files for image_id in file.header.image_ids]
    moments = Moments.concatenate([_moments(file) for file in files])
    rows = {image_id: row for row, image_id in enumerate(ids)}
    fitted = []
    shots = settings.segmentation.shots
    seeds = index.seeds if index.has_support else []
    for seed in seeds:
        of_seed = settings.prune.fit_on == "support"
        chosen = index.support_ids(seed, shots) if of_seed else ids
        fitted.append(moments.mean_and_variance([rows[image_id] for image_id in chosen]))
    tensors = {
        "count": moments.count,
        "total": moments.total,
        "squares": moments.squares,
        "mean": np.array([mean for mean, _ in fitted]),
        "variance": np.array([variance for _, variance in fitted]),
        "ranking": np.array([rank_by_variance(variance) for _, variance in fitted]),
    }
    # One entry, because safetensors writes several in random order, which changes the file's md5.
    about = {"about": json.dumps({"image_ids": ids, "seeds": seeds})}
    with whole_file(paths.moments(dataset=dataset, model=model)) as partial:
        save_file(tensors, partial, metadata=about)
    log.info("%s × %s: ranked %d dimensions", model, dataset, moments.total.shape[1])


def _moments(file: FeatureFile) -> Moments:
    ids = file.header.image_ids
    layer = file.header.layers[0]
    parts = [ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK)]
    shown = track(parts, total=len(parts), what="moments", unit="batch")
    return Moments.concatenate([Moments.of(file.images(part, layer)) for part in shown])
