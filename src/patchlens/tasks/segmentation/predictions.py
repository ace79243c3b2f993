"""The data of the page of predictions: masks of every model beside the truth and the photo."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from patchlens.arrays import Labels
from patchlens.datasets.sheet import palette
from patchlens.display.pictures import Pictures, label_png, spread
from patchlens.features.cell import Cell
from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.protocol import DIGITS
from patchlens.tasks.scores import confusion, mean_iou
from patchlens.tasks.segmentation.few_shot import Query, Support
from patchlens.tasks.segmentation.inputs import Inputs, open_inputs, support_sets

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

SCORED, SHOWN = 48, 8  # query images that are predicted, and of these the worst and the best
Seen = Callable[[int, Labels], None]
Predict = Callable[[Inputs, Support, Query, Seen], None]


def write(
    pictures: Pictures,
    settings: "Settings",
    dataset: DatasetName,
    predict: Predict,
    how: str,
    unlabelled: Mapping[str, Mapping[str, Labels]] | None = None,
) -> None:
    """Write `predictions.json`: the worst and the best images by the mean score of all models.

    Args:
        pictures: of the dataset.
        settings: all of params.yaml.
        dataset: its name.
        predict: predicts a query from a support set, and hands each mask with its row to `seen`.
        how: what predicts, in words.
        unlabelled: file of a picture, below that of the dataset -> model -> its mask.
    """
    index, colours = pictures.index, palette(pictures.index)
    masks: dict[str, dict[str, Labels]] = {}
    truth: dict[str, Labels] = {}
    for model in settings.models:
        inputs = open_inputs(Cell(dataset=dataset, model=model, settings=settings))
        masks[model] = _predicted(inputs, predict)
        truth = truth or {image_id: inputs.mask(image_id) for image_id in masks[model]}
    scores = {
        model: {i: _score(truth[i], mask, len(index.classes)) for i, mask in of.items()}
        for model, of in masks.items()
    }
    order = sorted(truth, key=lambda i: -float(np.mean([of[i] for of in scores.values()])))
    half = SHOWN // 2
    chosen = order if len(order) <= SHOWN else [*order[:half], *order[-half:]]
    content = {
        "title": "Predictions",
        "how": how,
        "scored": len(order),
        "classes": index.classes,
        "palette": colours,
        "models": list(masks),
        "images": [
            {
                "picture": pictures.of(image_id),
                "truth": label_png(truth[image_id], colours),
                "models": {
                    model: {
                        "mask": label_png(masks[model][image_id], colours),
                        "miou": round(scores[model][image_id], DIGITS),
                    }
                    for model in masks
                },
            }
            for image_id in chosen
        ],
        "unlabelled": [
            {"file": file, "models": {m: label_png(mask, colours) for m, mask in of.items()}}
            for file, of in (unlabelled or {}).items()
        ],
    }
    write_json(content, pictures.folder / "predictions.json")


def _predicted(inputs: Inputs, predict: Predict) -> dict[str, Labels]:
    """Image id -> predicted classes [H, W], each by a support set that does not hold the image."""
    index, found = inputs.cell.index, dict[str, Labels]()
    wanted = set(spread(inputs.cell.query.header.image_ids, SCORED))
    for support in support_sets(inputs):
        ids = [i for i in index.held_out(support.seed) if i in wanted]
        if ids:
            wanted -= set(ids)

            def keep(row: int, mask: Labels, ids: list[str] = ids) -> None:
                found[ids[row]] = mask

            predict(inputs, support, inputs.query_set(ids), keep)
    return found


def _score(truth: Labels, predicted: Labels, classes: int) -> float:
    """The mIoU of one image over the classes in it; 0 if nothing in it is labelled."""
    counts = confusion(truth, predicted, classes)
    present = counts.sum(axis=1) > 0
    return float(mean_iou(counts, present)) if present.any() else 0.0
