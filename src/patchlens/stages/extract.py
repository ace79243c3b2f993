"""Stage extract: the patch features of the selected images of a dataset."""

import hashlib
import json
import shutil

from patchlens import paths
from patchlens.backbones.load import load, provenance
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.device import describe, resolve
from patchlens.features.extract import Extractor, Source
from patchlens.features.store import Header
from patchlens.files import file_hash, whole_folder, write_json
from patchlens.progress import log
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Features


def run(name: str, model: str, dataset: Dataset, features: Features, device: Device) -> None:
    """Write data/features/<dataset>/<model>/{support,query}.safetensors and the cost of it."""
    index = Index(paths.index(name), paths.images(name, dataset))
    about = provenance(paths.weights(model))
    where = resolve(device)
    backbone = load(paths.weights(model), dataset.view.ground)
    try:
        extractor = Extractor(backbone, dataset.view, features, where)
    except ValueError as error:
        raise SettingsError(
            f"params.yaml: features.layer, layer_sweep or datasets.{name}.view, for model "
            f"'{model}': {error}"
        ) from None
    selected = {"query": list(index.query["image_id"])}
    if dataset.support is not None:
        selected = {"support": sorted(set(index.support["image_id"]))} | selected
    images = [image_id for ids in selected.values() for image_id in ids]
    contents = [file_hash(index.root / path, "md5") for path in index.images.loc[images, "path"]]
    work = paths.WORK / "extract" / _digest(about, contents)
    rate: float | None = None
    with whole_folder(paths.features(name, model)) as folder:
        for split, ids in selected.items():
            source = Source(ids, index.image)
            header = Header(
                dataset=name,
                split=split,
                model=model,
                weights=about["sha256"],
                image_ids=ids,
                grid=(0, 0),
                width=backbone.width,
                layers=extractor.layers,
                norm=features.norm,
                dtype=features.dtype,
                view=dataset.view.describe(backbone.patch_size),
                patch_size=backbone.patch_size,
            )
            rate = extractor.run(source, header, work, folder / f"{split}.safetensors")
            log.info("%s × %s: %d %s images", model, name, len(ids), split)
    cost = {
        "parameters_m": round(backbone.parameters / 1e6, 2),
        "gflops_per_image": round(extractor.gflops(source), 3),
        "images_per_second": float(f"{rate:.2g}") if rate else "resumed",
        "device": describe(where),
        "architecture": about.get("arch", "none"),
        "origin": about.get("origin", "none"),
        "position": about.get("position", "none"),
    }
    write_json(cost, paths.cell(name, model) / "extract.json")
    shutil.rmtree(work)


def _digest(about: dict[str, str], contents: list[str]) -> str:
    """Names the shards of an interrupted run: they fit this model and these very images only."""
    text = json.dumps([about, contents], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
