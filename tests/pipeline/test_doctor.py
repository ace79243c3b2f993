"""`patchlens doctor` names what is wrong and what to do, whatever is wrong, and changes nothing."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from patchlens.cli import app
from patchlens.errors import PatchlensError
from patchlens.pipeline import doctor, repro
from patchlens.pipeline.locks import held

MD5 = hashlib.md5(b"12345").hexdigest()
OBJECT = Path(".dvc/cache/files/md5", MD5[:2], MD5[2:])
FOLDER = OBJECT.with_name(f"{OBJECT.name[:-1]}0.dir")


@pytest.fixture
def well(here: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace in which nothing is wrong, with a file and a folder in DVC's cache."""
    for name in ("params.yaml", "dvc.yaml", "requirements.lock"):
        shutil.copy(root / name, here)
    os.system("git init -q")
    OBJECT.parent.mkdir(parents=True)
    (here / ".dvc/tmp").mkdir()
    OBJECT.write_bytes(b"12345")
    FOLDER.write_text(json.dumps([{"md5": MD5, "relpath": "a"}, {"md5": MD5, "relpath": "b"}]))
    outs = [{"path": "a", "hash": "md5", "md5": MD5, "size": 5}]
    md5 = FOLDER.parent.name + FOLDER.name
    outs += [{"path": "b", "hash": "md5", "md5": md5, "size": 10, "nfiles": 2}]
    outs += [{"path": "c", "hash": "md5", "md5": "f" * 32, "size": 9}]  # not in the cache
    lock = {"schema": "2.0", "stages": {"one": {"cmd": "echo", "outs": outs}}}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    for name in doctor.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "_disk", lambda settings: iter(()))  # it builds every model
    return here


def content(folder: Path) -> dict[Path, tuple[int, bytes | None]]:
    return {
        path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def ask(here: Path) -> Result:
    before = content(here)
    done = CliRunner().invoke(app, ["doctor"])
    assert content(here) == before
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.stderr == ""
    return done


def test_all_is_well(well: Path) -> None:
    done = ask(well)
    assert done.exit_code == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "All is well."
    assert "FIX" not in done.stdout
    named = ["folder", "params.yaml", "dvc.lock", ".dvc/tmp/rwlock", "cache"]
    named += [".work", "packages", "GPU", "threads"]
    assert [line.split()[1] for line in lines[:-2]] == named


def write(path: str, text: str | bytes) -> Callable[[], object]:
    return lambda: Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())


def edit(**changes: object) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump(params | changes), encoding="utf-8")


def replace_by_folder(name: str) -> None:
    Path(name).unlink()
    Path(name).mkdir()


def harm_in_folder() -> None:
    """A file that is only in a folder, whose size dvc.lock does not say."""
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    del lock["stages"]["one"]["outs"][0]
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    OBJECT.write_bytes(b"1234")


ILLS = {
    "params-missing": (lambda: Path("params.yaml").unlink(), "params.yaml", "no such file"),
    "params-yaml": (write("params.yaml", "a: [1"), "params.yaml", ""),
    "params-bytes": (write("params.yaml", b"\xff\xfe\x00"), "params.yaml", ""),
    "params-empty": (write("params.yaml", ""), "params.yaml", ""),
    "params-folder": (lambda: replace_by_folder("params.yaml"), "params.yaml", ""),
    "params-value": (lambda: edit(device="cdua"), "params.yaml", "device: 'cdua' is unknown"),
    "gpu": (lambda: edit(device="cuda"), "GPU", "no GPU is available; use auto"),
    "apple": (lambda: edit(device="mps"), "GPU", "torch finds no Apple GPU; use auto"),
    "no-dvc": (lambda: shutil.rmtree(".dvc"), "folder", "go to the folder of a clone"),
    "no-git": (lambda: shutil.rmtree(".git"), "folder", "run `git init`"),
    "lock-empty": (write("dvc.lock", ""), "dvc.lock", "empty, .*; run `patchlens repro`"),
    "lock-cut": (write("dvc.lock", "schema: '2"), "dvc.lock", "cut short, .*`git checkout"),
    "lock-folder": (lambda: replace_by_folder("dvc.lock"), "dvc.lock", "cannot be read"),
    "rwlock": (write(".dvc/tmp/rwlock", ""), ".dvc/tmp/rwlock", "`rm .dvc/tmp/rwlock`"),
    "config": (write(".dvc/config", "[core\n"), "cache", "cannot be checked: "),
    "of-a-folder": (lambda: harm_in_folder(), "cache", f"damaged .*`rm -f {OBJECT}`"),
    "object-empty": (write(str(OBJECT), ""), "cache", f"damaged .*`rm -f {OBJECT}`"),
    "object-cut": (write(str(OBJECT), "1234"), "cache", f"damaged .*`rm -f {OBJECT}`"),
    "folder-cut": (write(str(FOLDER), "[{"), "cache", f"damaged .*`rm -f {FOLDER}`"),
    "version": (write("requirements.lock", "torch==0.1\n"), "packages", "torch is .*, not 0.1"),
    "no-threads": (lambda: os.environ.update(OMP_NUM_THREADS="x"), "threads", "_THREADS is"),
}  # fmt: skip


@pytest.mark.parametrize(("harm", "what", "text"), ILLS.values(), ids=ILLS)
def test_what_is_wrong_is_named_with_what_to_do(
    well: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[], object], what: str, text: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # restored after the test
    harm()
    done = ask(well)
    assert done.exit_code == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FIX ")]
    assert line.split()[1] == what
    assert re.search(text, line), line
    assert done.stdout.endswith("1 to fix, see FIX above\n")


@pytest.mark.parametrize(("place", "what"), [(".", "folder"), (".dvc/cache", "cache")])
def test_what_cannot_be_written_is_named(
    well: Path, monkeypatch: pytest.MonkeyPatch, place: str, what: str
) -> None:
    blocked = Path(place).resolve()  # root may write everywhere
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).resolve() != blocked)
    done = ask(well)
    assert done.exit_code == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FIX ")]
    assert line.split()[1] == what
    assert "cannot be written; make it writable" in line


def test_what_runs_and_what_is_unfinished_is_told_without_alarm(well: Path) -> None:
    Path(".work/extract/x").mkdir(parents=True)
    Path(".work/extract/x/0").write_bytes(b"x" * 20_000_000)
    named = {"write": {"/x": {"pid": 2**22 + 1, "cmd": "dvc repro"}}, "read": {}}
    Path(".dvc/tmp/rwlock").write_text(json.dumps(named))
    with held("patchlens extract dino minicity"):
        done = ask(well)
    assert done.exit_code == 0, done.stdout
    assert f"`patchlens extract dino minicity` is already run by process {os.getpid()}" in (
        done.stdout
    )
    assert "unfinished work: extract 0.02 GB" in done.stdout
    assert f"names process {2**22 + 1}, which has ended" in done.stdout


@pytest.mark.parametrize(("free", "code"), [(10**15, 0), (10**6, 1)])
def test_the_disk_is_held_against_the_plan(
    well: Path, monkeypatch: pytest.MonkeyPatch, free: int, code: int
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(well)
    edit(models={"pixels": {"source": "pixels", "patch_size": 8}})
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    done = ask(well)
    assert done.exit_code == code, done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.split()[1:2] == ["disk"]]
    assert ("are needed" in line) == (code == 0)
    assert ("a run needs twice that, but only 0.0 GB are free" in line) == (code == 1)


def test_an_empty_folder_is_a_finding(here: Path) -> None:
    done = ask(here)
    assert done.exit_code == 1
    assert "go to the folder of a clone of patchlens" in done.stdout


def test_repro_without_git_says_git_init_first(well: Path) -> None:
    shutil.rmtree(".git")
    with pytest.raises(
        PatchlensError, match="is not in a Git repository, which DVC needs; run `git"
    ):
        repro.run([], jobs=1, force=False)
