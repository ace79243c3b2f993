"""A workspace: what `patchlens init` writes, and what it refuses."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conftest import run
from patchlens.errors import PatchlensError, SettingsError
from patchlens.own import create
from patchlens.settings.load import load
from patchlens.tasks.known import known


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "mine"
    create.make(folder)
    return folder


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "mine"))


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    run("git", "init", "-q", cwd=tmp_path)
    return tmp_path


def test_the_graph_of_a_workspace_is_that_of_the_repository(root: Path, made: Path) -> None:
    assert (root / "dvc.yaml").read_bytes() == create.package_graph()
    assert (made / "dvc.yaml").read_bytes() == create.package_graph()


def test_the_templates_of_plots_are_those_of_the_repository(root: Path, made: Path) -> None:
    ours = {path.name: path.read_bytes() for path in (root / ".dvc/plots").iterdir()}
    assert ours == {path.name: path.read_bytes() for path in (made / ".dvc/plots").iterdir()}


def test_the_first_commit_holds_everything_and_the_settings_are_valid(made: Path) -> None:
    assert run("git", "status", "--short", cwd=made).stdout == ""
    assert len(run("git", "log", "--oneline", cwd=made).stdout.splitlines()) == 1
    settings = load(made / "params.yaml", known())
    assert set(settings.models) == {"random", "pixels"}


def test_every_file_that_the_graph_needs_before_it_runs_is_there(made: Path) -> None:
    stages = yaml.safe_load((made / "dvc.yaml").read_text())["stages"]
    deps = {dep for stage in stages.values() for dep in stage.get("deps", [])}
    given = {dep for dep in deps if not dep.startswith(("data/", "metrics/"))}
    assert given == {"src", "params.yaml", "claims.yaml"}
    assert all((made / dep).exists() for dep in given)


def test_an_output_of_the_graph_is_in_git_only_if_dvc_does_not_keep_it(made: Path) -> None:
    ignored = ("data/raw/x", "data/code/x.txt", "reports/site/x", ".work/x", "photos/images/a.jpg",
               "metrics/cells/d/m/segmentation.records.parquet")  # fmt: skip
    for name in ignored:
        assert run("git", "check-ignore", "-q", name, cwd=made, check=False).returncode == 0, name
    for name in ("metrics/cells/d/m/segmentation.json", "params.yaml", "dvc.lock"):
        assert run("git", "check-ignore", "-q", name, cwd=made, check=False).returncode == 1, name


@pytest.mark.parametrize("what", ["file", "folder", "workspace"])
def test_nothing_that_is_there_is_replaced(mine: Path, tmp_path: Path, what: str) -> None:
    place = {"file": tmp_path / "f", "folder": tmp_path / "d", "workspace": mine}[what]
    (tmp_path / "f").write_text("mine")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/g").write_text("mine")
    with pytest.raises(PatchlensError, match="is there already") as caught:
        create.make(place)
    assert ("--upgrade" in str(caught.value)) == (what == "workspace")
    assert (tmp_path / "f").read_text() == (tmp_path / "d/g").read_text() == "mine"


def test_inside_another_repository_it_needs_subdir(repository: Path) -> None:
    with pytest.raises(PatchlensError, match="--subdir"):
        create.make(repository / "mine")
    assert not (repository / "mine").exists()
    create.make(repository / "mine", subdir=True)
    assert not (repository / "mine/.git").exists()
    with pytest.raises(PatchlensError, match="no Git repository"):
        create.make(repository.parent / "elsewhere", subdir=True)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fill(_: Path) -> dict[str, object]:
        raise PatchlensError("no such photographs")

    with pytest.raises(PatchlensError, match="no such photographs"):
        create.make(tmp_path / "mine", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_another_version_is_one_line_and_an_upgrade(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine)
    create.check()
    monkeypatch.setattr(create, "package_graph", lambda: b"stages: {}\n")
    with pytest.raises(SettingsError, match=r"dvc\.yaml: was written by patchlens .* --upgrade"):
        create.check()
    assert create.upgrade()
    create.check()
    assert Path("dvc.yaml").read_text() == "stages: {}\n"
    assert not create.upgrade()


def test_an_upgrade_does_not_lose_what_the_user_wrote(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = mine / "dvc.yaml"
    graph.write_text("# mine\n" + graph.read_text())
    with pytest.raises(PatchlensError, match="not committed"):
        create.upgrade(mine)
    assert graph.read_text().startswith("# mine")


def test_an_upgrade_adds_the_sections_of_new_tasks(mine: Path) -> None:
    params = mine / "params.yaml"
    content = yaml.safe_load(params.read_text())
    del content["selection"]
    params.write_text("# my own words\n" + yaml.safe_dump(content, sort_keys=False))
    assert create.upgrade(mine)
    assert params.read_text().startswith("# my own words\n")
    assert load(params, known()).tasks()["selection"] == []


def test_the_record_says_which_version_wrote_it(made: Path) -> None:
    assert set(json.loads((made / "workspace.json").read_text())) == {"patchlens", "graph"}
