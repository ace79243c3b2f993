"""Stage render: renders the images that the pipeline makes, or finds them in the user's cache."""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import minicity
from minicity.render import render_dataset
from minicity.spec import HEIGHT, SPLITS, WIDTH
from patchlens import paths
from patchlens.cache import keep, user_cache
from patchlens.files import check_space, whole_folder
from patchlens.names import DatasetName
from patchlens.processes import end_with_parent
from patchlens.progress import bar, log
from patchlens.settings.datasets import Minicity

KEPT = 8  # renderings in the cache, those used last


def run(dataset: DatasetName, settings: Minicity) -> None:
    """Render minicity into data/raw/<dataset>, completely or not at all."""
    frames = render(paths.raw(dataset), settings)
    log.info("%s: rendered %d frames", dataset, frames)


def render(out: Path, settings: Minicity, jobs: int = 2) -> int:
    """Render minicity into a folder, completely or not at all; the number of frames.

    What was rendered before on this machine is copied from the cache of the user.
    """
    scenes = {
        split: settings.stills if about.frames == 1 else settings.videos
        for split, about in SPLITS.items()
    }
    frames = sum(SPLITS[split].frames * count for split, count in scenes.items())
    check_space("the images", [(out, frames * HEIGHT * WIDTH * 3)])  # at most
    kept = _kept(scenes)
    with whole_folder(out) as folder, bar(total=frames, what="render") as shown:
        if kept is not None and _found(kept, folder):
            shown.update(frames)
            return frames
        render_dataset(folder, scenes, jobs=jobs, on_frame=shown.update, on_start=_tied)
        if kept is not None:
            _keep(folder, kept)
    return frames


def _tied() -> None:
    end_with_parent()


def _kept(scenes: Mapping[str, int]) -> Path | None:
    """Where the cache holds these scenes, as this code of the renderer draws them; None if off."""
    folder = user_cache()
    if folder is None:
        return None
    encoded = [version(name) for name in ("numpy", "pillow")]
    drawn = hashlib.sha256(repr((sorted(scenes.items()), encoded)).encode())
    for file in sorted(Path(minicity.__path__[0]).glob("*.py")):
        drawn.update(file.name.encode() + b"\0" + file.read_bytes())
    return folder / "render" / f"{drawn.hexdigest()}.zip"


def _found(kept: Path, folder: Path) -> bool:
    """Whether the cache holds a rendering whose files have their checksums; then it is unpacked."""
    try:
        with zipfile.ZipFile(kept) as archive:
            archive.extractall(folder)
    except FileNotFoundError:
        return False
    except (OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
        log.warning("%s: cannot be read (%s); rendered again", kept, error)
        shutil.rmtree(folder)
        folder.mkdir()
        return False
    with suppress(OSError):  # of another user
        kept.touch()
    return True


def _keep(folder: Path, kept: Path) -> None:
    """Put a rendering into the cache, whole or not at all."""
    with keep(kept) as partial, zipfile.ZipFile(partial, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    with suppress(OSError):  # another process may remove them too
        of_all = sorted(kept.parent.iterdir(), key=lambda path: -path.stat().st_mtime)
        for old in of_all[KEPT:]:
            old.unlink(missing_ok=True)
