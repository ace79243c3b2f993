"""`patchlens why`: reads the cells, features and images of one model and writes a page on it.

This is not a stage of the graph: the page is made on request, from the results of `dvc repro`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.features.store import FeatureFile
from patchlens.files import existing, read_json, whole_folder, write_text
from patchlens.names import DatasetName, ModelName
from patchlens.report import why, why_figures

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

REMEDY = (
    "`patchlens why` needs the results of `dvc repro`: run it with the dataset in "
    "segmentation.datasets and sweep.datasets"
)
SHOWN = 3  # images and dimensions of the heat maps
PAGE = "README.md"


def write(
    *, dataset: DatasetName, model: ModelName, settings: "Settings", untrained: ModelName | None
) -> Path:
    """Write reports/why/<dataset>-<model>/: README.md and its figures.

    Args:
        dataset: its name.
        model: its name.
        settings: all settings.
        untrained: the model to show as the floor, if any.

    Returns:
        The path of the page.

    Raises:
        DataError: a cell or the features are missing.
    """
    variance, sweep = _cells(dataset=dataset, model=model)
    floor = None
    if untrained and untrained != model:
        floor = (untrained, *_cells(dataset=dataset, model=untrained))
    beside = (model, floor[0] if floor else model)
    dimensions = {m: _dimensions(dataset=dataset, model=m) for m in beside}
    top = dimensions[model].head(5)
    out = paths.why(dataset=dataset, model=model)
    with whole_folder(out) as folder:
        curves = {m: table["share"].to_numpy(dtype=np.float64) for m, table in dimensions.items()}
        why_figures.spectra(curves, folder / "spectrum.png")
        file = FeatureFile(paths.features(dataset=dataset, model=model) / "query.safetensors")
        index = Index.of(dataset, settings.dataset(dataset))
        _heat_maps(index, file, top, folder / "dimensions.png")
        swept = pd.read_csv(
            existing(paths.cell(dataset=dataset, model=model) / "sweep.csv", REMEDY)
        )
        why_figures.sweeps(swept, why.best_rivals(sweep), folder / "sweep.png")
        write_text(why.page(dataset, model, variance, sweep, top, floor), folder / PAGE)
    return out / PAGE


def _cells(*, dataset: DatasetName, model: ModelName) -> tuple[Any, Any]:
    cell = paths.cell(dataset=dataset, model=model)
    return read_json(cell / "variance.json", REMEDY), read_json(cell / "sweep.json", REMEDY)


def _dimensions(*, dataset: DatasetName, model: ModelName) -> pd.DataFrame:
    return pd.read_csv(
        existing(paths.cell(dataset=dataset, model=model) / "variance_dimensions.csv", REMEDY)
    )


def _heat_maps(index: Index, file: FeatureFile, top: pd.DataFrame, path: Path) -> None:
    ids = file.header.image_ids[:: max(1, len(file.header.image_ids) // SHOWN)][:SHOWN]
    dimensions = top["dimension"].tolist()[:SHOWN]
    features = file.images(ids, file.header.layers[0])[..., dimensions]
    why_figures.activations(
        [np.asarray(index.image(i)) for i in ids],
        features.transpose(0, 3, 1, 2),
        [f"dimension {d}" for d in dimensions],
        path,
    )
