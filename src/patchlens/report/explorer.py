"""Stage explorer: the data of the interactive pages: neighbours of patches, sheets, videos, maps.

It covers datasets that the pipeline makes and the user's own, and others where `pictures` says so:
their terms may forbid to publish their images.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.sheet import contact_sheet
from patchlens.display.pictures import QUALITY, Pictures
from patchlens.files import whole_file, whole_folder, write_json
from patchlens.names import DatasetName
from patchlens.progress import log
from patchlens.report import unlabelled
from patchlens.settings.datasets import Minicity, pictured
from patchlens.tasks.entries import ENTRIES, cells

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(settings: "Settings") -> None:
    """Write data/explorer/: one folder per dataset, and `datasets.json`, which lists their parts.

    Each part is a JSON file that a task writes for its datasets; its name says how it is shown:
    `patches`, `maps`, `lists`, `copies`, `tracks`, `predictions`, `features`,
    `sheet`.
    """
    of_task = cells(settings)
    parts: dict[str, list[str]] = {}
    shown = set[str | None]()  # folders: several datasets of one have the same sheet
    with whole_folder(paths.EXPLORER) as out:
        for dataset, own in settings.datasets.items():
            if not pictured(vars(own)) or dataset not in settings.extract.datasets:
                continue
            folder = out / dataset
            pictures = Pictures(Index.of(dataset, own), folder)
            if not isinstance(own, Minicity) and own.root not in shown:
                shown |= {own.root} - {None}
                _write_sheet(dataset, pictures)
            for task in ENTRIES:
                if task.explores and dataset in of_task[task.name]:
                    module = import_module(f"patchlens.tasks.{task.name}.explore")
                    module.write(dataset, settings, pictures)
            unlabelled.write(dataset, settings, pictures)
            parts[dataset] = sorted(path.stem for path in folder.glob("*.json"))
        write_json(parts, out / "datasets.json")
    log.info("explorer: %d datasets", len(parts))


def _write_sheet(dataset: DatasetName, pictures: Pictures) -> None:
    """Write `sheet.json`: the contact sheet of a dataset."""
    with whole_file(pictures.folder / "sheet.jpg") as partial:
        contact_sheet(pictures.index, dataset).save(partial, format="JPEG", quality=QUALITY)
    counts = pictures.index.images["split"].value_counts()
    about = {"title": "Images and labels", "file": "sheet.jpg", "images": counts.to_dict()}
    write_json(about, pictures.folder / "sheet.json")
