"""Masks that cannot be drawn, budgets that cannot be equal: one line each, before anything runs."""

from math import ceil
from pathlib import Path

import pytest
import yaml

from patchlens.errors import SettingsError
from patchlens.pretrain.objectives import create
from patchlens.pretrain.settings import Objectives, load

PARAMS = Path(__file__).parents[2] / "pretrain/params.yaml"


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        (
            "simmim",
            {"mask_patch": 3},
            "objectives.simmim.cpu.mask_patch: 3 does not divide the 8 patches per side of a crop",
        ),
        (
            "ibot",
            {"mask_ratio": [0.01, 0.5]},
            "objectives.ibot.cpu.mask_ratio: 0.01 is less than one of the 64 patches of a crop",
        ),
        (
            "ibot",
            {"mask_ratio": [0.5, 0.1]},
            "objectives.ibot.cpu: 'mask_ratio' must be [least, largest]",
        ),
        ("ibot", {"mask_share": 0}, "objectives.ibot.cpu.mask_share: 0.0 is out of range"),
        (
            "simmim",
            {"mask_ration": 0.5},
            "objectives.simmim.cpu.mask_ration: unknown key; allowed: batch, learning_rate, "
            "mask_patch, mask_ratio, warmup, weight_decay; did you mean 'mask_ratio'?",
        ),
    ],
)
def test_one_line(tmp_path, objective, changes, message):
    content = yaml.safe_load(PARAMS.read_text())
    content["objectives"][objective]["cpu"] |= changes
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_budget_that_would_not_be_equal(tmp_path):
    content = yaml.safe_load(PARAMS.read_text())
    content["sizes"]["gpu"]["crops"] = 5_000_000
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: sizes.gpu.crops: 5000000 is not a whole number of steps for every objective; use "
        "a multiple of 5120, such as 5002240"
    )


@pytest.mark.parametrize("size", ["cpu", "gpu"])
def test_the_committed_budget_is_equal_to_the_last_crop(size):
    """As the loop counts: whole steps until the budget is spent."""
    recipes = load(PARAMS)
    spent = set()
    for name in Objectives.model_fields:
        recipe = recipes.recipe(name, size)
        seen = create(recipe).seen(recipe.own.batch).crops
        assert seen == recipe.own.batch * recipe.own.crops_per_window
        spent.add(seen * ceil(recipe.shared.crops / seen))
    assert spent == {recipe.shared.crops}
