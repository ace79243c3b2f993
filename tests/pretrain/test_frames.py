"""Frames: rendered once from seeds that are free, and cut into windows by a generator."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from minicity.render import render_still, render_video
from patchlens.errors import DataError, SettingsError
from patchlens.pretrain import frames as module
from patchlens.pretrain.frames import rendered, windows


def test_frames_are_the_renderers_with_their_classes(frames: NDArray[np.uint8]) -> None:
    assert frames.shape == (8, 4, 128, 256)
    still = render_still(1_000_003)
    assert np.array_equal(frames[3, :3], still.image.transpose(2, 0, 1))
    assert np.array_equal(frames[3, 3], still.semantic)
    *_, fifth = render_video(1_000_005, 5)
    assert np.array_equal(frames[7, 3], fifth.semantic)  # the third, every second


def test_a_second_call_renders_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [(1_000_000, 0, 1)]
    first = np.array(rendered(scenes, tmp_path, jobs=1))
    assert first.shape == (1, 4, 128, 256)
    monkeypatch.setattr(module, "_render", None)
    assert np.array_equal(rendered(scenes, tmp_path), first)


def test_a_killed_rendering_keeps_its_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 1)
    shard, done = module._shard, list[int]()

    def fail_at_second(scenes: list[module.Scene], path: Path) -> None:
        done.append(scenes[0][0])
        if len(done) == 2:
            raise KeyboardInterrupt
        shard(scenes, path)

    monkeypatch.setattr(module, "_shard", fail_at_second)
    scenes = [(1_000_000, 0, 1), (1_000_001, 0, 1)]
    with pytest.raises(KeyboardInterrupt):
        rendered(scenes, tmp_path, jobs=1)
    found = rendered(scenes, tmp_path, jobs=1)
    assert done == [1_000_000, 1_000_001, 1_000_001]
    assert np.array_equal(found[1, 3], render_still(1_000_001).semantic)


def test_two_that_need_the_same_frames_render_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path] = []
    render = module._render

    def slow(scenes: list[module.Scene], folder: Path, jobs: int) -> None:
        begun.append(folder)
        time.sleep(0.3)
        render(scenes, folder, jobs)

    monkeypatch.setattr(module, "_render", slow)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(rendered, [(1_000_000, 0, 1)], tmp_path, 1) for _ in range(2)]
        one, other = (call.result() for call in calls)
    assert len(begun) == 1
    assert np.array_equal(one, other)


@pytest.mark.slow  # two processes that import torch; of `render_dataset` a fast test shows it
def test_jobs_render_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 1)
    scenes = [(1_000_000, 0, 1), (1_000_001, 0, 1)]
    parallel = np.array(rendered(scenes, tmp_path / "a", jobs=2))
    assert np.array_equal(parallel, rendered(scenes, tmp_path / "b", jobs=1))


@pytest.mark.parametrize("seed", [10_000, 20_001, 999_999])
def test_scenes_of_the_evaluation_are_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(SettingsError, match=f"scene {seed} is reserved for the evaluation"):
        rendered([(seed, 0, 1)], tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    rendered([(1_000_000, 0, 1)], tmp_path, jobs=1)
    (path,) = tmp_path.glob("frames/*/frames.npy")
    np.save(path, np.zeros((2, 4, 128, 256), np.uint8))
    with pytest.raises(DataError, match=r"unexpected shape \[2, 4, 128, 256\]; remove"):
        rendered([(1_000_000, 0, 1)], tmp_path)


def test_windows_are_squares_of_the_frames(frames: NDArray[np.uint8]) -> None:
    images = torch.from_numpy(frames)
    found = windows(images, 12, 32, 4, torch.Generator().manual_seed(0))
    assert found.shape == (12, 4, 32, 32)
    assert found.dtype == torch.uint8
    draws = torch.Generator().manual_seed(0)
    number, top, left = (
        torch.randint(most, (12,), generator=draws) for most in (8, 128 - 32 + 1, 256 - 32 + 1)
    )
    for i in range(12):
        y, x = int(top[i]), int(left[i])
        assert torch.equal(found[i], images[number[i], :, y : y + 32, x : x + 32])
    assert len(number.unique()) > 3
    whole = windows(images, 4, 128, 3, draws)
    assert whole.shape == (4, 3, 128, 128)


@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
def test_a_damaged_shard_is_discarded_with_a_note_and_made_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    monkeypatch.setattr(module, "SHARD", 1)
    scenes = [(1_000_000, 0, 1), (1_000_001, 0, 1)]
    path = tmp_path / "shards" / "00000.npy"
    path.parent.mkdir()
    module._shard(scenes[:1], path)
    if damage == "other":
        np.save(path, np.zeros((2, 4, 128, 256), np.uint8))
    else:
        path.write_bytes(path.read_bytes()[:-1] if damage == "cut" else b"")
    module._render(scenes, tmp_path, jobs=1)
    found = np.load(tmp_path / "frames.npy")
    assert np.array_equal(found[0, 3], render_still(1_000_000).semantic)
    assert f"{path}: damaged; discarded and made again" in caplog.text
