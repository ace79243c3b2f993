"""Features and their variants as arrays."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from patchlens.api.protocol import default
from patchlens.arrays import Array
from patchlens.backbones.contract import Backbone
from patchlens.errors import DataError, FitError, SettingsError
from patchlens.features.device import Where, of_backbone
from patchlens.features.extract import Extractor, ImageSource
from patchlens.features.moments import Moments, rank_by_variance
from patchlens.features.store import Header
from patchlens.features.variants import VARIANTS, FitData, applied, check_width, fit, pruned_count
from patchlens.names import nearest
from patchlens.settings.datasets import View
from patchlens.settings.features import Device, Features, Prune
from patchlens.settings.validated import conforming

Images = Sequence[NDArray[np.uint8] | Image.Image] | NDArray[np.uint8]


def extract(
    backbone: Backbone,
    images: Images,
    *,
    patches: tuple[int, int] | None = None,
    layer: int = -1,
    norm: bool = True,
    dtype: Literal["float16", "float32"] = "float32",
    batch_size: int = 8,
    device: Device | None = None,
) -> Array:
    """Patch features of images, as the stage `extract` computes them.

    Args:
        backbone: the model.
        images: N images, uint8 [H, W, 3] or of Pillow in RGB, of any sizes.
        patches: rows and columns (h, w) to which every image is resized (× the patch size in
            pixels); by default, those nearest to the size of the first image.
        layer: index of a block, 0-based; negative ones count from the last.
        norm: whether the final norm of the model is applied.
        dtype: the precision in which features are kept; the stages keep float16.
        batch_size: images per forward pass.
        device: `auto`, `cpu`, `cuda` or `mps`; by default, where a wrapped module is, otherwise
            `auto`.

    Returns:
        float32 [N, h, w, D], rows from the top left.

    Raises:
        DataError: an image is not uint8 RGB, or a feature is NaN or infinite.
        SettingsError: the layer does not exist, or a value is out of range.
    """
    pictures = {f"{row:06d}": picture(one, f"images[{row}]") for row, one in enumerate(images)}
    if not pictures:
        raise DataError("images: there are none")
    where, patch = Path("extract"), backbone.patch_size
    if patches is None:
        first = next(iter(pictures.values()))
        patches = max(1, round(first.height / patch)), max(1, round(first.width / patch))
    asked = {"layer": layer, "layer_sweep": [], "norm": norm, "dtype": dtype}
    features = conforming(asked | {"batch_size": batch_size}, Features, where)
    view = conforming({"mode": "whole", "grid": "equal", "patches": [*patches]}, View, where)
    try:
        extractor = Extractor(backbone, view, features, place(backbone, device))
    except ValueError as error:
        raise SettingsError(f"extract: {error}") from None
    ids, size = list(pictures), view.describe(patch)
    header = Header(
        "arrays", "images", backbone.name, "", ids, (0, 0), 0, [], norm, dtype, size, patch
    )
    file = extractor.held(ImageSource(ids, pictures.__getitem__), header)
    return file.images(ids, file.header.layers[0])


def picture(image: NDArray[np.uint8] | Image.Image, where: str) -> Image.Image:
    """An image of the user, checked; `where` names it in messages."""
    if isinstance(image, Image.Image):
        if image.mode != "RGB":
            raise DataError(f"{where}: its mode is {image.mode}; convert it to RGB")
        return ImageOps.exif_transpose(image)  # upright, as from a file
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise DataError(
            f"{where}: is {array.dtype} {list(array.shape)}; an image must be uint8 [H, W, 3] in "
            "0..255, red first"
        )
    return Image.fromarray(array)


def place(backbone: Backbone, device: Device | None) -> Where:
    """The device: that of a wrapped module if it is not given, so that it is not moved."""
    if device is None:
        weights = (p for m in getattr(backbone, "modules", []) for p in m.parameters())
        where = next((p.device.type for p in weights), None)
        there: dict[str | None, Device] = {None: "auto", "cuda": "cuda", "mps": "mps"}
        device = there.get(where, "cpu")
    return of_backbone(device)


class Variant:
    """A feature variant, with the settings of `prune` in params.yaml.

    `Variant("prune", m=0.26).fit(features)` returns a function from features [..., D] to [..., D'];
    features are float32, of any number of images, and their last axis holds the dimensions.

    Args:
        name: one of docs/variants.md, such as `raw`, `zscore`, `prune`, `pca_whiten`.
        seed: of a random choice (`prune_random`).
        draw: the number of the draw with this seed.
        settings: `m`, the share of dimensions to drop, and `pca_drop`, a number of components.

    Raises:
        SettingsError: the variant or a setting is unknown or out of range.
    """

    def __init__(self, name: str, *, seed: int = 0, draw: int = 0, **settings: Any) -> None:
        if name not in VARIANTS:
            raise SettingsError(f"Variant: '{name}' is unknown; {nearest(name, VARIANTS)}")
        self.name, self.seed, self.draw = name, seed, draw
        self.prune: Prune = conforming(default("prune") | settings, Prune, Path("Variant"))

    def __repr__(self) -> str:
        return f"Variant({self.name!r})"

    def fit(self, features: Array) -> Callable[[Array], Array]:
        """Fit it on features [..., D] without labels, as tasks do on their support.

        Raises:
            DataError: there are no features, or one is NaN or infinite.
            FitError: it would drop all dimensions.
        """
        x = np.asarray(features, dtype=np.float32)
        if x.ndim < 2 or not x.size or not np.isfinite(x).all():
            raise DataError("features must be finite numbers [..., D], of at least one patch")
        maps = x.reshape(-1, *([1] * max(0, 3 - x.ndim)), *x.shape[-3:])
        moments = Moments.of(maps)
        mean, variance = moments.mean_and_variance(range(len(maps)))
        flat, width = x.reshape(-1, x.shape[-1]), x.shape[-1]
        try:
            check_width(self.prune, [self.name], width)
        except FitError as error:
            raise FitError(f"{self!r}: {error}") from None
        m = pruned_count(self.prune.m, width)
        data = FitData(mean, variance, rank_by_variance(variance), m, lambda: [flat])
        transform = fit(self.name, data, self.prune, seed=self.seed, draw=self.draw)
        return lambda found: applied(transform, np.asarray(found, dtype=np.float32))
