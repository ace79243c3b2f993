"""Stage figures: one example of each of T2, T3 and T4, for Git.

Only of datasets that the pipeline makes: the images of others are not ours to publish (`patchlens
show` draws those of any dataset, for your eyes).
"""

from collections.abc import Mapping, Sequence

from patchlens import paths
from patchlens.files import whole_folder, write_text
from patchlens.progress import log
from patchlens.settings.datasets import Dataset, Minicity
from patchlens.settings.features import Device
from patchlens.settings.identification import Identification
from patchlens.settings.models import Model, role
from patchlens.settings.retrieval import Retrieval
from patchlens.settings.tracking import Tracking
from patchlens.stages import show_identification, show_retrieval, show_tracking

CAPTIONS = {
    "identification": "One patch in degraded copies of its image, and what it finds",
    "retrieval": "Objects with the ten nearest in other images",
    "tracking": "A sequence with the ids that appearance alone links",
}


def run(
    models: Mapping[str, Model],
    datasets: Mapping[str, Dataset],
    identification: Identification,
    retrieval: Retrieval,
    tracking: Tracking,
    device: Device,
) -> None:
    """Write reports/figures/: a figure a task and README.md, which lists them.

    The model is the first of `models` that is a rival, the dataset the first of the task's that
    the pipeline makes; a task without one has no figure.
    """
    model = next((n for n, m in models.items() if role(m) == "rival"), next(iter(models)))
    lines = []
    with whole_folder(paths.FIGURES) as out:
        if name := _made(identification.datasets, datasets):
            path = out / f"identification-{name}-{model}.png"
            show_identification.run(name, model, datasets[name], identification, device, path)
        if name := _made(retrieval.datasets, datasets):
            path = out / f"retrieval-{name}-{model}.png"
            show_retrieval.run(name, model, datasets[name], retrieval, path)
        if name := _made(tracking.datasets, datasets):
            path = out / f"tracking-{name}-{model}.gif"
            show_tracking.run(name, model, datasets[name], None, path)
        for figure in sorted(out.iterdir()):
            caption = CAPTIONS[figure.name.split("-")[0]]
            lines.append(f"{caption} ({figure.stem.split('-', 1)[1]}).\n\n![]({figure.name})\n")
        empty = "No task runs on a dataset that the pipeline makes.\n"
        write_text("# Examples\n\n" + ("\n".join(lines) or empty), out / "README.md")
    log.info("figures: %d", len(lines))


def _made(names: Sequence[str], datasets: Mapping[str, Dataset]) -> str | None:
    return next((name for name in names if isinstance(datasets[name], Minicity)), None)
