"""Stage extract: the patch features of the selected images of a dataset."""

import shutil
from typing import TYPE_CHECKING

from patchlens import paths
from patchlens.features.device import machine, resolve
from patchlens.features.extract import Source
from patchlens.files import whole_folder, write_json
from patchlens.names import DatasetName, ModelName
from patchlens.progress import log
from patchlens.stages.extraction import open_extraction

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> None:
    """Write data/features/<dataset>/<model>/{support,query}.safetensors, and the cost.

    The speed is written to `paths.cost`, on which no stage depends.
    """
    own = settings.dataset(dataset)
    opened = open_extraction(
        dataset=dataset,
        model=model,
        settings=own,
        features=settings.features,
        device=settings.device,
    )
    index, extractor, about = opened.index, opened.extractor, opened.about
    selected = {"query": list(index.query["image_id"])}
    if own.support is not None:
        selected = {"support": sorted(set(index.support["image_id"]))} | selected
    work = opened.work("extract", [image_id for ids in selected.values() for image_id in ids])
    rate: float | None = None
    with whole_folder(paths.features(dataset=dataset, model=model)) as folder:
        for split, ids in selected.items():
            source = Source(ids, index.image)
            out = folder / f"{split}.safetensors"
            rate = extractor.run(source, opened.header(split, ids), work, out)
            log.info("%s × %s: %d %s images", model, dataset, len(ids), split)
    cost = {
        "parameters_m": round(opened.backbone.parameters / 1e6, 2),
        "gflops_per_image": round(extractor.gflops(source), 3),
        "architecture": about.get("arch", "none"),
        "origin": about.get("origin", "none"),
        "position": about.get("position", "none"),
    }
    write_json(cost, paths.cell(dataset=dataset, model=model) / "extract.json")
    speed = {"images_per_second": float(f"{rate:.2g}") if rate else None}
    cost_of_run = paths.cost(dataset=dataset, model=model)
    write_json(speed | machine(resolve(settings.device)), cost_of_run)
    shutil.rmtree(work)
