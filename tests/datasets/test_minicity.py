"""minicity draws the same bytes everywhere, and what it draws is well formed."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicity import render
from minicity.cast import instances, table
from minicity.checksum import frames_checksum, scene_checksum, split_checksum
from minicity.checksums import SCENES, SPLIT_TOTALS
from minicity.render import render_dataset, render_still, render_video
from minicity.spec import (
    CAR,
    CLASSES,
    FREE_SEEDS,
    HEIGHT,
    PALETTE,
    PERSON,
    SPLITS,
    WIDTH,
    Split,
)

STILLS = (("support", 0), ("support", 41), ("query", 7), ("query", 30))
PLAIN = (*STILLS, ("support", 20), ("query", 55), ("video_test", 0))
SCRIPT = """
import json, sys
from minicity.checksum import scene_checksum
print(json.dumps([scene_checksum(*scene) for scene in json.loads(sys.argv[1])]))
"""


def _dispatched_features() -> list[str]:
    """SIMD features beyond the baseline that numpy would use on this machine."""
    from numpy._core import _multiarray_umath as core

    present = core.__cpu_features__
    return [name for name in core.__cpu_dispatch__ if present.get(name)]


@pytest.mark.parametrize(("split", "index"), STILLS)
def test_stills_match_committed_checksums(split: str, index: int) -> None:
    assert scene_checksum(split, index) == SCENES[split][index]


@pytest.mark.slow
def test_same_bytes_without_simd_features() -> None:
    environment = dict(os.environ, NPY_DISABLE_CPU_FEATURES=" ".join(_dispatched_features()))
    command = [sys.executable, "-W", "error", "-c", SCRIPT, json.dumps(PLAIN)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [SCENES[split][index] for split, index in PLAIN]


def test_split_totals_follow_from_the_scenes() -> None:
    assert {name: split_checksum(scenes) for name, scenes in SCENES.items()} == SPLIT_TOTALS
    assert {name: len(scenes) for name, scenes in SCENES.items()} == {
        name: split.count for name, split in SPLITS.items()
    }


def test_seeds_of_the_splits_are_disjoint_and_reserved() -> None:
    seeds = [split.first_seed + i for split in SPLITS.values() for i in range(split.count)]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < FREE_SEEDS


def test_still_is_well_formed() -> None:
    frame = render_still(FREE_SEEDS + 5)
    assert frame.image.shape == (HEIGHT, WIDTH, 3)
    assert (frame.image.dtype, frame.semantic.dtype, frame.instance.dtype) == (
        np.uint8,
        np.uint8,
        np.uint16,
    )
    assert frame.semantic.max() < len(CLASSES)
    thing = (frame.semantic == CAR) | (frame.semantic == PERSON)
    np.testing.assert_array_equal(thing, frame.instance > 0)
    kinds = {instance: class_id for instance, class_id, _ in table()}
    for instance in np.unique(frame.instance[thing]):
        assert set(frame.semantic[frame.instance == instance]) == {kinds[int(instance)]}


def test_video_moves_and_can_be_cut_short() -> None:
    long, short = list(render_video(FREE_SEEDS, 3)), list(render_video(FREE_SEEDS, 2))
    assert frames_checksum(long[:2]) == frames_checksum(short)
    assert (long[0].image != long[2].image).mean() > 0.2


def test_halves_of_the_cast_share_fine_classes_but_no_instance() -> None:
    fine = {instance: name for instance, _, name in table()}
    for class_id in (CAR, PERSON):
        train, test = instances(class_id, False), instances(class_id, True)
        assert not set(train) & set(test)
        assert {fine[i] for i in train} == {fine[i] for i in test}


def test_dataset_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"support": Split(FREE_SEEDS, 2, 1), "video_test": Split(FREE_SEEDS + 9, 1, 2)}
    monkeypatch.setattr(render, "SPLITS", splits)
    calls: list[None] = []
    scenes = {"support": 2, "video_test": 1}
    render_dataset(tmp_path, scenes, jobs=1, on_frame=lambda: calls.append(None))
    assert len(calls) == 4
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("images/*/*.png"))
    assert names == [
        "images/support/s0000.png",
        "images/support/s0001.png",
        "images/video_test/v00_0000.png",
        "images/video_test/v00_0001.png",
    ]
    frame = render_still(FREE_SEEDS + 1)
    with Image.open(tmp_path / "images/support/s0001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), frame.image)
    with Image.open(tmp_path / "semantic/support/s0001.png") as semantic:
        assert semantic.mode == "P"
        assert tuple(semantic.getpalette() or [])[: 3 * len(PALETTE)] == sum(PALETTE, ())
        np.testing.assert_array_equal(np.asarray(semantic), frame.semantic)
    with Image.open(tmp_path / "instance/support/s0001.png") as instance:
        np.testing.assert_array_equal(np.asarray(instance).astype(np.uint16), frame.instance)
    with (tmp_path / "instances.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["instance", "class_id", "fine_class"]
    assert len(rows) == 201
