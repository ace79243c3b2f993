"""Frames to train and to probe on: rendered once, then opened as one memory map."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from minicity import render
from minicity.spec import FREE_SEEDS, HEIGHT, WIDTH
from patchlens.errors import DataError, SettingsError
from patchlens.files import check_space, whole_file
from patchlens.pretrain.shared import Frames, Probe
from patchlens.processes import cores, end_with_parent
from patchlens.progress import bar, log

SHARD = 32  # scenes per shard; a killed run loses at most one per job
Array = NDArray[np.uint8]
Scene = tuple[int, int, int]  # seed, frames (0 is a still), every


def of_training(settings: Frames, work: Path) -> Array:
    """The frames to train on, uint8 [N, 4, 128, 256]: RGB and the class id of each pixel."""
    seeds, every = settings.seeds, settings.every
    scenes = [(s, 0, 1) for s in seeds[: settings.stills]]
    scenes += [(s, settings.frames, every) for s in seeds[settings.stills :]]
    return rendered(scenes, work)


def of_probe(settings: Probe, work: Path) -> Array:
    """The held-out stills of the probe, the bank first; see `of_training`."""
    return rendered([(seed, 0, 1) for seed in settings.seeds], work)


def rendered(scenes: list[Scene], work: Path, jobs: int | None = None) -> Array:
    """Render missing frames with `jobs` parallel processes, and open all frames.

    Raises:
        SettingsError: a scene is reserved for the evaluation.
        DataError: the existing file has a different number of frames.
    """
    for seed, _, _ in scenes:
        if seed < FREE_SEEDS:
            raise SettingsError(
                f"scene {seed} is reserved for the evaluation; use seeds from {FREE_SEEDS}"
            )
    described = {"scenes": scenes, "renderer": renderer()}
    key = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    folder = work / "frames" / key
    path = folder / "frames.npy"  # complete or absent
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):  # an objective beside this one may need the same frames
            if not path.is_file():
                _render(scenes, folder, jobs or cores())
    # Copy-on-write, since torch requires a writable array.
    frames: Array = np.load(path, mmap_mode="c")
    wanted = sum(max(1, count) for _, count, _ in scenes)
    if frames.shape != (wanted, 4, HEIGHT, WIDTH):
        raise DataError(
            f"{path}: unexpected shape {list(frames.shape)}; remove {folder} and run this again"
        )
    return frames


def windows(
    frames: Tensor, count: int, side: int, channels: int, generator: torch.Generator
) -> Tensor:
    """Random squares of random frames, uint8 [count, channels, side, side], on their device."""
    number = torch.randint(len(frames), (count,), generator=generator)
    top = torch.randint(frames.shape[2] - side + 1, (count,), generator=generator)
    left = torch.randint(frames.shape[3] - side + 1, (count,), generator=generator)
    reach, device = torch.arange(side), frames.device
    rows, columns = (top[:, None] + reach).to(device), (left[:, None] + reach).to(device)
    return frames[
        number.to(device)[:, None, None, None],
        torch.arange(channels, device=device)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def _render(scenes: list[Scene], folder: Path, jobs: int) -> None:
    count = sum(max(1, n) for _, n, _ in scenes)
    # In shards, then in one file, of which a memory map without space would end the process.
    check_space("the frames", [(folder, 2 * count * 4 * HEIGHT * WIDTH)])
    parts = [scenes[i : i + SHARD] for i in range(0, len(scenes), SHARD)]
    paths = [folder / "shards" / f"{i:05d}.npy" for i in range(len(parts))]
    todo = [(part, path) for part, path in zip(parts, paths, strict=True) if not _whole(path, part)]
    with bar(total=len(parts), what="render", unit="shard") as shown:
        shown.update(len(parts) - len(todo))
        if jobs == 1 or len(todo) == 1:
            for part, path in todo:
                _shard(part, path)
                shown.update(1)
        else:
            with ProcessPoolExecutor(jobs, get_context("spawn"), end_with_parent) as pool:
                for _ in pool.map(_shard, *zip(*todo, strict=True)) if todo else ():
                    shown.update(1)
    with whole_file(folder / "frames.npy") as partial:
        shape = (count, 4, HEIGHT, WIDTH)
        out = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        start = 0
        for path in paths:
            shard = np.load(path)
            out[start : start + len(shard)] = shard
            start += len(shard)
        out.flush()
    for path in paths:
        path.unlink()


def _whole(path: Path, scenes: list[Scene]) -> bool:
    """Whether an interrupted run left this shard, complete."""
    if not path.exists():
        return False
    try:
        frames = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        frames = np.empty(0)
    whole = bool(frames.shape == (sum(max(1, n) for _, n, _ in scenes), 4, HEIGHT, WIDTH))
    if not whole:
        log.warning("%s: damaged; discarded and made again", path)
    return whole


def _shard(scenes: list[Scene], path: Path) -> None:
    """Render some scenes into one file."""
    frames = [
        np.concatenate([frame.image.transpose(2, 0, 1), frame.semantic[None]])
        for scene in scenes
        for frame in _scene(scene)
    ]
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.save(stream, np.stack(frames))


def _scene(scene: Scene) -> Iterator[render.Frame]:
    seed, frames, every = scene
    if not frames:
        yield render.render_still(seed)
        return
    for number, frame in enumerate(render.render_video(seed, (frames - 1) * every + 1)):
        if number % every == 0:
            yield frame


def renderer() -> str:
    """A hash of the renderer's files: another renderer makes other frames."""
    digest = hashlib.sha256()
    for path in sorted(Path(render.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
