"""Two processes never compute the same thing; what a dead one left is in nobody's way."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from patchlens.cli import app
from patchlens.errors import MachineError, PatchlensError
from patchlens.pipeline import locks
from patchlens.pipeline.locks import held, holders

WHAT = "patchlens prune pixels minicity"
HOLD = f"""
import sys
from patchlens.pipeline.locks import held
with held("{WHAT}"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(here: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as running:
        assert running.stdout.readline() == "held\n"
        yield running
        running.kill()


def test_a_second_one_refuses_and_names_the_first(
    other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    since = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    line = rf"`{WHAT}` is already run by process {other.pid} since {since}; wait for it or stop it"
    with pytest.raises(PatchlensError, match=line), held(WHAT, patience=0.1):
        pytest.fail("it got the lock")
    assert [(owner.pid, owner.what) for owner in holders()] == [(other.pid, WHAT)]
    monkeypatch.setattr(held.__wrapped__, "__defaults__", (0.1,))
    done = CliRunner().invoke(app, ["prune", "pixels", "minicity"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Error: `{WHAT}` is already run by process {other.pid}" in done.stderr
    assert done.stderr.count("\n") == 1
    with held("patchlens prune random minicity", patience=0):  # another cell
        pass


def test_it_waits_for_one_that_is_about_to_end(other: subprocess.Popen[str]) -> None:
    other.stdin.close()
    with held(WHAT, patience=20):
        assert [owner.pid for owner in holders()] == [os.getpid()]
    assert holders() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        json.dumps({"what": WHAT, "pid": 2**22 + 1, "host": "h", "since": "then"}),  # dead
        json.dumps({"what": WHAT, "pid": 1, "host": "h", "since": "then"}),  # of another program
    ],
)
def test_what_a_dead_process_left_is_taken_over(here: Path, text: str) -> None:
    with held(WHAT):
        [path] = locks.LOCKS.iterdir()
    assert list(locks.LOCKS.iterdir()) == []
    path.write_text(text)
    assert holders() == []
    with held(WHAT, patience=0):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_it_is_released_by_an_error_and_by_a_kill(other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), held(WHAT, patience=0):
            _ = 1 / 0


def test_a_file_that_its_owner_removed_meanwhile_is_no_lock(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, removed = fcntl.flock, list[Path]()

    def remove_before(stream: int, how: int) -> None:
        if not removed:
            removed.extend(locks.LOCKS.iterdir())
            removed[0].unlink()
        lock(stream, how)

    monkeypatch.setattr(fcntl, "flock", remove_before)
    with held(WHAT, patience=0):
        assert removed[0].exists()


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "x" * 300, "a b", "é/ü", ".", ""])
def test_any_name_has_a_file_of_its_own_in_the_folder(here: Path, name: str) -> None:
    with held(f"patchlens index {name}"), held(f"patchlens index {name}_", patience=0):
        assert len(list(locks.LOCKS.iterdir())) == 2
    assert [p.name for p in here.iterdir()] == [".work"]


@pytest.mark.parametrize(
    ("blocked", "what"),
    [
        (".work", "a part of this path is a file, not a folder; move that file away"),
        (".work/locks", "something else stands in its place; move it away"),
    ],
)
def test_a_lock_that_cannot_be_written_is_one_line(here: Path, blocked: str, what: str) -> None:
    (here / blocked).parent.mkdir(exist_ok=True)
    (here / blocked).touch()
    with pytest.raises(MachineError, match=rf"/\.work.*: {what}$"), held(WHAT):
        pytest.fail("it got the lock")
