"""The plan of a run, as `patchlens plan` prints it, and its check of the disk space."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from patchlens import paths
from patchlens.datasets.catalogue import find
from patchlens.errors import SettingsError
from patchlens.features.variants import VARIANTS
from patchlens.names import DatasetName, ModelName
from patchlens.plan import cost, graph, refuse
from patchlens.plan.claims import not_run
from patchlens.plan.images import Images, count
from patchlens.plan.models import Download, Shape, download, shape
from patchlens.processes import cores
from patchlens.report.claims import unmeasured
from patchlens.report.measures import KNOWN
from patchlens.settings.claims import load as load_claims
from patchlens.settings.load import Settings
from patchlens.settings.validated import refuse as reject
from patchlens.tasks.table import TABLE

RENDERED = 0.4  # seconds of a core for an image that is made
STUDIED = 0.8  # the same for a cell of the variance study
SHOWN = {"tables": 0.4, "explorer": 0.5, "report": 0.3}  # the same for a cell of any task
ROOM = 2  # free disk space / features: for the shards and the file of the current cell, and spare


@dataclass(frozen=True)
class Plan:
    """Everything that is known before a run.

    Attributes:
        stages: name -> number of cells.
        made: datasets that are rendered.
        downloads: weights and datasets, in the order of the settings.
        images: dataset -> its selected images.
        cells: every model on every dataset whose features are extracted.
        unsized: models whose size is unknown until the stage `weights` has run them.
        cores: CPU cores of this machine.
        free: free bytes on this disk.
        rates: what the machine does in a second.
        claims: the number of claims; None without a claims.yaml.
        not_run: those that cannot be judged -> why.
    """

    stages: dict[str, int]
    made: list[DatasetName]
    downloads: list[Download]
    images: dict[DatasetName, Images]
    cells: list[cost.CellCost]
    unsized: list[ModelName]
    cores: int
    free: int
    claims: int | None
    not_run: dict[str, str]
    rates: cost.Rates = field(default_factory=cost.Rates)

    @property
    def features(self) -> int:
        """Bytes of all feature files whose size is known."""
        return sum(cell.features or 0 for cell in self.cells)

    @property
    def largest(self) -> int:
        """Bytes of the features of one model, the largest."""
        models = {cell.model for cell in self.cells}
        of = [sum(c.features or 0 for c in self.cells if c.model == model) for model in models]
        return max(of, default=0)

    @property
    def memory(self) -> dict[str, tuple[float, cost.CellCost]]:
        """Stage -> bytes of its process at their most, about, and the cell of which that is."""
        found: dict[str, tuple[float, cost.CellCost]] = {}
        for cell in self.cells:
            for stage, held in cell.memory.items():
                if stage not in found or held > found[stage][0]:
                    found[stage] = held, cell
        return found

    @property
    def downloaded(self) -> int:
        """Bytes of all downloads, the least where a size is unknown, and as much again unpacked."""
        return 2 * sum(file.bytes or file.at_least for file in self.downloads)

    @property
    def unknown(self) -> list[str]:
        """Datasets with an unknown number of extracted images, and models of unknown size."""
        sized = [cell for cell in self.cells if cell.model not in self.unsized]
        return [*sorted({c.dataset for c in sized if c.features is None}), *self.unsized]

    def seconds(self, part: str, *, gpu: bool) -> float:
        """Rough seconds of a part, such as `extract` or `knn`, over all cells."""
        work = sum(getattr(cell, part) or 0.0 for cell in self.cells)
        return self.rates.seconds(part, work, cores=self.cores, gpu=gpu)

    def stage_seconds(self, stage: str, *, gpu: bool) -> float:
        """Rough seconds of all cells of a stage with all cores at work, each in its own process."""
        beside = self._beside(stage) + self.rates.start * self.stages.get(stage, 0)
        return beside / self.cores + sum(
            self.rates.seconds(part, work, cores=self.cores, gpu=gpu)
            for cell in self.cells
            for part, work in cell.stages.get(stage, {}).items()
        )

    def _beside(self, stage: str) -> float:
        """Seconds of a core that a stage takes for what has no rate."""
        if stage == "render":
            return RENDERED * sum(self.images[n].total or 0 for n in self.made if n in self.images)
        if stage == "variance":
            return STUDIED * self.stages.get(stage, 0)
        return SHOWN.get(stage, 0.0) * sum(self.stages.get(task.name, 0) for task in TABLE)

    def whole(self, *, gpu: bool) -> float:
        """Rough seconds of all stages."""
        return sum(self.stage_seconds(stage, gpu=gpu) for stage in self.stages)

    def check_disk(self, params: Path, *, drop_features: bool = False) -> None:
        """Refuse a run that would fill the disk.

        Args:
            params: the settings file, for the message.
            drop_features: whether the run will be one of `repro --drop-features --jobs 1`.

        Raises:
            SettingsError: less than twice the size of the features is free.
        """
        kept, whose = (self.largest, " of a model") if drop_features else (self.features, "")
        if kept * ROOM > self.free:
            fits = self.largest * ROOM <= self.free
            remedy = "`patchlens repro --drop-features` needs less. Else use" if fits else "Use"
            raise SettingsError(
                f"{params}: the features{whose} take {kept / 1e9:.1f} GB and a run needs twice "
                f"that, but only {self.free / 1e9:.1f} GB are free in {Path.cwd()}. {remedy} fewer "
                "models, datasets, layers in features.layer_sweep or support.images, or a larger "
                "disk"
            )


def make(settings: Settings, dvc: Path) -> Plan:
    """Plan a run of these settings in the working folder.

    Raises:
        SettingsError: a model of the settings does not exist or does not fit a view.
    """
    stages = graph.stages(dvc, settings)
    for name, model in settings.models.items():
        refuse.check_source(name, model)
    found = {
        name: shape(name, model, settings.features.layer) for name, model in settings.models.items()
    }
    pairs = [
        (DatasetName(c["dataset"]), ModelName(c["model"]))
        for s in stages
        if s.name == "extract"
        for c in s.cells
    ]
    images = {name: count(name, settings.dataset(name)) for name in {d for d, _ in pairs}}
    cells = [
        cost.cell(found[model], images[dataset], settings, dataset=dataset, model=model)
        for dataset, model in pairs
    ]
    shapes = {name: size for name, size in found.items() if size is not None}
    refuse.check(settings, shapes, images, cells)
    listed = None
    if paths.CLAIMS.is_file():
        listed = load_claims(paths.CLAIMS, KNOWN, VARIANTS)
        reject(paths.CLAIMS, unmeasured(listed, settings))
    return Plan(
        stages={stage.name: len(stage.cells) for stage in stages},
        made=list(settings.fetch.made),
        downloads=[*_weights(settings, found), *_datasets(settings)],
        images={name: images[name] for name in settings.datasets if name in images},
        cells=cells,
        unsized=sorted(found.keys() - shapes.keys()),
        cores=cores(),
        free=shutil.disk_usage(Path.cwd()).free,
        claims=None if listed is None else len(listed),
        not_run=not_run(listed or {}, settings, cells),
    )


def _weights(settings: Settings, shapes: dict[ModelName, Shape | None]) -> Iterator[Download]:
    found: dict[str, list[Download]] = {}
    for name, model in settings.models.items():
        if (file := download(name, model, shapes[name])) is not None:
            if other := settings.sources.get(file.address):
                file = replace(file, note=f"from {other.url}")
            found.setdefault(file.address, []).append(file)
    for same in found.values():
        names = ", ".join(file.name for file in same)
        whats = ", ".join(dict.fromkeys(file.what for file in same))
        yield replace(same[0], name=names, what=whats)


def _datasets(settings: Settings) -> Iterator[Download]:
    named: dict[str, list[str]] = {}  # several views of a dataset are downloaded once
    for name in settings.fetch.downloaded:
        dataset = settings.downloaded(name)
        if dataset.archives is None:  # else placed by the user
            named.setdefault(dataset.kind, []).append(name)
    for kind, names in named.items():
        facts = find(kind)
        sizes = [archive.roughly for archive in facts.archives]
        known = [size for size in sizes if size is not None]
        whole = sum(known) if known and len(known) == len(sizes) else None
        others = [settings.sources.get(archive.url) for archive in facts.archives]
        note = "needs your own account" if facts.access in ("csdownload", "account") else ""
        if any(others):
            note = f"from {', '.join(other.url for other in others if other)}"
        yield Download(", ".join(names), facts.title, whole, sum(known), facts.licence, None, note)
