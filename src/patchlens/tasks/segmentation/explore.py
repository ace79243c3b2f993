"""The data of the patch explorer: T1's nearest neighbours of every patch of a few query images.

`patches.json` describes them; `patches/<n>.js` contains the neighbours of all patches of an image.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.datasets.sheet import palette
from patchlens.display.pictures import (
    Pictures,
    label_png,
    packed,
    shown_variants,
    spread,
    write_script,
)
from patchlens.features.cell import Cell
from patchlens.features.device import resolve
from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.progress import track
from patchlens.protocol import DIGITS
from patchlens.tasks.segmentation import predictions
from patchlens.tasks.segmentation.classify import Fit, Task
from patchlens.tasks.segmentation.few_shot import Query, Support
from patchlens.tasks.segmentation.inputs import Inputs, open_inputs
from patchlens.tasks.segmentation.neighbours import NEAREST, Neighbours, first_support, neighbours
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.segmentation.upsample import upsampled_argmax

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

IMAGES = 8  # query images per dataset
COSINE_STEP = 1e-4  # resolution of a stored cosine
STEPS = 32767


def write(dataset: DatasetName, settings: "Settings", pictures: Pictures) -> None:
    """Write the explorer's data of a dataset: the first support seed, every model."""
    index, out, segmentation = pictures.index, pictures.folder, settings.section(Segmentation)
    models = list(settings.models)
    wanted = shown_variants(settings)
    columns: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    scripts: list[dict[str, Any]] = []
    bank_labels: dict[str, str] = {}
    ids: list[str] = []
    for model in track(models, total=len(models), what=f"explorer {dataset}", unit="model"):
        inputs = open_inputs(Cell(dataset=dataset, model=model, settings=settings))
        if not ids:
            ids = spread(index.held_out(index.seeds[0]), IMAGES)
            scripts = [_truth(index, inputs, row, image_id) for row, image_id in enumerate(ids)]
        grid = "×".join(map(str, inputs.cell.query.header.grid))
        support = first_support(inputs)
        bank_labels[grid] = packed(support.labels(segmentation.shots))
        for script, image_id in zip(scripts, ids, strict=True):
            script["patch_labels"][grid] = packed(inputs.labels[image_id])
        for variant in wanted:
            found = neighbours(inputs, support, variant, ids)
            if found is None:
                left_out.append({"model": model, "variant": variant})
                continue
            columns.append({"model": model, "variant": variant, "grid": grid})
            for row, script in enumerate(scripts):
                script["found"].append(_packed(found, row, inputs, ids[row], segmentation))
    for script in scripts:
        write_script("patchlensExplorer", script, out / f"patches/{script['image']}.js")
    seed = index.seeds[0]
    content = {
        "classes": index.classes,
        "palette": palette(index),
        "ignore": IGNORE,
        "columns": columns,
        "left_out": left_out,
        "images": [pictures.of(i) | {"script": f"patches/{n}.js"} for n, i in enumerate(ids)],
        "bank": [pictures.of(i) for i in index.support_ids(seed, segmentation.shots)],
        "bank_labels": bank_labels,
        "nearest": NEAREST,
        "seed": seed,
        "k": segmentation.k,
        "vote": segmentation.knn.vote,
        "distance": segmentation.knn.distance,
        "title": "Patch explorer",
    }
    write_json(content, out / "patches.json")
    predictions.write(pictures, settings, dataset, by_neighbours, "k-NN, raw features")


def by_neighbours(inputs: Inputs, support: Support, query: Query, seen: predictions.Seen) -> None:
    """Predict the query with T1's k-NN on raw features."""
    own = inputs.segmentation.model_copy(
        update={
            "k_sweep": [],
            "knn": inputs.segmentation.knn.model_copy(update={"index": "exact", "storage": "fp32"}),
        }
    )
    layer, prune = inputs.cell.layer, inputs.cell.settings.prune
    task = Task(own, prune, [layer], resolve(inputs.cell.settings.device), query, seen)
    for _ in task.fit(support, Fit("knn", "raw", 0, layer, own.shots)):
        pass


def _truth(index: Index, inputs: Inputs, row: int, image_id: str) -> dict[str, Any]:
    mask = label_png(inputs.mask(image_id), palette(index))
    return {"image": row, "mask": mask, "patch_labels": {}, "found": []}


def _packed(
    found: Neighbours, row: int, inputs: Inputs, image_id: str, segmentation: Segmentation
) -> dict[str, Any]:
    """One image of `found`: small integers, and the segmentation as an indexed PNG."""
    similarity, places = found.similarity[row], found.places[row]
    step = COSINE_STEP
    if segmentation.knn.distance != "cosine":
        step = float(np.abs(similarity).max()) / STEPS or 1.0
    mask = inputs.mask(image_id)
    predicted = upsampled_argmax(found.shares[row], mask.shape)
    small = np.uint16 if places.max(initial=0) < 1 << 16 else np.uint32
    return {
        "places": packed(places.astype(small)),
        "bytes": small().itemsize,
        "similarity": packed(np.rint(similarity / step).astype(np.int16)),
        "step": step,
        "winners": packed(found.winners[row].astype(np.uint8)),
        "accuracy": round(float((predicted == mask)[mask != IGNORE].mean()), DIGITS),
        "predicted": label_png(predicted, palette(inputs.cell.index)),
    }
