"""scripts/peers: the rules of other tools, and the parts of its table."""

from importlib import import_module, util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    return import_module("peers.rules")


@pytest.fixture(scope="module")
def script(root: Path) -> ModuleType:
    spec = util.spec_from_file_location("peers_main", root / "scripts/peers/__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("total", "truth", "union", "matched"),
    [
        ([[4, 0], [0, 4]], 1, 1, 1),
        ([[0, 4], [4, 0]], 0, 0, 1),  # the names of the classes are exchanged
        ([[3, 1], [0, 0]], 3 / 4, 3 / 8, 3 / 8),  # class 1 is predicted only
        ([[4, 0], [0, 0]], 1, 1, 1 / 2),  # class 1 is nowhere
    ],
)
def test_the_means_of_the_tools(
    rules: ModuleType, total: list, truth: float, union: float, matched: float
) -> None:
    found = [f(np.array(total)) for f in (rules.in_truth, rules.in_union, rules.matched)]
    assert found == pytest.approx([truth, union, matched])


def test_equal_votes_go_to_the_nearer_or_to_the_lower_id(rules: ModuleType) -> None:
    similarity = np.array([[0.9, 0.8, 0.1, 0.1]])
    labels = np.array([[[1, 7], [1, 7], [0, 0], [0, 2]]])  # of two pixels; 7 is no class
    for closest, wanted in ((True, [[1, 0]]), (False, [[0, 0]])):
        found = rules.pixel_votes(similarity, labels, 3, closest=closest)
        assert found.tolist() == wanted


def test_pixels_of_patches_and_their_shares(rules: ModuleType) -> None:
    mask = np.array([[0, 0, 1, 1], [0, 1, 1, 255]], dtype=np.uint8)
    split = rules.Split(np.zeros((1, 1, 2, 3), dtype=np.float32), [mask])
    pixels = rules.patch_pixels(split)
    assert pixels.tolist() == [[0, 0, 0, 1], [1, 1, 1, 255]]
    assert rules.shares(pixels, 2).tolist() == [[0.75, 0.25], [0, 1]]


def clear_case(rules: ModuleType, *, void: bool) -> tuple:
    """Two classes that features separate, in masks of patches."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, (4, 2, 2))
    features = (np.eye(2)[classes] + rng.uniform(0, 0.1, (4, 2, 2, 2))).astype(np.float32)
    masks = [np.kron(one, np.ones((8, 8))).astype(np.uint8) for one in classes]
    for mask in masks[:2] if void else []:
        mask[:3, :3] = 255  # a part of a patch
    return rules.Split(features[:2], masks[:2]), rules.Split(features[2:], masks[2:])


@pytest.mark.parametrize("tool", ["hummingbird", "capi"])
def test_all_rules_agree_where_nothing_is_in_doubt(rules: ModuleType, tool: str) -> None:
    case = clear_case(rules, void=False)
    steps = [*getattr(rules, tool)(*case, 2, 1, 16)]
    assert steps[0] == ("ours", rules.ours(*case, 2, 1))
    assert len(steps) >= 5
    assert min(score for _, score in steps) > 0.9


@pytest.mark.parametrize(("tool", "rule"), [("hummingbird", 3), ("capi", 5)])
def test_void_in_the_support_costs_them_what_it_does_not_cost_us(
    rules: ModuleType, tool: str, rule: int
) -> None:
    steps = [*getattr(rules, tool)(*clear_case(rules, void=True), 2, 1, 16)]
    assert "void" in steps[rule][0]
    assert steps[rule][1] < steps[rule - 1][1]


def test_lines_of_code_are_those_with_code(script: ModuleType) -> None:
    source = '"""Says what."""\n\nimport os  # a comment\n\n\ndef f():\n    """Why."""\n'
    source += '    # only words\n    return """two\nlines"""\n'
    assert script.code_lines(source) == 4


def test_a_cell_has_the_median_and_the_range(script: ModuleType) -> None:
    assert script.spread([3.0, 1.0, 2.0]) == "2.0 [1.0, 3.0]"
    assert script.as_table([["a", "b"], ["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_every_tool_has_its_script(script: ModuleType) -> None:
    named = {one for tools in script.WORK.values() for one, _ in tools.values()}
    there = {path.stem for path in script.HERE.glob("with_*.py")}
    assert named == there
    assert len(there) == 4
