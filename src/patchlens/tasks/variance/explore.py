"""Maps of the dimensions of highest variance over a few query images, for the variance page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchlens.display.pictures import Pictures, spread
from patchlens.features.cell import Cell
from patchlens.files import whole_file, write_json
from patchlens.names import DatasetName
from patchlens.stored import read_csv

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

IMAGES = 3
DIMENSIONS = 4
# Cividis, which looks the same with every kind of colour vision: red, green and blue as polynomials
# of the level, the highest power first, as in d3-scale-chromatic.
CIVIDIS = (
    (-2710.57, 7024.72, -6402.7, 2381.73, -35.34, -4.54),
    (-67.37, 176.58, -131.46, 52.82, 170.73, 32.49),
    (2475.67, -6614.94, 6167.24, -2482.43, 442.36, 81.24),
)


def write(dataset: DatasetName, settings: "Settings", pictures: Pictures) -> None:
    """Write `maps.json`, and for each map a PNG with one pixel per patch in `dimensions/`.

    A dimension has the same scale in all images: the darkest value is `low`, the brightest `high`.
    """
    content, out = dict[str, Any](), pictures.folder
    for model in settings.models:
        cell = Cell(dataset=dataset, model=model, settings=settings)
        table = cell.folder / "variance_dimensions.csv"
        top = read_csv(table, "dimension", "share").head(DIMENSIONS)
        ids = spread(cell.query.header.image_ids, IMAGES)
        maps = cell.query.images(ids, cell.layer)[..., top["dimension"]]
        content[model] = {
            "images": [pictures.of(image_id) for image_id in ids],
            "dimensions": [
                {"dimension": int(dimension), "share": round(float(share), 6)}
                | _draw(maps[..., rank], f"dimensions/{model}-{rank}", out)
                for rank, (dimension, share) in enumerate(
                    zip(top["dimension"], top["share"], strict=True)
                )
            ],
        }
    write_json(content, out / "maps.json")


def _draw(maps: NDArray[np.float32], stem: str, out: Path) -> dict[str, Any]:
    """Write the maps [n, h, w] of one dimension; return their files and their common scale."""
    low, high = float(maps.min()), float(maps.max())
    levels = np.rint(255 * (maps - low) / ((high - low) or 1)).astype(np.uint8)
    palette = np.stack([np.polyval(channel, np.linspace(0, 1, 256)) for channel in CIVIDIS], axis=1)
    files = []
    for row, values in enumerate(levels):
        files.append(f"{stem}-{row}.png")
        image = Image.fromarray(values, mode="P")
        image.putpalette(palette.clip(0, 255).round().astype(np.uint8).ravel().tolist())
        with whole_file(out / files[-1]) as partial:
            image.save(partial, format="PNG", optimize=True)
    return {"low": round(low, 4), "high": round(high, 4), "maps": files}
