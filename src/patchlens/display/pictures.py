"""Pictures, label maps, arrays and scripts: what the data of interactive pages is made of."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.files import whole_file, write_text
from patchlens.settings.features import VariantName

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

QUALITY = 88  # of JPEG: patches of 8 pixels are shown enlarged
MANY = 32  # pictures of a dataset: more are smaller, so that a site stays below 25 MB
SIDE = 1024  # pixels of the longer side: a page shows no more, and a site has room for many
Colour = tuple[int, int, int]
VARIANTS: tuple[VariantName, ...] = ("raw", "zscore", "prune")  # shown if configured


class Pictures:
    """Images of a dataset as JPEG files in `folder`/images, each written at its first use.

    Attributes:
        index: of the dataset.
        folder: the explorer's folder of the dataset.
    """

    def __init__(self, index: Index, folder: Path) -> None:
        self.index, self.folder = index, folder
        self._written = 0
        self._row = {str(image_id): row for row, image_id in enumerate(index.images.index)}

    def of(self, image_id: str) -> dict[str, Any]:
        """Id, file below `folder`, width and height in pixels of an image, which may be larger."""
        file = f"images/{self._row[image_id]:05d}.jpg"
        sides: Any = self.index.images.loc[image_id, ["height", "width"]]
        height, width = (int(side) for side in sides)
        if not (self.folder / file).is_file():
            self.write(self.index.image(image_id), file)
        return {"id": image_id, "file": file, "width": width, "height": height}

    def write(self, image: Image.Image, file: str) -> None:
        """Write pixels as JPEG to `file` below the folder, reduced to `SIDE`, or half if many."""
        side = SIDE if self._written < MANY else SIDE // 2
        self._written += 1
        if max(image.size) > side:
            image = image.copy()
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        with whole_file(self.folder / file) as partial:
            image.save(partial, format="JPEG", quality=QUALITY, subsampling=0)


def label_png(labels: NDArray[np.integer], colours: Sequence[Colour]) -> str:
    """Class ids [H, W] as the data URI of an indexed PNG; ignored pixels are transparent.

    A map of more than `SIDE` pixels a side is reduced to its nearest pixels.
    """
    ignored = len(colours)
    values = np.where(labels == IGNORE, ignored, labels).astype(np.uint8)
    image = Image.fromarray(values, mode="P")
    image.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    image.putpalette([value for colour in [*colours, (0, 0, 0)] for value in colour])
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True, transparency=ignored)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def packed(values: NDArray[np.number]) -> str:
    """An array's bytes, little-endian and row by row, in base64."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode()


def write_script(function: str, content: Any, path: Path) -> None:
    """Write a script that calls `function` with `content`; pages opened from disk can load it."""
    text = json.dumps(content, separators=(",", ":"), sort_keys=True, allow_nan=False)
    write_text(f"{function}({text.replace('<', chr(92) + 'u003c')});\n", path)


def spread(ids: Sequence[str], count: int) -> list[str]:
    """At most `count` of the ids, evenly spaced."""
    return list(ids[:: max(1, len(ids) // count)][:count])


def shown_variants(settings: "Settings") -> list[VariantName]:
    """The variants that interactive pages show."""
    return [variant for variant in VARIANTS if variant in settings.variants]
