"""A comparison with a revision where there is no revision says what to do."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from patchlens.cli import app
from patchlens.errors import DataError
from patchlens.site.revision import of_revision


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("GIT_DIR", raising=False)


def test_outside_a_repository(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["report", "--compare", "HEAD"])
    assert found.exit_code == 4
    (line,) = found.output.strip().splitlines()
    assert line.startswith(f"Error: {tmp_path}: is not in a Git repository, so it has no revision")
    assert "run this in a clone of the repository" in line


def test_a_repository_without_a_commit() -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(DataError, match="has no commit yet, so it has no revision 'HEAD'; commit"):
        of_revision("HEAD")


def test_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="git: no such program; install Git"):
        of_revision("HEAD")


@pytest.mark.parametrize("name", ["", "-x", "--output=/tmp/x", "a\0b", "a\nb"])
def test_what_is_no_name_of_a_revision(name: str) -> None:
    with pytest.raises(DataError, match="is not a revision; use --compare REV") as caught:
        of_revision(name)
    assert len(str(caught.value).splitlines()) == 1
