"""Shared by extract and degrade: a model on its device, and the headers of its feature files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from patchlens import paths
from patchlens.backbones.contract import Backbone
from patchlens.backbones.load import load, provenance
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.device import resolve
from patchlens.features.extract import Extractor
from patchlens.features.store import Header
from patchlens.files import file_hash
from patchlens.names import DatasetName, ModelName
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Features


@dataclass(frozen=True)
class Extraction:
    """One model on one dataset.

    Attributes:
        index: the dataset.
        backbone: the model.
        about: the provenance of its weights.
        extractor: the model on its device.
    """

    index: Index
    backbone: Backbone
    about: dict[str, str]
    extractor: Extractor
    _dataset: DatasetName
    _model: ModelName
    _view: str
    _features: Features

    def header(self, split: str, image_ids: Sequence[str]) -> Header:
        """The header of a feature file of these images; the extractor sets its grid."""
        return Header(
            dataset=self._dataset,
            split=split,
            model=self._model,
            weights=self.about["sha256"],
            image_ids=list(image_ids),
            grid=(0, 0),
            width=self.backbone.width,
            layers=self.extractor.layers,
            norm=self._features.norm,
            dtype=self._features.dtype,
            view=self._view,
            patch_size=self.backbone.patch_size,
        )

    def work(self, stage: str, image_ids: Sequence[str], seed: int = 0) -> Path:
        """The folder of a run's shards, which is specific to model, image contents and seed."""
        files = self.index.images.loc[list(image_ids), "path"]
        contents = [file_hash(self.index.root / path, "md5") for path in files]
        text = json.dumps([self.about, contents, seed], sort_keys=True)
        return paths.WORK / stage / hashlib.sha256(text.encode()).hexdigest()[:16]


def open_extraction(
    *,
    dataset: DatasetName,
    model: ModelName,
    settings: Dataset,
    features: Features,
    device: Device,
) -> Extraction:
    """Open a model for the images of a dataset.

    Raises:
        SettingsError: the model has no such layer, or the view does not match its patch size.
    """
    index = Index.of(dataset, settings)
    backbone = load(paths.weights(model), settings.view.ground)
    try:
        extractor = Extractor(backbone, settings.view, features, resolve(device))
    except ValueError as error:
        raise SettingsError(
            f"params.yaml: features.layer, layer_sweep or datasets.{dataset}.view, for model "
            f"'{model}': {error}"
        ) from None
    return Extraction(
        index,
        backbone,
        provenance(paths.weights(model)),
        extractor,
        dataset,
        model,
        settings.view.describe(backbone.patch_size),
        features,
    )
