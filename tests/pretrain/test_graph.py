"""pretrain/dvc.yaml says what the code does, and nothing below knows of the pre-training."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from closure import closure
from patchlens.pretrain.settings import Objectives

OBJECTIVES = tuple(Objectives.model_fields)


@pytest.fixture(scope="module")
def graph(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "pretrain/dvc.yaml").read_text(encoding="utf-8"))


def test_one_stage_an_objective(graph: dict[str, Any]) -> None:
    from patchlens.pretrain.objectives import OBJECTIVES as known

    assert tuple(graph["stages"]) == OBJECTIVES == tuple(known)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_stage_lists_exactly_the_package_files_it_uses(
    graph: dict[str, Any], objective: str
) -> None:
    stage = graph["stages"][objective]
    module = f"patchlens.pretrain.objectives.{objective}"  # imported by its name
    used = closure("patchlens.pretrain.run") | closure(module)
    assert stage["deps"] == sorted(f"../{path}" for path in used)
    assert stage["cmd"] == f"cd .. && patchlens pretrain {objective}"
    assert f"objectives.{objective}.${{size}}" in stage["params"]
    assert [list(out) for out in stage["outs"]] == [[f"../runs/pretrain/{objective}"]]


def test_the_root_pipeline_does_not_train(root: Path) -> None:
    text = (root / "dvc.yaml").read_text(encoding="utf-8")
    assert "patchlens/pretrain" not in text
    assert "patchlens pretrain" not in text


def test_nothing_below_knows_of_the_pre_training(root: Path) -> None:
    for path in (root / "src/patchlens").rglob("*.py"):
        if path.name != "cli.py" and "pretrain" not in path.relative_to(root).parts:
            assert "patchlens.pretrain" not in path.read_text(encoding="utf-8"), path
