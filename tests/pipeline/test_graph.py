"""dvc.yaml says what the code does, and a stage depends on the list of the files that it uses."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchlens.plan import stages
from patchlens.plan.code import closure, imported
from pipeline.stages import OF_ALL, TASKS

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
    "selection",
    "sweep",
    "degrade",
    "identification",
    "retrieval",
    "tracking",
    "tables",
    "explorer",
    "claims",
    "report",
)


@pytest.fixture(scope="module")
def graph(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_every_stage_has_a_module_and_is_tested_here(graph: dict[str, Any]) -> None:
    assert set(graph) == {"code", *STAGES} == {"code", *stages.STAGES}
    for stage in STAGES:
        assert closure(stages.module(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_list_of_its_own_code(graph: dict[str, Any], stage: str) -> None:
    listed = [dep for dep in graph[stage]["deps"] if dep.startswith(("src", "data/code"))]
    of_all_tasks = ["data/code/tasks.yaml"] if stage in OF_ALL else []
    runs_models = stage in ("weights", "extract", "degrade")
    of_model = ["data/code/model_${item.model}.txt"] if runs_models else []
    sources = ["data/code/sources.yaml"] if stage in ("fetch", "weights") else []
    features = {"extract": "features_${item.dataset}", "degrade": "features"}.get(stage)
    of_features = [f"data/code/{features}.yaml"] if features else []
    own = f"data/code/{stage}.txt"
    queries = ["data/code/queries.yaml"] if stage in ("sweep", "retrieval") else []
    assert listed == [own, *queries, *sources, *of_features, *of_model, *of_all_tasks]


def test_the_lists_are_made_of_all_code(graph: dict[str, Any]) -> None:
    assert graph["code"]["deps"] == ["src", "params.yaml"]
    assert graph["code"]["outs"] == ["data/code"]


def test_the_graph_names_no_task_outside_its_own_stages(graph: dict[str, Any]) -> None:
    for stage in OF_ALL:
        text = yaml.safe_dump(graph[stage])
        assert not [task for task in TASKS if re.search(rf"\b{task}\b", text)], stage


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
    kinds = ("outs", "metrics", "plots")
    assert all(any(stage.get(kind) for stage in graph.values()) for kind in kinds)
    for name, stage in graph.items():
        for kind in kinds:
            for out in stage.get(kind, []):
                path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
                cached = options.get("cache", True)
                wanted = path.startswith(("data/", "reports/site")) or path.endswith(".parquet")
                # What others publish is never pushed to a remote: see docs/sharing.md.
                assert cached == (wanted and name != "fetch"), path


@pytest.mark.parametrize("task", TASKS)
def test_task_stages_import_neither_timm_nor_a_backbone(task: str) -> None:
    used = closure(f"patchlens.tasks.{task}.run")
    assert f"patchlens/tasks/{task}/run.py" in used
    assert not [path for path in used if "/backbones/" in path]


# The files of a slice that hold words or draw: a change of them must not run the task again.
SHOWN = ("words", "captions", "show", "sheet", "animation", "explore", "why", "table")


@pytest.mark.parametrize("task", TASKS)
def test_what_a_score_is_made_of_holds_no_word_and_no_figure(task: str) -> None:
    used = [Path(path) for path in closure(f"patchlens.tasks.{task}.run")]
    assert not [path for path in used if path.stem in SHOWN]
    assert {path.parts[1] for path in used}.isdisjoint({"display", "report", "site", "plan"})


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_depends_on_what_is_offered_from_python(stage: str) -> None:
    used = closure(stages.module(stage))
    assert not [path for path in used if path.startswith(("patchlens/api", "patchlens/__init__"))]


# What each package may use; `cli` is above them all, and only `cli` knows of the pre-training.
BELOW = {
    "settings": set(),
    "web": set(),
    "annotations": {"datasets", "settings"},
    "datasets": {"settings", "web"},
    "backbones": {"settings", "web"},
    "features": {"backbones", "datasets", "settings"},
    "display": {"datasets", "settings"},
    "tasks": {"display", "features", "datasets", "settings"},
    "report": {"tasks", "display", "features", "backbones", "datasets", "settings", "web"},
    "pretrain": {"tasks", "features", "backbones", "datasets", "settings"},
}
BELOW["api"] = BELOW["plan"] = BELOW["report"] | {"report"}
BELOW["site"] = BELOW["report"] | {"report", "plan"}
BELOW["pipeline"] = {*BELOW} - {"pretrain", "api"}
BELOW["demo"] = {"api", "backbones", "display", "features", "datasets", "tasks"}
BELOW["own"] = {*BELOW} - {"pretrain"}
BELOW["cli"] = {*BELOW} - {"api"}
MODULES = {"settings"}  # of the modules beside the packages: `paths` knows what a dataset is
# Tasks that a slice may use; all others know only what stands beside the slices.
BY_NAME = (["table.py"], ["known.py"])  # import any of them by its name, when they are asked
USES = {"sweep": {"segmentation", "retrieval"}, "selection": {"segmentation"}}
ALSO = {"identification/degrade.py": {"backbones", "web"}}  # extracts, so it opens a model


def modules(root: Path) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Every module below src/patchlens as its parts, with the files that it imports itself."""
    package = root / "src/patchlens"
    above = {package / "__main__.py", package / "__init__.py"}  # of the command, and from Python
    for path in sorted({*package.rglob("*.py")} - above):
        yield path.relative_to(package).parts, imported(path)


def test_a_room_knows_only_the_rooms_below_it(root: Path) -> None:
    rooms = {parts[0] for parts, _ in modules(root) if len(parts) > 1}
    assert rooms == set(BELOW)
    for parts, files in modules(root):
        used = {Path(file).parts[1] for file in files} & rooms
        may_use = BELOW[parts[0]] | {parts[0]} if len(parts) > 1 else MODULES
        may_use = may_use | ALSO.get("/".join(parts[1:]), set())
        assert used <= may_use, f"{'/'.join(parts)} uses {used - may_use}"


def test_only_its_reader_and_the_pretraining_know_the_renderer(root: Path) -> None:
    src, drawn = root / "src", "minicity/"
    users = {path.relative_to(src).as_posix() for path in src.glob("patchlens/**/*.py")
             if any(file.startswith(drawn) for file in imported(path))}  # fmt: skip
    made = {"patchlens/datasets/minicity.py", "patchlens/datasets/render.py"}
    assert made < users
    assert all(name.startswith("patchlens/pretrain/") for name in users - made)
    renderer = list(src.glob("minicity/*.py"))
    assert len(renderer) > 20
    for path in renderer:
        assert all(file.startswith(drawn) for file in imported(path)), path


def test_tasks_do_not_know_each_other(root: Path) -> None:
    found = dict.fromkeys(TASKS, 0)
    for (room, *rest), files in modules(root):
        if room != "tasks":
            continue
        used = {Path(file).parts[2] for file in files if file.startswith("patchlens/tasks/")}
        own = rest[0] if len(rest) > 1 else ""
        found |= {own: found.get(own, 0) + 1}
        others = used & set(TASKS) - {own} - USES.get(own, set()) if rest not in BY_NAME else set()
        assert not others, f"tasks/{'/'.join(rest)} uses {others}"
    assert all(found[task] > 4 for task in TASKS)


def test_reports_and_site_name_no_task(root: Path) -> None:
    for room in ("report", "site"):
        files = sorted((root / "src/patchlens" / room).glob("*.py"))
        assert len(files) > 1
        for path in files:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            words = {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert words.isdisjoint(TASKS), path


def test_packages_import_nothing_by_themselves(root: Path) -> None:
    faces = list((root / "src").rglob("__init__.py"))
    assert len(faces) > 15
    for path in faces:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [n for n in names if n.startswith(("patchlens", "torch"))], path
    code = "import patchlens.cli, sys; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
