"""The predictions of what the inner folds chose, in place of those of k-NN."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from patchlens.arrays import Labels
from patchlens.datasets.layout import IGNORE
from patchlens.display.pictures import Pictures, spread
from patchlens.features.cell import Cell
from patchlens.names import DatasetName, ModelName
from patchlens.settings.datasets import Collected
from patchlens.stored import read_csv, read_json
from patchlens.tasks.segmentation import predictions
from patchlens.tasks.segmentation.few_shot import Query, Support
from patchlens.tasks.segmentation.inputs import Inputs, open_inputs, support_sets
from patchlens.tasks.selection.choose import Candidate
from patchlens.tasks.selection.run import EVERY, everything, fitted, options_of, shots_of

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

UNLABELLED = 6  # images without labels, per dataset, that are predicted


def write(dataset: DatasetName, settings: "Settings", pictures: Pictures) -> None:
    """Write `predictions.json`; each support set predicts with its own choice.

    Unlabelled images of the same folder are predicted from all labelled ones, with the choice that
    is recommended.
    """
    how = "the layer, variant and head that the inner folds chose"
    unlabelled: dict[str, dict[str, Labels]] = {}
    for other in _beside(dataset, settings):
        for model in settings.models:
            for file, mask in _answers(dataset, other, model, settings, pictures):
                unlabelled.setdefault(file, {})[model] = mask
    predictions.write(pictures, settings, dataset, by_choice, how, unlabelled)


def by_choice(inputs: Inputs, support: Support, query: Query, seen: predictions.Seen) -> None:
    """Predict the query with what was chosen within the support set."""
    cell, segmentation = inputs.cell, inputs.segmentation
    sets = read_csv(cell.folder / "selection_sets.csv", "set", "layer", "variant", "head", "c")
    [row] = sets[sets["set"] == support.seed].to_dict("records")
    choice = Candidate(int(row["layer"]), row["variant"], str(row["head"]), float(row["c"]))
    options = options_of(cell, segmentation)
    fitted(choice, support, shots_of(inputs), segmentation, options, query, seen)


def _beside(dataset: DatasetName, settings: "Settings") -> list[DatasetName]:
    """The datasets of unlabelled images in the folder of a dataset of the user."""
    own = settings.dataset(dataset)
    if not isinstance(own, Collected) or own.kind != "folder":
        return []
    others = [(name, settings.datasets[name]) for name in settings.extract.datasets]
    same = {"root": own.root, "view": own.view, "support": None}
    return [
        name
        for name, other in others
        if isinstance(other, Collected)
        and other.query is not None
        and other.query.unit == "image"
        and all(getattr(other, key) == value for key, value in same.items())
    ]


def _answers(
    dataset: DatasetName,
    other: DatasetName,
    model: ModelName,
    settings: "Settings",
    pictures: Pictures,
) -> Iterator[tuple[str, Labels]]:
    """File and predicted classes [H, W] of a few unlabelled images."""
    inputs = open_inputs(Cell(dataset=dataset, model=model, settings=settings))
    cell = Cell(dataset=other, model=model, settings=settings)
    known = cell.index.images.loc[cell.query.header.image_ids]
    ids = spread(list(known.index[known["mask"].isna()]), UNLABELLED)
    sizes = known.loc[ids, ["height", "width"]].to_numpy()
    files = [f"{other}-{row}.jpg" for row in range(len(ids))]
    for image_id, file in zip(ids, files, strict=True):
        if not (pictures.folder / file).is_file():
            pictures.write(cell.index.image(image_id), file)
    query = Query(
        features=lambda rows, layer: cell.query.images(ids[rows.start : rows.stop], layer),
        labels=np.full((len(ids), *cell.query.header.grid), IGNORE, dtype=np.uint8),
        mask=lambda row: np.full(sizes[row], IGNORE, dtype=np.uint8),
        classes=len(inputs.cell.index.classes),
    )
    about = read_json(inputs.cell.folder / "selection.json")["protocol"]
    choice = Candidate(*(about[f"chosen_{key}"] for key in Candidate._fields))
    whole, own = everything(inputs, support_sets(inputs)), inputs.segmentation
    masks = dict[int, Labels]()
    if ids:
        options = options_of(inputs.cell, own)
        fitted(choice, whole, EVERY, own, options, query, masks.__setitem__)
    yield from ((files[row], mask) for row, mask in masks.items())
