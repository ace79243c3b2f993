"""`pretrain/params.yaml`: what is committed is valid, and every mistake is one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from minicity.spec import EVALUATION_SEEDS, SPLITS
from patchlens.errors import SettingsError
from patchlens.pretrain.settings import Objectives, load


@pytest.fixture
def content(root: Path) -> Any:
    return yaml.safe_load((root / "pretrain/params.yaml").read_text(encoding="utf-8"))


def put(content: Any, place: str, value: Any) -> None:
    *path, last = place.split(".")
    for key in path:
        content = content[key]
    content[last] = value


def test_committed_recipes(root: Path) -> None:
    settings = load(root / "pretrain/params.yaml")
    for size in ("cpu", "gpu"):
        chosen = [settings.recipe(name, size) for name in Objectives.model_fields]
        assert len({recipe.shared.model_dump_json() for recipe in chosen}) == 1
        for frames in (chosen[0].shared.train, chosen[0].shared.probe):
            for split in SPLITS.values():
                used = range(split.first_seed, split.first_seed + split.count)
                assert not set(used) & set(frames.seeds)
            assert not any(seed in seeds for seeds in EVALUATION_SEEDS for seed in frames.seeds)
    gpu = settings.recipe("dino", "gpu", seed=3)
    assert (gpu.shared.arch.patch_size, gpu.shared.arch.embed_dim, gpu.seed) == (8, 192, 3)
    assert 6 <= gpu.shared.arch.depth <= 12
    assert gpu.shared.crops >= 5_000_000


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("size", "cpuu", "size: 'cpuu' is unknown; allowed: cpu, gpu; did you mean 'cpu'?"),
        ("sizes.cpu.crop", 60, "sizes.cpu: 'crop' must be a multiple of the patch size 8"),
        ("sizes.cpu.arch.embed_dim", 90, "sizes.cpu.arch: 'embed_dim' must be a multiple of 4"),
        (
            "sizes.cpu.train.first_seed",
            20_000,
            "sizes.cpu.train.first_seed: 20000 is out of range; allowed: 1000000 to 4294967295",
        ),
        (
            "sizes.cpu.probe.first_seed",
            1_000_010,
            "sizes.cpu: 'train' and 'probe' share scenes: move probe.first_seed",
        ),
        ("sizes.cpu.augment.window", 200, "sizes.cpu.augment.window: 200 is out of range"),
        ("sizes.cpu.clip", 0, "sizes.cpu.clip: 0.0 is out of range; allowed: 1e-06 to 1e+06"),
        (
            "objectives.dino.cpu.prototype",
            9,
            "objectives.dino.cpu.prototype: unknown key; ",
        ),
        (
            "objectives.dino.cpu.teacher_temperature",
            0.2,
            "objectives.dino.cpu: 'teacher_temperature' must be below student_temperature",
        ),
        (
            "objectives.dino.cpu.local_crop",
            30,
            "objectives.dino.cpu.local_crop: 30 is not a multiple of the patch size 8",
        ),
        ("objectives.mae.cpu.mask_ratio", 1.0, "objectives.mae.cpu.mask_ratio: 1.0 is out of"),
        ("objectives.mae.gpu.batch", "many", "objectives.mae.gpu.batch: 'many' (str) is invalid"),
    ],
)
def test_a_mistake_is_one_line(
    content: Any, tmp_path: Path, place: str, value: Any, message: str
) -> None:
    put(content, place, value)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_nothing_to_train_on(content: Any, tmp_path: Path) -> None:
    content["sizes"]["cpu"]["train"] |= {"stills": 0, "videos": 0}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(SettingsError, match="'stills' and 'videos' are both 0"):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this file is empty"),
        ("size: [", "not valid YAML"),
        ("size: cpu\nsize: gpu\n", "'size' is defined twice"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        load(path)


def test_no_file_and_unknown_names(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file; run this in the repository"):
        load(tmp_path / "params.yaml")
    settings = load(root / "pretrain/params.yaml")
    with pytest.raises(SettingsError, match=r"unknown objective 'dinno'.*did you mean 'dino'"):
        settings.recipe("dinno")
    with pytest.raises(SettingsError, match="unknown size 'big'; "):
        settings.recipe("dino", "big")
