"""docs/pretrain.md says what the code and the recipes are."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from patchlens.cli import app
from patchlens.pretrain.settings import Objectives, load

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/pretrain.md").read_text()


def test_commands_and_options_exist():
    commands = get_command(app).commands
    called = re.findall(r"patchlens (pretrain|promote)([^`\n|;#]*)", TEXT)
    assert {name for name, _ in called} == {"pretrain", "promote"}
    for name, rest in called:
        known = {option for param in commands[name].params for option in param.opts}
        assert set(re.findall(r"--\w+", rest)) <= known, (name, rest)


def test_every_objective_has_its_row():
    rows = set(re.findall(r"^\| `(\w+)`", TEXT, re.M))
    assert rows == {*Objectives.model_fields, "random"}


@pytest.mark.parametrize("size", ["cpu", "gpu"])
def test_the_sizes_are_those_of_the_recipes(size):
    arch = getattr(load(ROOT / "pretrain/params.yaml").sizes, size).arch
    assert f"(`{size}`: width {arch.embed_dim}, depth {arch.depth})" in TEXT


def test_the_example_of_five_crops_is_the_recipe():
    recipes = load(ROOT / "pretrain/params.yaml").objectives
    assert {own.local_crops for own in (recipes.dino.cpu, recipes.dino.gpu)} == {3}
    assert "five crops of a window (`dino`: 2 global,\n3 local)" in TEXT


def test_the_probes_of_more_crops_are_those_of_the_runs():
    rows = re.findall(r"^\| `(\w+)` \| ([\d ]+) \| (0\.\d{3}[^\n]*) \|$", TEXT, re.M)
    assert {(name, crops) for name, crops, _ in rows} == {
        (name, crops) for name in ("dino", "mae") for crops in ("512 000", "1 536 000")
    }
    for name, crops, probes in rows:
        lines = (ROOT / f"pretrain/tried/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        [run] = [
            run
            for run in map(json.loads, lines)
            if run["seed"] == 0 and run["crops"] == int(crops.replace(" ", ""))
        ]
        assert run["finished"]
        assert not run["dirty"]
        found = [run["probe"][step] for step in sorted(run["probe"], key=int)]
        assert probes.split(" | ") == [f"{value:.3f}" for value in found]
