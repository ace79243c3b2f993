"""Evaluates a model on a dataset in memory, by the functions that the stages call."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from patchlens.api.data import Data
from patchlens.api.features import place
from patchlens.api.models import about
from patchlens.api.protocol import DEFAULT, settings_for, slot
from patchlens.api.result import Result
from patchlens.backbones.contract import Backbone
from patchlens.backbones.wrap import wrap
from patchlens.datasets.index import Index
from patchlens.errors import PatchlensError, SettingsError
from patchlens.features import prune
from patchlens.features.cell import Cell
from patchlens.features.extract import ImageSource
from patchlens.features.extraction import prepared, selected_images
from patchlens.features.moments import Moments, Ranked
from patchlens.features.store import FeatureFile
from patchlens.names import nearest
from patchlens.settings.features import Device, Features
from patchlens.tasks import result
from patchlens.tasks.entries import ENTRIES
from patchlens.tasks.identification.degrade import copies_to_read, features_of

TASKS = [task.name for task in ENTRIES if not task.study]


@dataclass(frozen=True, kw_only=True)
class HeldCell(Cell):
    """A cell whose index, model and features are in memory, and which leaves nothing behind.

    Attributes:
        held: the index of its dataset.
        backbone: its model.
        scratch: a folder for what tasks write beside their result.
        cache: a folder that keeps features, or None.
    """

    held: Index = field(repr=False)
    backbone: Backbone = field(repr=False)
    scratch: Path
    cache: Path | None = None

    @cached_property
    def index(self) -> Index:
        """See `Cell`."""
        return self.held

    @cached_property
    def query(self) -> FeatureFile:
        """See `Cell`."""
        return self._selected("query")

    @cached_property
    def support(self) -> FeatureFile | None:
        """See `Cell`."""
        return None if self.own.support is None else self._selected("support")

    @cached_property
    def degraded(self) -> FeatureFile:
        """See `Cell`."""
        source, sources = copies_to_read(self)
        return self._extracted("degraded", features_of(self), source, sources)

    @property
    def tracks(self) -> Path:
        """See `Cell`."""
        return self.scratch / "tracks"

    @property
    def knn(self) -> Path:
        """See `Cell`."""
        return self.scratch / "knn"

    def moments(self) -> tuple[Moments, list[str]]:
        """See `Cell`."""
        return self._measured[:2]

    def ranked(self) -> Ranked:
        """See `Cell`."""
        return self._measured[2]

    @cached_property
    def _measured(self) -> tuple[Moments, list[str], Ranked]:
        return prune.measured(self)

    def _selected(self, split: str) -> FeatureFile:
        ids = selected_images(self)[split]
        return self._extracted(
            split, self.settings.features, ImageSource(ids, self.index.image), ids
        )

    def _extracted(
        self, split: str, features: Features, source: ImageSource, sources: Sequence[str]
    ) -> FeatureFile:
        """The features of images; from the cache if it has those of this model.

        Args:
            split: the name of the file.
            features: what is extracted.
            source: the images.
            sources: the ids of the images of the dataset that they are made of.
        """
        opened = prepared(self, self.backbone, about(self.backbone), features)
        extractor, header = opened.extractor, opened.header(split, source.image_ids)
        if self.cache is None:
            return extractor.held(source, header)
        work = opened.work(split, sources)
        key = json.dumps([str(work), vars(header) | {"layers": extractor.layers}])
        folder = self.cache / "features" / hashlib.sha256(key.encode()).hexdigest()[:16]
        out = folder / f"{split}.safetensors"
        if out.is_file() and _same(found := FeatureFile(out), extractor.held, source, features):
            return found
        extractor.run(source, header, folder / "work", out)
        return FeatureFile(out)


def _same(
    file: FeatureFile, held: Callable[..., FeatureFile], source: ImageSource, features: Features
) -> bool:
    """Whether a model gives the features of a file: its code may have changed, not its weights."""
    ids = list(source.image_ids[: features.batch_size])
    now = held(replace(source, image_ids=ids), replace(file.header, image_ids=ids))
    layers = file.header.layers
    return all(np.array_equal(file.images(ids, n), now.images(ids, n)) for n in layers)


def evaluate(
    backbone: Backbone,
    data: Data,
    task: str | Callable[[Cell], result.Result] = "segmentation",
    *,
    variant: str | Sequence[str] | None = None,
    device: Device | None = None,
    cache: str | Path | None = None,
    params: str | Path = DEFAULT,
    **settings: Any,
) -> Result:
    """Score a model on a dataset, by the functions that the pipeline's stages call.

    On equal data and settings, the numbers are those of the pipeline's cell to the bit.

    Args:
        backbone: from `load_backbone` or `wrap`.
        data: from `load_dataset` or `from_arrays`.
        task: `segmentation`, `identification`, `retrieval` or `tracking`; or a function from a
            cell (with `index`, `query` and `support` features, and `fit()` of variants) to a
            `patchlens.tasks.result.Result`.
        variant: feature variants (docs/variants.md), of which `raw` must be one; by default, `raw`
            alone, or those of `params`.
        device: `auto`, `cpu`, `cuda` or `mps`; by default, where a wrapped module is, otherwise
            `auto`.
        cache: a folder that keeps features, which a later call with the same images and model
            uses; by default, features stay in memory and nothing is written.
        params: a params.yaml whose protocol holds, instead of the default of this function.
        settings: keys of the section of the task in params.yaml, or of `segmentation`, `features`,
            `prune`, `uncertainty` and `limits`: `k=10`, `heads=["knn"]`, `layer=-2`, `m=0.26`,
            `knn={"index": "ivf"}`, `memory_gb=8`, ...

    Returns:
        The scores with their intervals; shares are 0 to 1.

    Raises:
        SettingsError: a setting is unknown or out of range, or the dataset lacks what the task
            needs.
        DataError: a mask or an object contradicts its image, or a feature is NaN or infinite.
    """
    name = task if isinstance(task, str) else getattr(task, "__name__", "task")
    if isinstance(task, str) and task not in TASKS:
        raise SettingsError(f"evaluate: task '{task}' is unknown; {nearest(task, TASKS)}")
    model = slot(backbone.name)
    wanted = [variant] if isinstance(variant, str) else variant
    where = {"device": place(backbone, device)}
    with TemporaryDirectory(prefix="patchlens-") as scratch:
        try:
            asked = settings_for(
                name,
                data.name,
                data.settings,
                model,
                variant=wanted,
                options=where | settings,
                params=Path(params),
            )
            cell = HeldCell(
                dataset=data.name,
                model=model,
                settings=asked,
                held=data.index,
                backbone=backbone,
                scratch=Path(scratch),
                cache=None if cache is None else Path(cache),
            )
            run = task if callable(task) else import_module(f"patchlens.tasks.{task}.run").run
            found: result.Result = run(cell)
        except PatchlensError as error:
            raise type(error)(str(error).replace("params.yaml: ", "")) from None
    return Result(**vars(found), task=name, dataset=data.name, model=model)


class SegmentationProbe:
    """Few-shot segmentation as one number, for a model in training.

    Images and masks are decoded once and kept. The model is only read: its mode, its gradients and
    its device stay as they are.

    Args:
        data: from `load_dataset` or `from_arrays`, with class masks.
        head: `knn`, or `linear`, which takes longer.
        wrapping: arguments of `wrap` (`patch_size`, `mean`, `std`, ...) for models that are no
            backbones yet.
        settings: as those of `evaluate`, such as `k=10` or `layer=-2`.
    """

    def __init__(
        self,
        data: Data,
        *,
        head: str = "knn",
        wrapping: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self._data, self._head, self._wrapping = data.in_memory(), head, wrapping or {}
        self._settings: dict[str, Any] = {"heads": [head], "resamples": 100} | settings

    def score(self, model: Any) -> float:
        """The pixel mIoU of raw features, 0 to 1, as a mean over support seeds.

        Raises:
            DataError: a feature is NaN or infinite.
            SettingsError: see `evaluate` and `wrap`.
        """
        value: float = self.evaluate(model).metrics[self._head]["raw"]["pixel_miou"]
        return value

    def evaluate(self, model: Any) -> Result:
        """All scores, with intervals over query images (of 100 resamples unless set)."""
        backbone = model if hasattr(model, "channels") else wrap(model, **self._wrapping)
        return evaluate(backbone, self._data, **self._settings)
