"""Stage fetch: images that the pipeline makes itself."""

from patchlens import paths
from patchlens.datasets.minicity.render import render_dataset
from patchlens.datasets.minicity.spec import SPLITS
from patchlens.files import whole_folder
from patchlens.progress import bar, log


def run(name: str, jobs: int = 2) -> None:
    """Render minicity into data/raw/<name>, whole or not at all."""
    frames = sum(split.count * split.frames for split in SPLITS.values())
    with whole_folder(paths.raw(name)) as folder, bar(total=frames, what="render") as shown:
        render_dataset(folder, jobs=jobs, on_frame=shown.update)
    log.info("%s: rendered %d frames", name, frames)
