"""dvc.yaml says what the code does, and a stage depends on the list of the files that it uses."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchlens.stages.code import closure

STAGES = (
    "render",
    "fetch",
    "manifest",
    "index",
    "weights",
    "extract",
    "prune",
    "variance",
    "segmentation",
    "sweep",
    "degrade",
    "identification",
    "retrieval",
    "tracking",
    "tables",
    "figures",
    "explorer",
    "claims",
    "results",
    "report",
)
# Beside the stages: parts of them, and what is made on request.
SHARED = {
    "extraction",
    "few_shot",
    "fitted",
    "objects",
    "show_identification",
    "show_retrieval",
    "show_tracking",
    "why",
}


@pytest.fixture(scope="module")
def graph(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_every_stage_has_a_module_and_is_tested_here(graph: dict[str, Any], root: Path) -> None:
    modules = {p.stem for p in (root / "src/patchlens/stages").glob("*.py")} - {"__init__"}
    parts = {m for m in modules for stage in graph if m.startswith(f"{stage}_")}
    assert set(graph) == {"code", *STAGES} == modules - parts - SHARED


def test_what_is_no_stage_is_used_by_one_or_by_the_command_line(root: Path) -> None:
    used = [closure(f"patchlens.stages.{stage}") for stage in STAGES]
    for name in SHARED:
        users = [files for files in used if f"patchlens/stages/{name}.py" in files]
        commands = (root / "src/patchlens/cli/asked.py").read_text(encoding="utf-8")
        assert users or f"from patchlens.stages import {name}" in commands, name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_list_of_its_own_code(graph: dict[str, Any], stage: str) -> None:
    listed = [dep for dep in graph[stage]["deps"] if dep.startswith(("src", "data/code"))]
    assert listed == [f"data/code/{stage}.txt"]


def test_the_lists_are_made_of_all_code(graph: dict[str, Any]) -> None:
    assert graph["code"]["deps"] == ["src", "params.yaml"]
    assert graph["code"]["outs"] == [f"data/code/{stage}.txt" for stage in graph if stage != "code"]


@pytest.mark.parametrize("stage", STAGES)
def test_command_and_stage_share_their_name(graph: dict[str, Any], stage: str) -> None:
    assert graph[stage]["cmd"].split()[:2] == ["patchlens", stage]


def test_commands_take_nothing_but_the_names_of_their_matrix(graph: dict[str, Any]) -> None:
    """These are what the stage `code` checks: DVC puts them raw into a shell command."""
    taken = set()
    for name, stage in graph.items():
        found = re.findall(r"\$\{(.*?)\}", stage["cmd"])
        assert found == [f"item.{axis}" for axis in stage.get("matrix", {})], name
        taken |= set(found)
    assert taken == {"item.dataset", "item.model"}


def test_results_are_in_git_and_data_is_in_the_cache(graph: dict[str, Any]) -> None:
    for name, stage in graph.items():
        for kind in ("outs", "metrics", "plots"):
            for out in stage.get(kind, []):
                path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
                cached = options.get("cache", True)
                wanted = path.startswith(("data/", "reports/site")) or path.endswith(".parquet")
                # What others publish is never pushed to a remote: see docs/sharing.md.
                assert cached == (wanted and name != "fetch"), path


@pytest.mark.parametrize(
    "task", ["segmentation", "sweep", "identification", "retrieval", "tracking"]
)
def test_task_stages_import_neither_timm_nor_a_backbone(task: str) -> None:
    used = closure(f"patchlens.stages.{task}")
    assert f"patchlens/stages/{task}.py" in used
    assert not [path for path in used if "/backbones/" in path]


# What each package may use; `cli` is above them all, and only `cli` knows of the pre-training.
BELOW = {
    "settings": set(),
    "web": set(),
    "datasets": {"settings", "web"},
    "backbones": {"settings", "web"},
    "features": {"backbones", "datasets", "settings"},
    "tasks": {"features", "datasets", "settings"},
    "report": {"tasks", "features", "datasets", "settings"},
    "site": {"report", "tasks", "features", "backbones", "datasets", "settings"},
    "plan": {"features", "backbones", "datasets", "settings", "web"},
    "pretrain": {"tasks", "features", "backbones", "datasets", "settings"},
}
BELOW["stages"] = BELOW.keys() - {"pretrain"}
BELOW["cli"] = {*BELOW}
MODULES = {"settings"}  # of the modules beside the packages: `paths` knows what a dataset is


def test_a_room_knows_only_the_rooms_below_it(root: Path) -> None:
    package = root / "src/patchlens"
    rooms = {path.parent.name for path in package.glob("*/*.py")}
    assert rooms == set(BELOW)
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        used = {Path(file).parts[1] for file in closure(".".join(("patchlens", *parts)))} & rooms
        may_use = BELOW[parts[0]] | {parts[0]} if len(parts) > 1 else MODULES
        assert used <= may_use, f"{path} uses {used - may_use}"
