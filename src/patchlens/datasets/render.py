"""Stage render: renders the images that the pipeline makes."""

from pathlib import Path

from minicity.render import render_dataset
from minicity.spec import HEIGHT, SPLITS, WIDTH
from patchlens import paths
from patchlens.files import check_space, whole_folder
from patchlens.names import DatasetName
from patchlens.processes import end_with_parent
from patchlens.progress import bar, log
from patchlens.settings.datasets import Minicity


def run(dataset: DatasetName, settings: Minicity) -> None:
    """Render minicity into data/raw/<dataset>, completely or not at all."""
    frames = render(paths.raw(dataset), settings)
    log.info("%s: rendered %d frames", dataset, frames)


def render(out: Path, settings: Minicity, jobs: int = 2) -> int:
    """Render minicity into a folder, completely or not at all; the number of frames."""
    scenes = {
        split: settings.stills if about.frames == 1 else settings.videos
        for split, about in SPLITS.items()
    }
    frames = sum(SPLITS[split].frames * count for split, count in scenes.items())
    check_space("the images", [(out, frames * HEIGHT * WIDTH * 3)])  # at most
    with whole_folder(out) as folder, bar(total=frames, what="render") as shown:
        render_dataset(folder, scenes, jobs=jobs, on_frame=shown.update, on_start=end_with_parent)
    return frames
