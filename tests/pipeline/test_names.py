"""A params.yaml that would run a command is refused by DVC's own pipeline, not by ours alone."""

import shutil
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, run


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph with its code, where `code` was run once, as after any earlier `dvc repro`."""
    folder = tmp_path_factory.mktemp("small") / "repository"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    for name in ("dvc.yaml", "params.yaml", "claims.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    run("git", "init", "-q", cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    run("dvc", "repro", "code", cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("section", "name", "target"),
    [
        ("datasets", "m$(touch X)", "render@m$(touch X)"),
        pytest.param("models", "x;touch X;", "weights@x;touch X;", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_executed_that_stands_in_a_name(
    listed: Path, tmp_path: Path, section: str, name: str, target: str
) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(listed, folder, symlinks=True)
    params = folder / "params.yaml"
    content = yaml.safe_load(params.read_text(encoding="utf-8"))
    if section == "models":
        content["models"] = {name: content["models"]["pixels"]}
        (folder / f"data/code/model_{name}.txt").touch()  # or DVC stops for want of it
    else:
        content["datasets"][name] = content["datasets"].pop("minicity")
        content["fetch"]["made"] = [name]
    params.write_text(yaml.safe_dump(content), encoding="utf-8")
    # The attack is a real one: DVC itself, asked to leave `code` out, executes it.
    run("dvc", "repro", "--single-item", target, cwd=folder, check=False)
    (folder / "X").unlink()
    for command in ([], [target], ["--keep-going"]):
        done = run("dvc", "repro", *command, cwd=folder, check=False)
        assert done.returncode != 0
        assert f"params.yaml: {section}: {name!r} is not allowed" in done.stderr
        assert done.stdout.count("Running stage") == done.stdout.count("Running stage 'code'") == 1
        assert not list(folder.rglob("X"))
