"""Stage prune: per-image moments, and the ranking of dimensions per support seed."""

import json

import numpy as np
from safetensors.numpy import save_file

from patchlens import paths
from patchlens.features.cell import IMAGES, Cell
from patchlens.features.moments import Moments, Ranked, rank_by_variance
from patchlens.features.store import FeatureFile
from patchlens.files import check_space, whole_file
from patchlens.progress import log, track


def run(cell: Cell) -> None:
    """Write data/moments/<dataset>/<model>.safetensors.

    `count` [N], `total` and `squares` [N, D] are the moments of each image; `mean`, `variance` and
    `ranking` [S, D] are those of each seed's support images (of all images with `fit_on: dataset`).
    """
    out = paths.moments(dataset=cell.dataset, model=cell.model)
    ids, seeds = _images_and_seeds(cell)
    values = cell.query.header.width * (2 * len(ids) + 3 * len(seeds))
    check_space("the moments", [(out.parent, 8 * values)])
    moments, _, ranked = measured(cell)
    # One entry, because safetensors writes several in random order, which changes the file's md5.
    about = {"about": json.dumps({"image_ids": ids, "seeds": seeds})}
    parts = [vars(moments), {k: v for k, v in vars(ranked).items() if k != "seeds"}]
    with whole_file(out) as partial:
        save_file(parts[0] | parts[1], partial, metadata=about)
    log.info("%s: ranked %d dimensions", cell, moments.total.shape[1])


def measured(cell: Cell) -> tuple[Moments, list[str], Ranked]:
    """The moments of each extracted image, the ids of these, and the ranking of each seed."""
    index, (ids, seeds) = cell.index, _images_and_seeds(cell)
    # Without a support, there are only moments: T2 to T4 then fit on the query.
    moments = Moments.concatenate([_moments(file) for file in cell.files])
    rows = {image_id: row for row, image_id in enumerate(ids)}
    fitted = []
    shots, prune = cell.settings.shots, cell.settings.prune
    for seed in seeds:
        of_seed = prune.fit_on == "support"
        chosen = index.support_ids(seed, shots) if of_seed else ids
        fitted.append(moments.mean_and_variance([rows[image_id] for image_id in chosen]))
    return (
        moments,
        ids,
        Ranked(
            seeds,
            mean=np.array([mean for mean, _ in fitted]),
            variance=np.array([variance for _, variance in fitted]),
            ranking=np.array([rank_by_variance(variance) for _, variance in fitted]),
        ),
    )


def _images_and_seeds(cell: Cell) -> tuple[list[str], list[int]]:
    ids = [image_id for file in cell.files for image_id in file.header.image_ids]
    return ids, cell.index.seeds if cell.support else []


def _moments(file: FeatureFile) -> Moments:
    ids = file.header.image_ids
    layer = file.header.layers[0]
    parts = [ids[i : i + IMAGES] for i in range(0, len(ids), IMAGES)]
    what = f"moments {file.header.model} × {file.header.dataset}"
    shown = track(parts, total=len(parts), what=what, unit="batch")
    return Moments.concatenate([Moments.of(file.images(part, layer)) for part in shown])
