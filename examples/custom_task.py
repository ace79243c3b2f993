"""A task of your own: does the mean feature of an image tell which class covers most of it?"""

import numpy as np
import pandas as pd

import patchlens as pl
from patchlens.features.cell import Cell
from patchlens.tasks.result import Result


def majority(cell: Cell) -> Result:
    """Nearest support image by mean feature, for each variant; one row per query image."""
    label = {i: np.bincount(cell.index.mask(i).ravel()).argmax() for i in cell.index.images.index}
    ids, known = cell.query.header.image_ids, cell.support.header.image_ids
    rows = []
    for variant, [transform] in cell.fit().transforms.items():
        query, support = (
            np.stack([transform(one.reshape(-1, one.shape[-1])).mean(axis=0) for one in images])
            for images in (
                cell.query.images(ids, cell.layer),
                cell.support.images(known, cell.layer),
            )
        )
        distance = np.linalg.norm(query[:, None] - support, axis=-1)
        nearest = zip(ids, distance.argmin(axis=1), strict=True)
        rows += [(i, variant, label[i] == label[known[n]]) for i, n in nearest]
    records = pd.DataFrame(rows, columns=["image_id", "variant", "hit"])
    shares = records.groupby("variant", sort=False)["hit"].mean()
    return Result({"nearest": {v: {"top1": float(s)} for v, s in shares.items()}}, {}, {}, records)


rng = np.random.default_rng(0)
masks = (rng.random((40, 64, 64)) < rng.choice([0.2, 0.8], 40)[:, None, None]).astype(np.uint8)
images = np.where(masks[..., None], [150, 90, 90], [90, 90, 150]) + rng.integers(
    0, 60, (40, 64, 64, 3)
)
data = pl.from_arrays(images.astype(np.uint8), masks, classes=["blue", "red"], patches=(8, 8))
backbone = pl.load_backbone({"source": "pixels", "patch_size": 8})
print(pl.evaluate(backbone, data, majority, variant=["raw", "zscore"]))
