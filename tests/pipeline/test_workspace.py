"""What a kill leaves of DVC's own files is mended, and never under a process that lives."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from conftest import commit, run
from patchlens.errors import DataError, MachineError, PatchlensError
from patchlens.pipeline import workspace
from patchlens.pipeline.workspace import DAMAGED, KEPT, LOCK, RWLOCK, keep, mend

GOOD = b"schema: '2.0'\nstages:\n  one:\n    cmd: echo 1\n  two:\n    cmd: echo 2\n"
OLDER = GOOD[: GOOD.index(b"  two")]
BROKEN = {
    "empty": b"",
    "blank": b"\n \n",
    "cut": GOOD[:-3],  # valid YAML
    "cut-in-a-key": GOOD[:40],
    "garbage": b"\xff\xfe\x00\n",
    "nul": b"\x00" * 50 + b"\n",
    "other-yaml": b"stages: 3\n",
    "no-mapping": b"[1, 2]\n",
    "conflict": b"<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> x\n",
    "deep": b"[" * 100_000 + b"\n",
    "deep-lists": b"- " * 100_000 + b"\n",
}
BROKEN_RWLOCK = {
    "empty": b"",
    "cut": b'{"write": {"/x": {"pid": 1, "cm',
    "garbage": b"\xff\xfe",
    "other-json": b'{"write": [1]}',
    "no-mapping": b"[]",
    "deep": b"[" * 100_000,
}


@pytest.fixture
def space(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a whole dvc.lock, kept."""
    monkeypatch.setattr(workspace, "PATIENCE", 0.3)
    LOCK.write_bytes(GOOD)
    RWLOCK.parent.mkdir(parents=True)
    mend()
    assert KEPT.read_bytes() == GOOD
    return here


@pytest.fixture
def living(space: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    """A process named `dvc` in the folder that does nothing."""
    program = tmp_path_factory.mktemp("bin") / "dvc"
    program.write_text("import time\nprint(1, flush=True)\ntime.sleep(600)\n")
    command = [sys.executable, str(program), "repro"]
    with subprocess.Popen(command, stdout=-1, cwd=space) as running:
        running.stdout.readline()
        yield psutil.Process(running.pid)
        running.kill()


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_damaged_lock_is_restored_and_put_aside(
    space: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    LOCK.write_bytes(damage)
    assert workspace.lock_fault()
    keep()
    assert KEPT.read_bytes() == GOOD  # what is damaged is never kept
    mend()
    assert (LOCK.read_bytes(), DAMAGED.read_bytes()) == (GOOD, damage)
    assert len(caplog.records) == 1
    assert f"restored from {KEPT}" in caplog.text
    mend()
    assert len(caplog.records) == 1


def test_a_whole_lock_is_left_alone_and_kept(space: Path) -> None:
    LOCK.write_bytes(OLDER)  # such as that of another commit
    mend()
    assert LOCK.read_bytes() == KEPT.read_bytes() == OLDER
    LOCK.unlink()  # to run everything
    mend()
    assert not LOCK.exists()


@pytest.mark.parametrize("kept", [None, b"", b"schema: '2.0'\nstages"])
@pytest.mark.parametrize("in_git", [True, False])
def test_without_a_good_copy_git_has_one_or_all_runs_again(
    space: Path, caplog: pytest.LogCaptureFixture, in_git: bool, kept: bytes | None
) -> None:
    run("git", "init", "-q", cwd=space)
    if in_git:
        LOCK.write_bytes(OLDER)
        commit(space, "lock")
    if kept is None:
        KEPT.unlink()
    else:
        KEPT.write_bytes(kept)
    LOCK.write_bytes(b"")
    mend()
    if in_git:
        assert LOCK.read_bytes() == OLDER
        assert "restored from Git" in caplog.text
    else:
        assert not LOCK.exists()
        assert "there is no copy of it, so every stage runs again" in caplog.text


@pytest.mark.parametrize("damage", BROKEN_RWLOCK.values(), ids=BROKEN_RWLOCK)
def test_a_damaged_rwlock_is_removed_if_no_dvc_lives(
    space: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    RWLOCK.write_bytes(damage)
    mend()
    assert not RWLOCK.exists()
    assert f"{RWLOCK}: " in caplog.text


@pytest.mark.parametrize("path", [LOCK, RWLOCK])
def test_nothing_is_mended_under_a_dvc_that_lives(living: psutil.Process, path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(PatchlensError) as caught:
        mend()
    assert str(caught.value).startswith(f"{path}: ")
    assert f"process {living.pid} (dvc repro) works in this folder" in str(caught.value)
    assert path.read_bytes() == b""
    living.kill()
    living.wait()
    mend()
    assert not path.exists() or path.read_bytes() == GOOD


def test_a_dvc_of_another_folder_is_in_nobodys_way(
    living: psutil.Process, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "other/.dvc/tmp").mkdir(parents=True)
    monkeypatch.chdir(here / "other")
    assert workspace.dvc_processes() == []
    RWLOCK.write_bytes(b"")
    mend()
    assert not RWLOCK.exists()


def entry(pid: int, command: str) -> bytes:
    info = {"pid": pid, "cmd": command}
    return json.dumps({"write": {"/x": info}, "read": {"/y": [info]}}).encode()


def test_an_rwlock_of_a_living_process_is_respected(space: Path) -> None:
    """Whatever the process is called: DVC may run inside another program."""
    command = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)", "own"]
    with subprocess.Popen(command, stdout=-1, cwd="/") as running:
        running.stdout.readline()
        RWLOCK.write_bytes(entry(running.pid, " ".join(command[1:])))
        mend()
        assert workspace.entries() == [(running.pid, " ".join(command[1:]))]
        running.kill()
        running.wait()
        mend()
        assert not RWLOCK.exists()


@pytest.mark.parametrize("pid", [2**22 + 1, os.getppid()])  # dead, and now another program
def test_an_rwlock_of_an_ended_process_is_cleared(space: Path, pid: int) -> None:
    RWLOCK.write_bytes(entry(pid, "dvc repro of long ago"))
    mend()
    assert not RWLOCK.exists()


def test_locks_of_hardlinks_go_with_their_process_only(space: Path) -> None:
    lock, claim = space / ".dvc/tmp/lock", space / ".dvc/tmp/0123.lock"
    other = space / ".dvc/tmp/rwlock.lock"
    claim.write_text(f"{lock}|{socket.gethostname()}|{2**22 + 1}|7")
    os.link(claim, lock)
    other.write_text(f"{other}|another-host|{2**22 + 1}|7")
    mend()
    assert (lock.exists(), claim.exists(), other.exists()) == (False, False, True)
    shutil.copy(other, claim)
    claim.write_text(f"{lock}|{socket.gethostname()}|{os.getpid()}|7")
    os.link(claim, lock)
    mend()
    assert lock.exists()
    assert claim.exists()


def test_an_rwlock_that_cannot_be_removed_is_named(space: Path) -> None:
    RWLOCK.mkdir()
    with pytest.raises(MachineError, match=r"rwlock: is a folder, not a file; move it away"):
        mend()


def test_a_lock_that_is_no_file_is_named(space: Path) -> None:
    LOCK.unlink()
    LOCK.mkdir()
    with pytest.raises(DataError, match=r"dvc\.lock: cannot be read \(Is a directory\); remove"):
        mend()
