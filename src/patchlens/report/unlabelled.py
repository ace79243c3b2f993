"""What can be seen of features without labels: principal components as colours, similarities.

`features.json` describes images and models, with the spread of the variance over dimensions, layer
by layer; `features/<model>-<layer>.js` holds what a page draws of one layer of a model.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens.arrays import Array
from patchlens.display.pictures import Pictures, packed, spread, write_script
from patchlens.features.cell import Cell
from patchlens.features.moments import Moments, spectrum
from patchlens.features.variants import unit_rows
from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.progress import track
from patchlens.protocol import DIGITS

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

IMAGES = 6  # per dataset
AXES = 48  # of the unit features that the page gets: similarities need few more
CUT = 2.0  # per cent of the values of a component that are outside its range of colours


def write(dataset: DatasetName, settings: "Settings", pictures: Pictures) -> None:
    """Write the data of a dataset, for every model and every extracted layer."""
    ids: list[str] = []
    columns, models = [], list(settings.models)
    for model in track(models, total=len(models), what=f"features {dataset}", unit="model"):
        file = Cell(dataset=dataset, model=model, settings=settings).query
        ids = ids or spread(file.header.image_ids, IMAGES)
        for layer in file.header.layers:
            features = file.images(ids, layer)
            script = f"features/{model}-{layer}.js"
            content, kept = _layer(features)
            key = {"model": model, "layer": layer}
            write_script("patchlensFeatures", key | content, pictures.folder / script)
            moments = Moments.of(features)
            variance = moments.mean_and_variance(range(len(ids)))[1]
            numbers = {name: round(float(v), DIGITS) for name, v in spectrum(variance).items()}
            grid = list(features.shape[1:3])
            columns.append(key | {"script": script, "grid": grid, "kept": kept} | numbers)
    content = {
        "title": "Features without labels",
        "images": [pictures.of(image_id) for image_id in ids],
        "columns": columns,
        "axes": AXES,
    }
    write_json(content, pictures.folder / "features.json")


def _layer(features: Array) -> tuple[dict[str, Any], float]:
    """What a page draws of one layer [n, h, w, D], and the share of similarity that it has.

    `set` and `image` are colours [n, h, w, 3] of the first three components, of all images and of
    each; `axes` are unit features [n, h, w, AXES] on their main axes as signed bytes.
    """
    images, flat = len(features), features.reshape(-1, features.shape[-1])
    colours = {
        "set": _colours(flat).reshape(*features.shape[:3], 3),
        "image": np.stack([_colours(one.reshape(-1, one.shape[-1])) for one in features]),
    }
    unit = unit_rows(flat).astype(np.float64)
    _, vectors = np.linalg.eigh(unit.T @ unit)
    axes = unit @ vectors[:, ::-1][:, :AXES]
    kept = float(np.square(axes).sum() / max(np.square(unit).sum(), 1e-12))
    parts = {name: packed(values) for name, values in colours.items()}
    signed = np.rint(127 * axes).astype(np.int8)
    return parts | {"axes": packed(signed), "width": axes.shape[1], "images": images}, round(
        kept, 3
    )


def _colours(flat: Array) -> np.ndarray:
    """Red, green and blue of patches [n, D]: their first three principal components, as bytes."""
    centred = (flat - flat.mean(axis=0, dtype=np.float64)).astype(np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, :3]
    # The sign of a component is arbitrary: its largest weight is positive.
    basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])])
    values = centred @ basis
    low, high = np.percentile(values, [CUT, 100 - CUT], axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1)
    out = np.zeros((len(flat), 3), dtype=np.uint8)
    out[:, : values.shape[1]] = np.rint(255 * scaled.clip(0, 1))
    return out
