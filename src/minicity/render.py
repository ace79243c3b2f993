"""Render stills, videos and the whole data set."""

import csv
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minicity.buildings import draw_building
from minicity.camera import Canvas
from minicity.cast import table
from minicity.finish import Lens, develop, labels
from minicity.ground import draw_ground
from minicity.nature import draw_tree
from minicity.noise import Dice, wave
from minicity.people import draw_person, ground_height
from minicity.posts import draw_pole, draw_sign
from minicity.scene import camera_at, sample_scene
from minicity.shadow import Caster, Occluders
from minicity.sky import draw_sky
from minicity.spec import CAR, PALETTE, SPLITS
from minicity.vehicles import car_caster, draw_car
from minicity.world import Actor, Scene


@dataclass(frozen=True)
class Frame:
    """One rendered frame.

    ``image`` is uint8 RGB [128, 256, 3]; ``semantic`` uint8 [128, 256] with class ids 0..9;
    ``instance`` uint16 [128, 256] with the id of the car or person, 0 elsewhere.
    """

    image: NDArray[np.uint8]
    semantic: NDArray[np.uint8]
    instance: NDArray[np.uint16]


def render_still(seed: int) -> Frame:
    """Render the still that belongs to a seed."""
    return _render(sample_scene(seed, moving=False), 0)


def render_video(seed: int, frames: int) -> Iterator[Frame]:
    """Render the first ``frames`` frames of the sequence that belongs to a seed."""
    scene = sample_scene(seed, moving=True)
    for frame in range(frames):
        yield _render(scene, frame)


def render_dataset(
    root: Path,
    scenes: Mapping[str, int],
    *,
    jobs: int = 2,
    on_frame: Callable[[], object] | None = None,
    on_start: Callable[[], None] | None = None,
) -> None:
    """Write the splits and ``instances.csv`` into the empty folder ``root``.

    ``scenes`` is the number of scenes per split, from the first on; ``jobs`` processes share the
    work; ``on_frame`` is called here once for every written frame, ``on_start`` once in every
    process (it must be picklable).
    """
    for kind in ("images", "semantic", "instance"):
        for split in SPLITS:
            (root / kind / split).mkdir(parents=True)
    with (root / "instances.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("instance", "class_id", "fine_class"))
        writer.writerows(table())
    tasks = [(name, i) for name, count in scenes.items() for i in range(count)]
    # Longest first, so that no process is left alone with a video at the end.
    tasks.sort(key=lambda task: -SPLITS[task[0]].frames)
    for count in _written(root, tasks, jobs, on_start):
        for _ in range(count):
            if on_frame is not None:
                on_frame()


def _written(
    root: Path,
    tasks: list[tuple[str, int]],
    jobs: int,
    on_start: Callable[[], None] | None,
) -> Iterator[int]:
    """Do the tasks and yield the number of frames of each one that is done."""
    if jobs == 1:
        for task in tasks:
            yield _write_scene(root, *task)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), on_start) as pool:
        futures = [pool.submit(_write_scene, root, *task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()


def scene_frames(split_name: str, index: int) -> Iterator[Frame]:
    """The frames of scene ``index`` of a split: one for a still, all for a sequence."""
    split = SPLITS[split_name]
    seed = split.first_seed + index
    if split.frames == 1:
        yield render_still(seed)
    else:
        yield from render_video(seed, split.frames)


def _write_scene(root: Path, split_name: str, index: int) -> int:
    """Write the frames of one scene; return their number."""
    names = SPLITS[split_name].frame_names(index)
    for name, frame in zip(names, scene_frames(split_name, index), strict=True):
        file = Path(split_name) / f"{name}.png"
        semantic = Image.fromarray(frame.semantic).convert("P")
        semantic.putpalette([channel for colour in PALETTE for channel in colour])
        Image.fromarray(frame.image).save(root / "images" / file, compress_level=1)
        semantic.save(root / "semantic" / file, compress_level=1)
        Image.fromarray(frame.instance).save(root / "instance" / file, compress_level=1)
    return len(names)


def _render(scene: Scene, frame: int) -> Frame:
    canvas = Canvas(camera_at(scene.track, frame))
    light = scene.light
    occluders = Occluders(
        light.sun,
        scene.buildings,
        scene.trees,
        scene.poles,
        tuple(_caster(actor, frame) for actor in scene.actors),
    )
    half = scene.ground.half_width
    # Near objects first, so that hidden parts are not shaded. Any order is correct (depth test).
    for actor in _sorted(canvas, scene.actors, frame):
        if actor.class_id == CAR:
            draw_car(canvas, actor, frame, light, occluders)
        else:
            base = ground_height(actor.at(frame)[0], half)
            draw_person(canvas, actor, frame, base, light, occluders)
    for pole in scene.poles:
        draw_pole(canvas, pole, light, occluders)
    for sign in scene.signs:
        draw_sign(canvas, sign, light, occluders)
    for tree in sorted(scene.trees, key=lambda tree: tree.z):
        draw_tree(canvas, tree, light, occluders)
    for building in sorted(scene.buildings, key=lambda building: building.z0):
        draw_building(canvas, building, light, occluders)
    draw_ground(canvas, scene.ground, light, occluders)
    draw_sky(canvas, light, scene.ground.seed)
    semantic, instance = labels(canvas)
    return Frame(develop(canvas, light, _lens(scene, frame)), semantic, instance)


def _sorted(canvas: Canvas, actors: tuple[Actor, ...], frame: int) -> list[Actor]:
    def depth(actor: Actor) -> float:
        x, z = actor.at(frame)
        return canvas.camera.project((x, 1.0, z))[2]

    return sorted(actors, key=depth)


def _caster(actor: Actor, frame: int) -> Caster:
    if actor.class_id == CAR:
        return car_caster(actor, frame)
    x, z = actor.at(frame)
    return Caster(x, 0.0, z, 1.0, 0.0, 0.2, ((0.2, 1.7, 0.0),))


def _lens(scene: Scene, frame: int) -> Lens:
    """Automatic exposure and white balance hunt a little while the camera moves."""
    dice = Dice(scene.seed, 8)
    red, blue = dice.uniform(0.95, 1.05), dice.uniform(0.94, 1.06)
    first, second, third = dice.unit(), dice.unit(), dice.unit()
    moving = 1.0 if scene.track.speed > 0 else 0.0
    exposure = scene.light.exposure * (1.0 + 0.3 * moving * wave(frame / 27 + first))
    red *= 1.0 + 0.08 * moving * wave(frame / 31 + second)
    blue *= 1.0 + 0.08 * moving * wave(frame / 23 + third)
    return Lens(exposure, red, blue, scene.seed * 64 + frame * 11)
