"""Stage extract: the patch features of the selected images; also opens models for degrade."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from patchlens import paths
from patchlens.backbones.contract import Backbone
from patchlens.backbones.load import load, provenance
from patchlens.cluster import Helpers
from patchlens.errors import SettingsError
from patchlens.features.cell import Cell
from patchlens.features.device import machine, of_backbone
from patchlens.features.extract import Extractor, ImageSource, ReadImage, Shard
from patchlens.features.store import Header
from patchlens.files import whole_folder, write_json
from patchlens.progress import log
from patchlens.settings.features import Features
from patchlens.settings.models import PythonModel
from patchlens.settings.sources import UNOFFICIAL


@dataclass(frozen=True)
class Extraction:
    """The model of a cell.

    Attributes:
        cell: the cell.
        backbone: the model.
        about: the provenance of its weights.
        extractor: the model on its device.
    """

    cell: Cell
    backbone: Backbone
    about: dict[str, str]
    extractor: Extractor
    _features: Features

    def header(self, split: str, image_ids: Sequence[str]) -> Header:
        """The header of a feature file of these images; the extractor sets its grid."""
        return Header(
            dataset=self.cell.dataset,
            split=split,
            model=self.cell.model,
            weights=self.about["sha256"],
            image_ids=list(image_ids),
            grid=(0, 0),
            width=self.backbone.width,
            layers=self.extractor.layers,
            norm=self._features.norm,
            dtype=self._features.dtype,
            view=self.cell.own.view.describe(self.backbone.patch_size),
            patch_size=self.backbone.patch_size,
            precision=self._features.precision,
        )

    def work(self, stage: str, image_ids: Sequence[str], seed: int = 0) -> Path:
        """The folder of a run's shards, which is specific to model, image contents and seed."""
        contents = [self.cell.index.content(image_id) for image_id in image_ids]
        text = json.dumps([self.about, contents, seed], sort_keys=True)
        return paths.WORK / stage / hashlib.sha256(text.encode()).hexdigest()[:16]


def open_extraction(cell: Cell, features: Features) -> Extraction:
    """Open the model of a cell, from the file of the weights stage; see `prepared`."""
    weights, model = paths.weights(cell.model), cell.settings.model(cell.model)
    own = model if isinstance(model, PythonModel) else None
    backbone = load(weights, cell.own.view.ground, own, features.layer)
    return prepared(cell, backbone, provenance(weights), features)


def prepared(
    cell: Cell, backbone: Backbone, about: dict[str, str], features: Features
) -> Extraction:
    """A backbone for the images of the dataset of a cell.

    Args:
        cell: the cell.
        backbone: its model.
        about: the provenance of the weights.
        features: what to extract.

    Raises:
        SettingsError: the model has no such layer, or the view does not match its patch size.
    """
    view = cell.own.view
    if "layer" in about:  # models.<name>.layer
        features = features.model_copy(update={"layer": int(about["layer"]), "layer_sweep": []})
    try:
        extractor = Extractor(backbone, view, features, of_backbone(cell.settings.device))
    except ValueError as error:
        raise SettingsError(
            f"params.yaml: features.layer, layer_sweep, models.{cell.model}.layer or "
            f"datasets.{cell.dataset}.view, for model '{cell.model}': {error}"
        ) from None
    return Extraction(cell, backbone, about, extractor, features)


def selected_images(cell: Cell) -> dict[str, list[str]]:
    """The images to extract: split -> their ids, the support first if it has its own."""
    selected = {"query": list(cell.index.query["image_id"])}
    if cell.own.support is None or cell.own.support.folds is not None:
        return selected
    return {"support": sorted(set(cell.index.support["image_id"]))} | selected


def helpers(
    opens: Callable[[Cell], tuple[Extractor, ReadImage]], cell: Cell
) -> Helpers[Shard, int]:
    """Other processes that make shards of a cell, with what `opens` gives: each opens it once."""
    return Helpers(partial(_making, opens, replace(cell)))


def _making(
    opens: Callable[[Cell], tuple[Extractor, ReadImage]], cell: Cell
) -> Callable[[Shard], int]:
    extractor, read = opens(cell)
    return lambda shard: extractor.shard(read, shard)


def _opened(cell: Cell) -> tuple[Extractor, ReadImage]:
    return open_extraction(cell, cell.settings.features_of(cell.dataset)).extractor, (
        cell.index.image
    )


def run(cell: Cell) -> None:
    """Write data/features/<dataset>/<model>/{support,query}.safetensors, and the cost.

    The speed is written to `paths.cost`, on which no stage depends.
    """
    opened = open_extraction(cell, cell.settings.features_of(cell.dataset))
    index, extractor, about = cell.index, opened.extractor, opened.about
    selected = selected_images(cell)
    work = opened.work("extract", [image_id for ids in selected.values() for image_id in ids])
    rate: float | None = None
    features = paths.features(dataset=cell.dataset, model=cell.model)
    with closing(helpers(_opened, cell)) as beside, whole_folder(features) as folder:
        for split, ids in selected.items():
            source = ImageSource(ids, index.image)
            out = folder / f"{split}.safetensors"
            rate = extractor.run(source, opened.header(split, ids), work, out, beside)
            log.info("%s: %d %s images", cell, len(ids), split)
    cost: dict[str, Any] = {
        "parameters_m": round(opened.backbone.parameters / 1e6, 2),
        "gflops_per_image": round(extractor.gflops(source), 3),
        "architecture": about.get("arch", "none"),
        "origin": about.get("origin", "none"),
        "position": about.get("position", "none"),
    }
    others = {"dataset": not index.official, "weights": UNOFFICIAL in cost["origin"]}
    if any(others.values()):
        cost["not_official"] = " and ".join(name for name, other in others.items() if other)
    write_json(cost, cell.folder / "extract.json")
    speed = {"images_per_second": float(f"{rate:.2g}") if rate else None}
    cost_of_run = paths.cost(dataset=cell.dataset, model=cell.model)
    write_json(speed | machine(of_backbone(cell.settings.device)), cost_of_run)
    shutil.rmtree(work)
