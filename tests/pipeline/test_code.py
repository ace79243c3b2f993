"""The lists of package files by which DVC sees that the code of a stage changed."""

import shutil
from pathlib import Path

import pytest

from patchlens import paths
from patchlens.stages import code

OF_ALL = ("tables", "figures", "explorer", "claims", "results", "report")  # of every task


@pytest.fixture
def package(root: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package in a working folder with the graph, and the lists of its stages."""
    shutil.copytree(root / "src/patchlens", here / "src/patchlens")
    shutil.copy(root / "dvc.yaml", here)
    monkeypatch.setattr(code, "SRC", here / "src")
    code._tree.cache_clear()
    code.run()
    return here / "src/patchlens"


def lists() -> dict[str, str]:
    return {path.stem: path.read_text() for path in paths.code("x").parent.iterdir()}


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("stages/retrieval.py", {"retrieval", "figures", "explorer"}),
        ("tasks/retrieval.py", {"retrieval", "sweep", *OF_ALL}),
        ("tasks/probe.py", {"segmentation", "sweep"}),
        ("cli/stages.py", set()),
        ("settings/load.py", {"report"}),
        ("pretrain/train.py", set()),
        ("backbones/registry/dino.yaml", {"weights", "report"}),
        ("datasets/catalogue.yaml", {"fetch", "index", "report"}),
        ("datasets/mot.py", {"index"}),
        ("site/static/tables.js", {"report"}),
        ("report/reference.yaml", {"report"}),
    ],
)
def test_a_change_is_in_the_lists_of_the_stages_that_use_it(
    package: Path, file: str, users: set[str]
) -> None:
    before = lists()
    with (package / file).open("a", encoding="utf-8") as stream:
        stream.write("\n")
    code.run()
    after = lists()
    assert {stage for stage in before if before[stage] != after[stage]} == users


def test_what_is_imported_inside_a_function_or_only_by_others_counts(package: Path) -> None:
    (package / "deep.py").write_text("VALUE = 1\n")
    (package / "middle.py").write_text("def f():\n    from patchlens import deep\n")
    with (package / "stages/prune.py").open("a", encoding="utf-8") as stream:
        stream.write("import patchlens.middle\n")
    code._tree.cache_clear()
    code.run()
    assert {"patchlens/deep.py", "patchlens/middle.py"} <= code.closure("patchlens.stages.prune")
    assert "  patchlens/deep.py\n" in lists()["prune"]
    assert "deep" not in lists()["tables"]


def test_a_file_with_nothing_but_a_docstring_decides_nothing(package: Path) -> None:
    assert (package / "stages/__init__.py").is_file()
    assert not [name for name in code.closure("patchlens.stages.prune") if "__init__" in name]
