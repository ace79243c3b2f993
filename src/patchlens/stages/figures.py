"""Stage figures: one example of each of T2, T3 and T4, for Git.

It covers only datasets that the pipeline makes: we may not publish images of other datasets. For
private use, `patchlens show` draws examples of any dataset.
"""

from typing import TYPE_CHECKING

from patchlens import paths
from patchlens.files import whole_folder, write_text
from patchlens.names import DatasetName
from patchlens.progress import log
from patchlens.settings.datasets import Minicity
from patchlens.settings.models import role
from patchlens.stages import show_identification, show_retrieval, show_tracking

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

CAPTIONS = {
    "identification": "One patch in degraded copies of its image, and its nearest clean patches",
    "retrieval": "Objects with their ten nearest neighbours in other images",
    "tracking": "A sequence with the ids of tracks linked by appearance alone",
}


def run(settings: "Settings") -> None:
    """Write reports/figures/: one figure per task, and README.md, which lists them.

    The model is the first rival in `models`. The dataset is the first one of the task that the
    pipeline makes; without such a dataset, the task has no figure.
    """
    models = settings.models
    model = next((n for n, m in models.items() if role(m) == "rival"), next(iter(models)))
    lines = []
    with whole_folder(paths.FIGURES) as out:
        if dataset := _made(settings.identification.datasets, settings):
            path = out / f"identification-{dataset}-{model}.png"
            show_identification.run(path, dataset=dataset, model=model, settings=settings)
        if dataset := _made(settings.retrieval.datasets, settings):
            path = out / f"retrieval-{dataset}-{model}.png"
            show_retrieval.run(path, dataset=dataset, model=model, settings=settings)
        if dataset := _made(settings.tracking.datasets, settings):
            path = out / f"tracking-{dataset}-{model}.gif"
            show_tracking.run(path, None, dataset=dataset, model=model, settings=settings)
        for figure in sorted(out.iterdir()):
            caption = CAPTIONS[figure.name.split("-")[0]]
            lines.append(f"{caption} ({figure.stem.split('-', 1)[1]}).\n\n![]({figure.name})\n")
        empty = "No task runs on a dataset that the pipeline makes.\n"
        write_text("# Examples\n\n" + ("\n".join(lines) or empty), out / "README.md")
    log.info("figures: %d", len(lines))


def _made(names: list[DatasetName], settings: "Settings") -> DatasetName | None:
    return next((name for name in names if isinstance(settings.datasets[name], Minicity)), None)
