"""pretrain/dvc.yaml says what the code does, and nothing below knows of the pre-training."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchlens.cli import app
from patchlens.plan.code import closure
from patchlens.pretrain.objectives import OBJECTIVES as known
from patchlens.pretrain.settings import Objectives

OBJECTIVES = tuple(Objectives.model_fields)


@pytest.fixture(scope="module")
def graph(root: Path) -> dict[str, Any]:
    content = yaml.safe_load((root / "pretrain/dvc.yaml").read_text(encoding="utf-8"))
    assert list(content["stages"]) == ["code", "train"]
    return content["stages"]


@pytest.fixture(scope="module")
def stage(graph: dict[str, Any]) -> dict[str, Any]:
    return graph["train"]


def test_one_stage_an_objective(stage: dict[str, Any]) -> None:
    assert tuple(stage["matrix"]["objective"]) == OBJECTIVES == tuple(known)
    assert stage["cmd"] == "cd .. && patchlens pretrain ${item.objective}"
    assert "objectives.${item.objective}.${size}" in stage["params"]
    assert [list(out) for out in stage["outs"]] == [["../runs/pretrain/${item.objective}"]]


def test_it_depends_on_the_list_of_the_package_files_that_training_uses(
    graph: dict[str, Any], stage: dict[str, Any], root: Path, here: Path
) -> None:
    (listed,) = stage["deps"]
    assert graph["code"]["outs"] == [{str(Path(listed).parent): {"cache": False}}]
    assert Path(listed).name == "train.txt"
    assert graph["code"]["deps"] == ["../src", "params.yaml"]
    shutil.copytree(root / "pretrain", here / "pretrain")
    up, _, command = graph["code"]["cmd"].partition(" && ")
    assert up == "cd .."  # to here
    app(command.split()[1:], standalone_mode=False)
    lines = (here / "pretrain" / listed).read_text(encoding="utf-8").splitlines()
    found = {line.split("  ")[1] for line in lines}
    assert found == closure("patchlens.pretrain.run")
    for objective in OBJECTIVES:  # imported by its name
        assert closure(f"patchlens.pretrain.objectives.{objective}") <= found


def test_the_root_pipeline_does_not_train(root: Path) -> None:
    text = (root / "dvc.yaml").read_text(encoding="utf-8")
    assert "patchlens/pretrain" not in text
    assert "patchlens pretrain" not in text


def test_nothing_below_knows_of_the_pre_training(root: Path) -> None:
    below = [
        path
        for path in (root / "src/patchlens").rglob("*.py")
        if not {"cli", "pretrain"} & set(path.relative_to(root).parts)
    ]
    assert len(below) > 100
    for path in below:
        assert "patchlens.pretrain" not in path.read_text(encoding="utf-8"), path
