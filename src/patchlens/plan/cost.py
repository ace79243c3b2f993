"""From images and models to bytes and seconds, with the assumptions stated beside the numbers.

The rates are round numbers, since the times are rough. CPU: about what ViTs and exact k-NN reach
per core in docs/bench.md. GPU: a guess for float32 without TF32 on large data-centre GPUs.
"""

from dataclasses import dataclass

from patchlens.backbones.contract import absolute_layers
from patchlens.errors import SettingsError
from patchlens.features.variants import draws
from patchlens.features.views import tile_counts
from patchlens.names import DatasetName, ModelName
from patchlens.plan.images import Images
from patchlens.plan.models import Shape
from patchlens.settings.datasets import View
from patchlens.settings.features import Features
from patchlens.settings.load import Settings

CORE = 70e9  # FLOP/s of one CPU core
GPU = 10e12  # FLOP/s of one GPU in float32
PROBE_STEPS = 200  # L-BFGS iterations of one fit of the linear probe
BYTES = {"float16": 2, "float32": 4}


@dataclass(frozen=True)
class Cell:
    """One model on one dataset. None means that the number of images is unknown.

    Attributes:
        grid: patch rows and columns of an image; None if its tiles are unknown.
        features: bytes of the feature files, including those of degraded copies.
        extract: FLOP of the forward passes.
        knn: FLOP of the neighbour searches of T1 and T2.
        probe: FLOP of the linear probes of T1 on one CPU core; they always run on the CPU.
    """

    model: ModelName
    dataset: DatasetName
    grid: tuple[int, int] | None
    features: int | None
    extract: float | None
    knn: float | None
    probe: float | None


def cell(
    size: Shape,
    images: Images,
    settings: Settings,
    *,
    dataset: DatasetName,
    model: ModelName,
) -> Cell:
    """The cost of one cell.

    Raises:
        SettingsError: the model has no such layer, or the view does not fit its patches or tiles.
    """
    view = settings.dataset(dataset).view
    pixels = view.input_size(size.patch_size)
    if pixels[0] % size.patch_size or pixels[1] % size.patch_size:
        raise SettingsError(
            f"params.yaml: datasets.{dataset}.view.pixels: {list(pixels)} is not a multiple of "
            f"the patch size {size.patch_size} of model '{model}'"
        )
    tiles = _tiles(dataset, view, images)
    total = images.total
    if tiles is None or total is None:
        return Cell(model, dataset, None, None, None, None, None)
    one = pixels[0] // size.patch_size, pixels[1] // size.patch_size
    grid = tiles[0] * one[0], tiles[1] * one[1]
    layers = len(_layers(model, size.depth, settings.features))
    patches = grid[0] * grid[1]
    width = size.normed if settings.features.norm else size.width
    values = total * patches * width * layers
    knn = probe = 0.0
    copies = 0
    if dataset in settings.segmentation.datasets:
        seeds = len(settings.dataset(dataset).few_shot()[0].seeds)
        knn = seeds * _knn(settings, images, patches, width, layers, seeds)
        probe = seeds * _probe(settings, images, patches, width, seeds)
    if dataset in settings.identification.datasets:
        copies = _copies(settings, images)
        knn += _identification(settings, images, copies, patches, width)
    return Cell(
        model,
        dataset,
        grid,
        features=(values + copies * patches * width) * BYTES[settings.features.dtype],
        extract=(total + copies) * tiles[0] * tiles[1] * size.flops(one),
        knn=knn,
        probe=probe,
    )


def _tiles(dataset: str, view: View, images: Images) -> tuple[int, int] | None:
    if view.tile is None:
        return 1, 1
    if images.size is None:
        return None
    try:
        return tile_counts(view, images.size)
    except ValueError as error:
        raise SettingsError(f"params.yaml: datasets.{dataset}.view.tile: {error}") from None


def _layers(model: str, depth: int, features: Features) -> list[int]:
    """The extracted layers, in the order of the extractor."""
    try:
        wanted = absolute_layers([features.layer, *features.layer_sweep], depth)
    except ValueError as error:
        where = f"params.yaml: features.layer or layer_sweep, for model '{model}'"
        raise SettingsError(f"{where}: {error}") from None
    return list(dict.fromkeys(wanted or [0]))


def _knn(
    settings: Settings, images: Images, patches: int, width: int, layers: int, seeds: int
) -> float:
    """FLOP of one seed's searches: all variants and layers at the headline shots, else `raw`."""
    if "knn" not in settings.segmentation.heads:
        return 0.0
    bank = _bank_images(settings, images, seeds, more=layers - 1) * patches
    return 2.0 * bank * (images.query or 0) * patches * width


def _copies(settings: Settings, images: Images) -> int:
    """Degraded copies of query images."""
    s = settings.identification
    degraded = images.query or 0
    degraded = degraded if s.images == "all" else min(degraded, s.images)
    return degraded * len(s.degradations.items())


def _identification(
    settings: Settings, images: Images, copies: int, patches: int, width: int
) -> float:
    """FLOP of T2's searches for single patches; pooled patches and objects are negligible."""
    s = settings.identification
    asked = patches if s.patches == "all" else min(patches, s.patches)
    fits = sum(draws(name, settings.prune) for name in settings.segmentation.variants)
    return 2.0 * fits * copies * asked * (images.query or 0) * patches * width


def _probe(settings: Settings, images: Images, patches: int, width: int, seeds: int) -> float:
    """FLOP of the probes of one seed on one core: every C on the folds, then one C on all."""
    linear = settings.segmentation.linear
    if "linear" not in settings.segmentation.heads:
        return 0.0
    rows = _bank_images(settings, images, seeds, more=0) * patches
    # Two folds run side by side, one BLAS thread each.
    passes = 1 + (len(linear.c) * (linear.folds - 1) / 2 if len(linear.c) > 1 else 0)
    step = 4.0 * width * (images.classes or 1)  # scores and gradient: two matrix products
    return rows * passes * PROBE_STEPS * step


def _bank_images(settings: Settings, images: Images, seeds: int, more: int) -> int:
    """Support images of a seed, summed over the fits of one head; `more` fits at the headline."""
    s = settings.segmentation
    fits = dict.fromkeys(s.shots_sweep, 1)
    fits[s.shots] = sum(draws(name, settings.prune, seeds) for name in s.variants) + more
    return sum(fits[shots] * (images.bank(shots) or 0) for shots in fits)
