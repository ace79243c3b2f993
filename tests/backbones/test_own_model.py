"""`source: python`: what its code needs to run, when it runs, and when its results are stale."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from patchlens.backbones.convert import convert
from patchlens.backbones.load import load, provenance
from patchlens.backbones.target import locate
from patchlens.errors import DataError, SettingsError
from patchlens.plan import code
from patchlens.plan.models import shape
from patchlens.settings.models import Model, PythonModel

OWN: dict[str, Any] = {
    "source": "python",
    "target": "own/mine.py:make",
    "trust_code": True,
    "patch_size": 4,
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
}
MINE = """
from pathlib import Path
from torch import nn
import door_helper
Path("ran").touch()

def make(width=5, sides=(), file=None):
    return nn.Conv2d(3, width * door_helper.TIMES, 4, 4)
"""
Slot = Callable[..., PythonModel]


@pytest.fixture
def slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slot:
    """`slot(patch_size=8)`: the settings of an own model in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "own")  # and taken away again
    for name in ("mine", "door_helper"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(MINE)
    (own / "door_helper.py").write_text("TIMES = 2  # a comment\n")
    importlib.invalidate_caches()  # it may know an older folder of this name
    return lambda **changes: TypeAdapter(Model).validate_python(OWN | changes)


def converted(settings: PythonModel) -> Path:
    convert("m", settings, Path("m.safetensors"), work=Path("work"))
    return Path("m.safetensors")


def test_what_the_function_returns_for_the_arguments_is_measured(slot: Slot) -> None:
    settings = slot(args={"width": 3, "sides": [1, 2]})
    bone = load(converted(settings), own=settings)
    assert (bone.width, bone.depth, bone.patch_size) == (6, 1, 4)
    images = torch.randint(256, (2, 3, 8, 16), dtype=torch.uint8)
    [found] = bone(images, layers=[-1], norm=True)
    [again] = load(Path("m.safetensors"), own=settings)(images, layers=[-1], norm=True)
    assert found.patches.shape == (2, 2, 4, 6)
    assert torch.equal(found.patches, again.patches)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trust_code": False}, "must be true, as the stages weights, extract and degrade run"),
        ({"target": "/etc/mine.py:make"}, "allowed: package.module:function, or folder/file"),
        ({"target": "../mine.py:make"}, "with a path below this folder"),
        ({"target": "own/mine.py"}, "allowed: package.module:function"),
        ({"target": "os:system; rm"}, "allowed: package.module:function"),
        ({"args": {"a": {"b": 1}}}, "allowed: scalars, and lists of them"),
        ({"args": {"a": [[{}]]}}, "allowed: scalars, and lists of them"),
        ({"std": [58.4, 57.1, 57.4]}, "divide mean and std by 255"),
    ],
)
def test_settings_that_are_refused(slot: Slot, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        slot(**changes)


def test_trust_is_never_the_default() -> None:
    with pytest.raises(ValidationError, match="must be true"):
        PythonModel.model_validate({k: v for k, v in OWN.items() if k != "trust_code"})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("own/missing.py:make", "own/missing.py: no such file below"),
        ("own/link.py:make", "own/link.py leads to .*, outside .*; copy the file there"),
        ("no_such_package.module:make", "no module 'no_such_package' in"),
        ("timm.no_such:make", "no module 'timm.no_such' in"),
        ("own/mine.py:other", "has no function 'other'"),
        ("own/broken.py:make", "broken.py: ModuleNotFoundError: No module named 'missing_pack"),
        (
            "own/fails.py:make",
            r"models\.m: make in .* fails \(ValueError: no\); correct it",
        ),
        ("own/script.py:make", "script.py: SystemExit: 2"),
        ("own/json.py:make", "json.py has the name of another module"),
    ],
)
def test_a_target_that_cannot_run(slot: Slot, target: str, message: str) -> None:
    outside = Path.cwd().parent / "outside.py"
    outside.touch()
    Path("own/link.py").symlink_to(outside)
    Path("own/broken.py").write_text("import missing_package")
    Path("own/fails.py").write_text("def make():\n    raise ValueError('no')")
    Path("own/script.py").write_text("import argparse\nargparse.ArgumentParser().parse_args(['a'])")
    Path("own/json.py").touch()
    with pytest.raises(SettingsError, match=message) as caught:
        converted(slot(target=target))
    assert "\n" not in str(caught.value)
    assert not Path("m.safetensors").exists()


@pytest.mark.parametrize("target", ["own/mine.py:make", "own.mine:make", "json.decoder:make"])
def test_a_target_is_found_without_running_it(slot: Slot, target: str) -> None:
    found = locate(target, "m")
    assert found.file.is_file()
    assert found.module == {"own/mine.py:make": "mine"}.get(target, target.split(":")[0])
    assert not Path("ran").exists()


def test_a_file_of_weights_never_says_what_to_run(slot: Slot) -> None:
    path = converted(slot())
    Path("ran").unlink()
    for own in (None, slot(args={"width": 4}), slot(target="own/other.py:make")):
        with pytest.raises(DataError, match="made by other settings of `source: python`"):
            load(path, own=own)


@pytest.mark.parametrize(
    ("file", "text", "stale"),
    [
        ("own/door_helper.py", "TIMES = 3\n", True),
        ("own/door_helper.py", "TIMES = 2  # another comment\n", False),
        ("own/mine.py", MINE.replace("3,", "1,"), True),
        ("own/unused.py", "TIMES = 2", False),
        ("own/w.bin", "other", True),
        ("own/folder/w.bin", "other", True),
    ],
)
def test_a_model_is_stale_when_what_it_imports_or_reads_changes(
    slot: Slot, file: str, text: str, stale: bool
) -> None:
    args = {"file": "own/w.bin", "sides": ["own/folder"]}
    slot()
    Path("own/folder").mkdir()
    Path("own/w.bin").touch()
    before = code._model_code("mine", OWN | {"args": args})
    assert "  mine.py\n" in before
    assert f"{torch.__version__.partition('+')[0]}" in before
    Path(file).write_text(text)
    assert (code._model_code("mine", OWN | {"args": args}) != before) is stale


def test_weights_that_differ_from_call_to_call_are_found(slot: Slot) -> None:
    slot()
    Path("own/odd.py").write_text(
        "from torch import nn\nfrom time import time_ns\ndef make():\n"
        "    module = nn.Conv2d(3, 5, 4, 4)\n"
        "    nn.init.constant_(module.bias, time_ns() % 100003)\n    return module\n"
    )
    settings = slot(target="own/odd.py:make")
    path = converted(settings)
    with pytest.raises(DataError, match="it must give the same model whenever it is called"):
        load(path, own=settings)


def test_the_plan_counts_what_a_pass_costs(slot: Slot) -> None:
    settings = slot()
    assert shape("m", settings) is None
    Path("data/weights").mkdir(parents=True)
    converted(settings).rename("data/weights/m.safetensors")
    found = shape("m", settings)
    assert found is not None
    assert (found.patch_size, found.width, found.parameters) == (4, 10, 490)
    # Of each patch, 10 numbers, each from 3 × 4 × 4 others by a multiplication and an addition.
    assert found.flops((5, 7)) == pytest.approx(35 * 10 * 48 * 2)


@pytest.mark.parametrize("given", [{"input_size": [8, 12]}, {}], ids=["one size", "small ones"])
def test_a_pass_is_counted_at_the_sizes_that_a_model_takes(
    slot: Slot, given: dict[str, Any]
) -> None:
    name = f"door_small_{len(given)}"
    settings = slot(target=f"own/{name}.py:make", **given)
    Path(f"own/{name}.py").write_text(
        "from torch import nn\ndef make():\n    conv = nn.Conv2d(3, 5, 4, 4)\n"
        "    def run(x):\n        assert x.shape[-1] <= 16\n        return conv(x)\n"
        "    return run\n"
    )
    once, pixel, square = json.loads(provenance(converted(settings))["flop"])
    assert (once, pixel, square) == (0, 5 * 48 * 2 / 16, 0)


def test_the_record_names_code_and_weights(slot: Slot) -> None:
    about = provenance(converted(slot()))
    assert about["arch"] == "own/mine.py:make"
    assert json.loads(about["settings"])["patch_size"] == 4
    assert (json.loads(about["shapes"]), about["parameters"]) == ([[4, 10]], "490")
    first = about["sha256"]
    Path("own/mine.py").write_text(MINE + "\n")
    assert provenance(converted(slot()))["sha256"] != first  # without a list, the whole file counts
