"""Stage degrade: patch features of degraded copies of some query images, once for all variants."""

import hashlib
import json
import shutil
from functools import lru_cache

from PIL import Image

from patchlens import paths
from patchlens.backbones.load import load, provenance
from patchlens.datasets.degrade import copies
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.device import resolve
from patchlens.features.extract import Extractor, Source
from patchlens.features.store import Header
from patchlens.files import file_hash
from patchlens.progress import log
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Features
from patchlens.settings.identification import Identification


def run(
    name: str,
    model: str,
    dataset: Dataset,
    features: Features,
    settings: Identification,
    device: Device,
) -> None:
    """Write data/degraded/<dataset>/<model>.safetensors: the headline layer of every copy."""
    index = Index(paths.index(name), paths.images(name, dataset))
    about = provenance(paths.weights(model))
    backbone = load(paths.weights(model), dataset.view.ground)
    headline = features.model_copy(update={"layer_sweep": []})
    try:
        extractor = Extractor(backbone, dataset.view, headline, resolve(device))
    except ValueError as error:
        raise SettingsError(
            f"params.yaml: features.layer or datasets.{name}.view, for model '{model}': {error}"
        ) from None
    wanted = {copy.copy_id: copy for copy in copies(index.query["image_id"], settings)}
    header = Header(
        dataset=name,
        split="degraded",
        model=model,
        weights=about["sha256"],
        image_ids=list(wanted),
        grid=(0, 0),
        width=backbone.width,
        layers=extractor.layers,
        norm=features.norm,
        dtype=features.dtype,
        view=dataset.view.describe(backbone.patch_size),
        patch_size=backbone.patch_size,
    )

    @lru_cache(maxsize=1)  # the copies of an image follow one another
    def clean(image_id: str) -> Image.Image:
        return index.image(image_id)

    def read(copy_id: str) -> Image.Image:
        copy = wanted[copy_id]
        return copy.of(clean(copy.image_id), settings.seed)

    sources = dict.fromkeys(copy.image_id for copy in wanted.values())
    files = index.images.loc[list(sources), "path"]
    contents = [file_hash(index.root / path, "md5") for path in files]
    work = paths.WORK / "degrade" / _digest(about, contents, settings)
    extractor.run(Source(list(wanted), read), header, work, paths.degraded(name, model))
    shutil.rmtree(work)
    log.info("%s × %s: %d copies of %d images", model, name, len(wanted), len(sources))


def _digest(about: dict[str, str], contents: list[str], settings: Identification) -> str:
    """Names the shards of an interrupted run: they fit this model, these images, this seed only."""
    text = json.dumps([about, contents, settings.seed], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
