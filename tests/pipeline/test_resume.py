"""A small graph under the real DVC: what stops plain DVC after a kill does not stop repro."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from conftest import commit, run
from patchlens.pipeline.workspace import DAMAGED, KEPT, LOCK, RWLOCK

STAGE = f"{sys.executable} stage.py"
GRAPH = {
    "code": {"cmd": f"{STAGE} code", "deps": ["params.yaml"], "outs": ["code.txt"]},
    "one": {"matrix": {"name": "${names}"}, "cmd": f"{STAGE} one_${{item.name}}"}
    | {"deps": ["code.txt"], "outs": ["one_${item.name}.txt"]},
    "all": {"cmd": f"{STAGE} all", "deps": ["one_a.txt", "one_b.txt"], "outs": ["all.txt"]},
}
SCRIPT = """
import os, sys, time
from pathlib import Path
name = sys.argv[1]
with open("ran", "a") as file:
    print(name, file=file)
Path(f"began_{name}").write_text(str(os.getpid()))
while Path(f"stall_{name}").exists():
    time.sleep(0.05)
Path(f"{name}.txt").write_text(name)
"""

LINE = "Interrupted; run the same command again to continue."

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "repository"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": GRAPH}, sort_keys=False))
    (folder / "params.yaml").write_text("names: [a, b]\n")
    (folder / "stage.py").write_text(SCRIPT)
    (folder / ".gitignore").write_text("/.work/\n/ran\n/began_*\n/stall_*\n*.txt\n")
    run("git", "init", "-q", cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    done = patchlens(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    commit(folder, "small")
    return folder


@pytest.fixture
def small(reproduced: Path, tmp_path: Path) -> Path:
    """A copy of the reproduced graph, in which nothing has run yet."""
    folder = tmp_path / "repository"
    shutil.copytree(reproduced, folder, symlinks=True)
    (folder / "ran").unlink()
    return folder


def patchlens(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "patchlens", "repro", *arguments)
    return run(*command, cwd=folder, check=False, PYTHONPATH=os.environ.get("PYTHONPATH", ""))


def ran(folder: Path) -> list[str]:
    path = folder / "ran"
    return sorted(path.read_text().split()) if path.exists() else []


def test_the_graph_runs_once_and_its_lock_is_kept(small: Path) -> None:
    assert (small / KEPT).read_bytes() == (small / LOCK).read_bytes()
    assert patchlens(small).returncode == 0
    assert ran(small) == []
    (small / "one_a.txt").unlink()
    done = patchlens(small, "one@a")
    assert done.returncode == 0, done.stderr
    assert (small / "one_a.txt").exists()


@pytest.mark.parametrize("text", [b"", b"schema: '2.0'\nstages:\n  code:\n    cm"])
def test_a_damaged_dvc_lock_stops_dvc_and_not_repro(small: Path, text: bytes) -> None:
    whole = (small / LOCK).read_bytes()
    (small / LOCK).write_bytes(text)
    if text:
        assert run("dvc", "repro", cwd=small, check=False).returncode != 0
    done = patchlens(small)
    assert done.returncode == 0, done.stderr
    assert (small / LOCK).read_bytes() == whole
    assert (small / DAMAGED).read_bytes() == text
    assert ran(small) == []
    assert done.stderr.count("restored from") == 1


def test_a_damaged_rwlock_stops_dvc_and_not_repro(small: Path) -> None:
    (small / RWLOCK).write_bytes(b"")
    plain = run("dvc", "repro", cwd=small, check=False)
    assert plain.returncode != 0
    assert "JSON structure is corrupted" in plain.stderr
    assert patchlens(small).returncode == 0
    assert run("dvc", "repro", cwd=small).returncode == 0


def test_an_older_lock_runs_again_what_it_lacks(small: Path) -> None:
    whole = yaml.safe_load((small / LOCK).read_text())
    older = {"schema": "2.0", "stages": whole["stages"] | {}}
    del older["stages"]["one@b"]
    (small / KEPT).write_text(yaml.safe_dump(older))
    (small / LOCK).write_bytes(b"")
    shutil.rmtree(small / ".dvc/cache/runs")  # DVC remembers there what it ran
    assert patchlens(small).returncode == 0
    assert ran(small) == ["one_b"]
    assert yaml.safe_load((small / LOCK).read_text()) == whole


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_run_that_was_ended_goes_on(small: Path, signum: int, code: int) -> None:
    (small / "params.yaml").write_text("names: [a, b] # changed\n")
    (small / "stage.py").write_text(SCRIPT + "# changed\n")
    for name in ("one_a", "one_b"):
        (small / f"{name}.txt").unlink()
        (small / f"stall_{name}").touch()
        (small / f"began_{name}").unlink()
    shutil.rmtree(small / ".dvc/cache")  # else DVC takes them from there
    command = [sys.executable, "-m", "patchlens", "repro"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        command, cwd=small, stderr=-1, text=True, env=os.environ | {"PATH": path}
    )
    deadline = time.monotonic() + 60
    while not all((small / f"began_{name}").exists() for name in ("one_a", "one_b")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 4
    process.send_signal(signum)
    process.wait(30)
    if signum == signal.SIGKILL:  # these stages are no commands of patchlens, and do not notice
        for one in below:
            if one.is_running():
                one.kill()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    if signum != signal.SIGKILL:
        assert (
            "".join(errors.splitlines(keepends=True)[3:])
            == "Interrupted; run the same command again to continue.\n"
        )
    assert not psutil.wait_procs(below, timeout=15)[1]
    for name in ("one_a", "one_b"):
        (small / f"stall_{name}").unlink()
    assert patchlens(small).returncode == 0
    assert {path.name for path in small.glob("*.txt")} == {
        *("code.txt", "one_a.txt", "one_b.txt", "all.txt")
    }
    assert run("dvc", "status", cwd=small).stdout.strip() == "Data and pipelines are up to date."
