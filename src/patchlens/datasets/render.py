"""Stage render: renders the images that the pipeline makes."""

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
    scenes = {
        split: settings.stills if about.frames == 1 else settings.videos
        for split, about in SPLITS.items()
    }
    frames = sum(SPLITS[split].frames * count for split, count in scenes.items())
    check_space("the images", [(paths.raw(dataset), frames * HEIGHT * WIDTH * 3)])  # at most
    with whole_folder(paths.raw(dataset)) as folder, bar(total=frames, what="render") as shown:
        render_dataset(folder, scenes, on_frame=shown.update, on_start=end_with_parent)
    log.info("%s: rendered %d frames", dataset, frames)
