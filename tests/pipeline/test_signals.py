"""What ends a run ends all of its processes: one line, the exit code of the signal, no traceback.

`dvc repro` is a stand-in that runs a stage as DVC does, in a shell; see also `test_resume`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from dvc.repo import Repo

STAGE = [sys.executable, str(Path(__file__).with_name("stalling.py"))]
LINE = "Interrupted; run the same command again to continue.\n"
DVC = """#!/bin/sh
DVC_STAGE=code {shell} -c '{stage}; exit $?'
"""
NAMES = ("stage", "worker0", "worker1")


class Begun:
    """A command that runs a stage to the point at which it waits for its two workers."""

    def __init__(self, folder: Path, command: list[str], **env: str) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"} | env,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A test in the background of a shell would hand on that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        until(lambda: all((folder / name).exists() for name in NAMES) or self.ended())
        assert not self.ended(), self._process.communicate()[1]
        self.pids = {name: int((folder / name).read_text()) for name in NAMES}
        self.all = psutil.Process(self._process.pid).children(recursive=True)
        assert {process.pid for process in self.all} >= set(self.pids.values()) - {self.pid}

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> bool:
        return self._process.poll() is not None

    def finish(self) -> tuple[int, str]:
        """Exit code and errors, when all processes have ended."""
        _, errors = self._process.communicate(timeout=20)
        _, alive = psutil.wait_procs(self.all, timeout=10)
        assert not alive
        return self._process.returncode, errors

    def stop(self) -> None:
        for process in [*self.all, self._process]:
            if process.pid != os.getpid():
                try:
                    process.kill()
                except psutil.Error:
                    continue
        self._process.communicate()


def until(true) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def begin(here: Path, root: Path) -> Iterator:
    """`begin(command)`: a `Begun` of it, in a folder with a graph and a stand-in for `dvc`."""
    shutil.copy(root / "params.yaml", here)
    graph = {"code": {"cmd": " ".join(STAGE), "outs": ["cleaned"]}}
    (here / "dvc.yaml").write_text(yaml.safe_dump({"stages": graph}))
    Repo.init(no_scm=True).close()
    begun = []

    def start(command: list[str], shell: str = "sh", **env: str) -> Begun:
        fake = here / "dvc"
        fake.write_text(DVC.format(shell=shell, stage=" ".join(STAGE)))
        fake.chmod(0o755)
        (here / "patchlens").touch(0o755)
        begun.append(Begun(here, command, **env))
        return begun[-1]

    yield start
    for one in begun:
        one.stop()


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_stage_ends_with_its_workers(begin, here: Path, signum: int, code: int) -> None:
    begun = begin(STAGE)
    os.kill(begun.pid, signum)
    assert begun.finish() == (code, LINE)
    assert (here / "cleaned").exists()
    assert not list(here.glob(".work/locks/*"))


@pytest.mark.slow
def test_workers_end_with_a_killed_stage(begin) -> None:
    begun = begin(STAGE)
    os.kill(begun.pid, signal.SIGKILL)
    assert begun.finish()[0] == -9


@pytest.mark.parametrize(
    "shell",  # of which one stays, and one becomes the stage
    ["sh", pytest.param("bash", marks=pytest.mark.slow)],
)
def test_a_stage_ends_with_a_killed_dvc(begin, here: Path, shell: str) -> None:
    begun = begin(["dvc", "repro"], shell)
    os.kill(begun.pid, signal.SIGKILL)
    assert begun.finish() == (-9, LINE)
    assert (here / "cleaned").exists()


@pytest.mark.parametrize(
    ("signum", "group", "code"),
    [
        (signal.SIGINT, True, 130),  # Ctrl-C
        pytest.param(signal.SIGTERM, False, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, False, -9, marks=pytest.mark.slow),
    ],
)
def test_all_ends_with_repro(begin, here: Path, signum: int, group: bool, code: int) -> None:
    begun = begin([sys.executable, "-m", "patchlens", "repro"])
    (os.killpg if group else os.kill)(begun.pid, signum)
    ended, errors = begun.finish()
    assert (ended, errors.replace("[1/1] code\n", "")) == (code, LINE)
    assert (here / "cleaned").exists()


@pytest.mark.slow
def test_repro_says_that_a_stage_was_killed(begin) -> None:
    begun = begin([sys.executable, "-m", "patchlens", "repro", "code"])
    os.kill(begun.pids["stage"], signal.SIGKILL)
    code, errors = begun.finish()
    assert code == 1
    assert "\ncode: killed, as the kernel does when memory runs out\n" in errors
    assert "\nError: 1 of 1 stages failed (see above): code; 0 that need them" in errors


@pytest.mark.slow
def test_a_signal_that_is_ignored_stays_ignored(begin, here: Path) -> None:
    begun = begin(["sh", "-c", f"trap '' INT; exec {' '.join(STAGE)}"])
    os.kill(begun.pid, signal.SIGINT)
    time.sleep(0.3)
    assert not begun.ended()
    os.kill(begun.pid, signal.SIGTERM)
    assert begun.finish() == (143, LINE)
