"""`patchlens why`: opens the cells, features and images of one model and writes a page on it.

No stage of the graph: the page is made on request, of what `dvc repro` measured.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.features.store import FeatureFile
from patchlens.files import existing, read_json, whole_folder, write_text
from patchlens.report import why, why_figures
from patchlens.settings.datasets import Dataset

REMEDY = (
    "`patchlens why` tells of what `dvc repro` measured: run it with the dataset in "
    "segmentation.datasets and sweep.datasets"
)
SHOWN = 3  # images and dimensions of the heat maps
PAGE = "README.md"


def write(name: str, model: str, dataset: Dataset, untrained: str | None) -> Path:
    """Write reports/why/<dataset>-<model>/: README.md and its figures.

    Args:
        name: the dataset.
        model: the model.
        dataset: settings of the dataset.
        untrained: the model that is the floor, or None where there is none.

    Returns:
        The page.

    Raises:
        DataError: a cell or the features are missing.
    """
    variance, sweep = _cells(name, model)
    floor = (untrained, *_cells(name, untrained)) if untrained and untrained != model else None
    dimensions = {m: _dimensions(name, m) for m in (model, floor[0] if floor else model)}
    top = dimensions[model].head(5)
    out = paths.why(name, model)
    with whole_folder(out) as folder:
        curves = {m: table["share"].to_numpy(dtype=np.float64) for m, table in dimensions.items()}
        why_figures.spectra(curves, folder / "spectrum.png")
        _heat_maps(name, model, dataset, top, folder / "dimensions.png")
        swept = pd.read_csv(existing(paths.cell(name, model) / "sweep.csv", REMEDY))
        why_figures.sweeps(swept, why.best_rivals(sweep), folder / "sweep.png")
        write_text(why.page(name, model, variance, sweep, top, floor), folder / PAGE)
    return out / PAGE


def _cells(name: str, model: str) -> tuple[Any, Any]:
    cell = paths.cell(name, model)
    return read_json(cell / "variance.json", REMEDY), read_json(cell / "sweep.json", REMEDY)


def _dimensions(name: str, model: str) -> pd.DataFrame:
    return pd.read_csv(existing(paths.cell(name, model) / "variance_dimensions.csv", REMEDY))


def _heat_maps(name: str, model: str, dataset: Dataset, top: pd.DataFrame, path: Path) -> None:
    file = FeatureFile(paths.features(name, model) / "query.safetensors")
    index = Index(paths.index(name), paths.images(name, dataset))
    ids = file.header.image_ids[:: max(1, len(file.header.image_ids) // SHOWN)][:SHOWN]
    dimensions = top["dimension"].tolist()[:SHOWN]
    features = file.images(ids, file.header.layers[0])[..., dimensions]
    why_figures.activations(
        [np.asarray(index.image(i)) for i in ids],
        features.transpose(0, 3, 1, 2),
        [f"dimension {d}" for d in dimensions],
        path,
    )
