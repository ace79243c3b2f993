"""The plan of a run: what `patchlens plan` prints, and when it refuses."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from patchlens.datasets.catalogue import find
from patchlens.errors import SettingsError
from patchlens.plan import cost, graph
from patchlens.plan.images import Images, count
from patchlens.plan.models import Download, Shape, download, shape
from patchlens.settings.load import Settings

ROOM = 2  # free disk over features: the shards and the file of the cell at work, and the rest spare


@dataclass(frozen=True)
class Plan:
    """All that is known before a run.

    Attributes:
        stages: name -> number of cells.
        downloads: weights and datasets, in the order of the settings.
        images: dataset -> its selected images.
        cells: every model on every dataset whose features are extracted.
        cores: CPU cores of this machine.
        free: bytes that are free here.
    """

    stages: dict[str, int]
    downloads: list[Download]
    images: dict[str, Images]
    cells: list[cost.Cell]
    cores: int
    free: int

    @property
    def features(self) -> int:
        """Bytes of all feature files whose size is known."""
        return sum(cell.features or 0 for cell in self.cells)

    @property
    def unknown(self) -> list[str]:
        """Datasets of which it is not known how many images are extracted."""
        return sorted({cell.dataset for cell in self.cells if cell.features is None})

    def seconds(self, part: str, *, gpu: bool) -> float:
        """Rough seconds of `extract`, `knn` or `probe` over all cells."""
        flop = sum(getattr(cell, part) or 0.0 for cell in self.cells)
        if part == "probe":
            return flop / cost.CORE
        return flop / (cost.GPU if gpu else cost.CORE * self.cores)

    def check_disk(self, params: Path) -> None:
        """Refuse a run that would fill the disk.

        Raises:
            SettingsError: twice the features are more than is free.
        """
        if self.features * ROOM > self.free:
            raise SettingsError(
                f"{params}: the features take {self.features / 1e9:.1f} GB and a run starts "
                f"with twice that free; {self.free / 1e9:.1f} GB are free in {Path.cwd()}. Take "
                "fewer models, datasets, features.layer_sweep or support.images, or a larger disk"
            )


def make(settings: Settings, dvc: Path) -> Plan:
    """Plan a run of these settings in the working folder.

    Raises:
        SettingsError: the settings name a model that does not exist or that does not fit a view.
    """
    stages = graph.stages(dvc, settings)
    shapes = {name: shape(name, model) for name, model in settings.models.items()}
    pairs = [c for s in stages if s.name == "extract" for c in s.cells]
    images = {name: count(name, settings.dataset(name)) for name in {p["dataset"] for p in pairs}}
    cells = [
        cost.cell(p["model"], p["dataset"], shapes[p["model"]], images[p["dataset"]], settings)
        for p in pairs
    ]
    return Plan(
        stages={stage.name: len(stage.cells) for stage in stages},
        downloads=[*_weights(settings, shapes), *_datasets(settings)],
        images={name: images[name] for name in settings.datasets if name in images},
        cells=cells,
        cores=os.cpu_count() or 1,
        free=shutil.disk_usage(Path.cwd()).free,
    )


def _weights(settings: Settings, shapes: dict[str, Shape]) -> Iterator[Download]:
    found: dict[str, list[Download]] = {}
    for name, model in settings.models.items():
        if (file := download(name, model, shapes[name])) is not None:
            found.setdefault(file.address, []).append(file)
    for same in found.values():
        names = ", ".join(file.name for file in same)
        whats = ", ".join(dict.fromkeys(file.what for file in same))
        yield replace(same[0], name=names, what=whats)


def _datasets(settings: Settings) -> Iterator[Download]:
    for name in settings.fetch.downloaded:
        dataset = settings.downloaded(name)
        if dataset.archives is not None:
            continue  # the user has them
        facts = find(dataset.kind)
        sizes = [archive.roughly for archive in facts.archives]
        known = [size for size in sizes if size is not None]
        whole = sum(known) if known and len(known) == len(sizes) else None
        note = "needs your own account" if facts.access in ("csdownload", "account") else ""
        yield Download(name, facts.title, whole, sum(known), facts.licence, None, note)
