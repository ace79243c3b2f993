"""From images and models to bytes and seconds, with the assumptions stated beside the numbers.

docs/cost.md has the arithmetic, and how near it came to a run.
"""

from dataclasses import dataclass, field

from patchlens.backbones.contract import absolute_layers, unlike
from patchlens.datasets.catalogue import find
from patchlens.errors import SettingsError
from patchlens.features.extract import AHEAD
from patchlens.features.views import tile_counts
from patchlens.names import DatasetName, ModelName
from patchlens.plan.images import Images
from patchlens.plan.models import Shape
from patchlens.settings.datasets import View
from patchlens.settings.features import Features
from patchlens.settings.load import Settings
from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.table import TABLE, cells

OPENED = 50_000  # pixels that take as long as it takes to open a picture
PIXELS = 350_000  # of a mask where images differ: about those of ADE20K
BYTES = {"float16": 2, "float32": 4}
PROCESS = 1e9  # bytes of a process without data: torch, timm, pandas, faiss
BLOCK = 12  # arrays of the width of a model that a block of it holds at its most, on a CPU


@dataclass(frozen=True)
class Rates:
    """What a machine does in a second; by default round numbers, as the times are rough.

    Attributes:
        core: FLOP of forward passes on one core.
        gpu: the same on one GPU in float32 without TF32, a guess; searches and probes as well.
        knn: FLOP of neighbour searches on one core.
        probe: FLOP of linear probes on one core.
        maps: pixels × classes of class maps on one core.
        gpu_maps: the same on one GPU, a guess.
        transform: feature values that variants are applied to, on one core.
        links: frames whose objects are linked, on one core.
        decode: pixels that are decoded and resampled, on one core.
        start: seconds to start a stage, as `patchlens repro` does.
        measured: whether this machine gave the numbers of its cores.
    """

    core: float = 45e9
    gpu: float = 10e12
    knn: float = 60e9
    probe: float = 14e9
    maps: float = 250e6
    gpu_maps: float = 4e9
    transform: float = 200e6
    links: float = 12e3
    decode: float = 25e6
    start: float = 0.3
    measured: bool = False

    def seconds(self, part: str, work: float, *, cores: int, gpu: bool) -> float:
        """Seconds of a part of the work, a key of `stages` of a cell, with all cores at work.

        Where one stage has work for one core, `patchlens repro` runs others beside it.
        """
        if gpu and part in ("extract", "knn", "probe", "maps"):
            return work / (self.gpu_maps if part == "maps" else self.gpu)
        rate: float = self.core if part == "extract" else getattr(self, part)
        return work / (rate * cores)


@dataclass(frozen=True)
class CellCost:
    """One model on one dataset. None: the number of images, or the size of the model, is unknown.

    Attributes:
        grid: patch rows and columns of an image; None if its tiles are unknown.
        features: bytes of the feature files, including those of degraded copies, and of indexes.
        extract: FLOP of the forward passes.
        knn: FLOP of the neighbour searches of all tasks.
        probe: FLOP of the linear probes.
        maps: pixels × classes of the class maps of all tasks.
        view: the width of its model, and the patches of one view.
        decode: pixels of all pictures and labels, and `OPENED` more for each.
        stages: stage -> part (`extract`, `decode`, `knn` and so on) -> its work.
        memory: stage -> bytes of its process at their most, about.
    """

    model: ModelName
    dataset: DatasetName
    grid: tuple[int, int] | None
    features: int | None
    extract: float | None
    knn: float | None
    probe: float | None
    maps: float | None = None
    transform: float | None = None
    links: float | None = None
    decode: float | None = None
    view: tuple[int, int] = (0, 0)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


def cell(
    size: Shape | None,
    images: Images,
    settings: Settings,
    *,
    dataset: DatasetName,
    model: ModelName,
) -> CellCost:
    """The cost of one cell; unknown without the size of the model.

    Raises:
        SettingsError: the model has no such layer, or the view does not fit its patches or tiles.
    """
    if size is None:
        return CellCost(model, dataset, None, None, None, None, None)
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
        return CellCost(model, dataset, None, None, None, None, None)
    one = pixels[0] // size.patch_size, pixels[1] // size.patch_size
    grid = tiles[0] * one[0], tiles[1] * one[1]
    layers = _layers(model, size, settings.features_of(dataset))
    pixels_of_image = PIXELS if images.size is None else images.size[0] * images.size[1]
    planned = Planned(
        settings,
        dataset,
        patches=grid[0] * grid[1],
        width=size.normed if settings.features.norm else size.width,
        layers=layers,
        support=images.support or 0,
        query=images.query or 0,
        pools=images.pools or 0,
        classes=images.classes or 1,
        pixels=pixels_of_image,
        grid=grid,
        reader=find(settings.dataset(dataset).kind).reader,
    )
    tasks = [task for task in TABLE if dataset in cells(settings)[task.name]]
    of = {task.name: task.cost(planned) for task in tasks}
    whole = sum(of.values(), Cost())
    maps = total * len(layers) + whole.copies
    image = tiles[0] * tiles[1] * size.flops(one)
    opened = pixels_of_image + OPENED
    stages = {
        stage: {"extract": count * image, "decode": count * opened}
        for stage, count in (("extract", total), ("degrade", whole.copies))
    }
    parts = ("knn", "probe", "maps", "transform", "links")
    stages |= {
        name: {part: getattr(c, part) for part in parts} | {"decode": c.read * opened}
        for name, c in of.items()
    }
    batch = settings.features.batch_size
    extraction = 4.0 * size.parameters + batch * 4 * BLOCK * size.width * one[0] * one[1]
    # Pictures of the batches that are decoded ahead; features of one as they come, cut, and stored.
    extraction += batch * tiles[0] * tiles[1] * 3 * pixels[0] * pixels[1] * (1 + AHEAD)
    extraction += 3 * batch * planned.patches * planned.width * BYTES[settings.features.dtype]
    memory = {"extract": extraction} | ({"degrade": extraction} if whole.copies else {})
    memory |= {name: c.memory for name, c in of.items()}
    return CellCost(
        model,
        dataset,
        grid,
        features=maps * planned.patches * planned.width * BYTES[settings.features.dtype]
        + round(whole.stored),
        extract=(total + whole.copies) * image,
        knn=whole.knn,
        probe=whole.probe,
        maps=whole.maps,
        transform=whole.transform,
        links=whole.links,
        decode=float((total + whole.copies + whole.read) * opened),
        view=(size.width, one[0] * one[1]),
        stages=stages,
        memory={name: PROCESS + held for name, held in memory.items()},
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


def _layers(model: str, size: Shape, features: Features) -> list[int]:
    """The extracted layers, in the order of the extractor."""
    try:
        own = [features.layer, *features.layer_sweep] if size.layer is None else [size.layer]
        wanted = absolute_layers(own, size.depth)
        if size.alike is not None and (others := sorted(set(wanted) - set(size.alike))):
            raise ValueError(unlike(wanted[0], others))
    except ValueError as error:
        where = f"params.yaml: features.layer or layer_sweep, for model '{model}'"
        raise SettingsError(f"{where}: {error}") from None
    return list(dict.fromkeys(wanted or [0]))
