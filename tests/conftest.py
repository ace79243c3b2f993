"""What all tests share: the repository, and a miniature of it that `dvc repro` runs through."""

import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from check_small import INPUTS, THREADS, shrink
from fileserver import Site
from patchlens.__main__ import start_sooner

start_sooner()
ROOT = Path(__file__).parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pipeline's tests first: they take minutes, and beside them runs all the rest."""
    items.sort(key=lambda item: ROOT / "tests/pipeline" not in item.path.parents)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the test: an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def soon() -> Iterator[None]:
    """What waits for ever fails."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(20)
    yield
    signal.alarm(0)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A real HTTP server on the loopback, with no proxy before it; see `fileserver`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Site() as served:
        yield served


def run(*command: str, cwd: Path, check: bool = True, **env: str) -> subprocess.CompletedProcess:
    """Run a command with this interpreter's scripts first on PATH and no outside Git state."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t.t"}
    names |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t.t", "DVC_NO_ANALYTICS": "1"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"PATH": path, "PYTHONPATH": str(cwd / "src")} | names | env
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def script(name: str, *arguments: str, of: Path = ROOT, cwd: Path = ROOT) -> int | str:
    """Run a file of scripts/ in this process, as another imports for seconds; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(str(of / "scripts" / name), run_name="__main__")
        except SystemExit as end:
            return end.code or 0
    return 0


def commit(folder: Path, message: str) -> None:
    """Commit everything in `folder`."""
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-qm", message, cwd=folder)


def copy_of_repository(target: Path) -> None:
    """A Git repository with the files that Git tracks or would track here, committed."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith("metrics/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "dvc.lock").unlink(missing_ok=True)
    run("git", "init", "-q", cwd=target)


@pytest.fixture(scope="session")
def once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], None]], Path]:
    """`once(name, make)`: a folder that the first process of pytest-xdist makes for all."""
    own = tmp_path_factory.getbasetemp()

    def made(name: str, make: Callable[[Path], None]) -> Path:
        whole = (own if worker_id == "master" else own.parent) / name
        with FileLock(f"{whole}.lock"):
            if not whole.is_dir():
                partial = tmp_path_factory.mktemp("partial")
                with pytest.MonkeyPatch.context() as patch:
                    patch.chdir(partial)
                    make(partial)
                partial.rename(whole)
        return whole

    return made


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """Tests share renderings with each other, and not with the user."""
    base = tmp_path_factory.getbasetemp()
    os.environ["PATCHLENS_CACHE"] = str((base if worker_id == "master" else base.parent) / "cache")


@pytest.fixture(scope="session")
def rendered(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The images of the small params.yaml, as its stage render makes them; they take a minute."""

    def make(folder: Path) -> None:
        from patchlens.cli import app

        for name in INPUTS:
            shutil.copy(ROOT / name, folder)
        shrink(folder / "params.yaml")
        for command in ("code", "render minicity", "render minicity_video"):
            app(["--quiet", *command.split()], standalone_mode=False)

    return once("rendered", make)


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory, rendered: Path) -> Path:
    """A clone of the repository with a small params.yaml, reproduced and committed.

    One process runs its stages, as 35 would mostly start Python; `dvc commit` then records what
    each read and wrote. That `dvc repro` makes the same to the bit is a slow test.
    """
    folder = tmp_path_factory.mktemp("miniature") / "repository"
    folder.mkdir()
    copy_of_repository(folder)
    shrink(folder / "params.yaml")
    commit(folder, "miniature")
    one = dict.fromkeys(THREADS, "1")
    stages = ("scripts/check_small.py", "--stages", str(folder / "src"), str(rendered))
    run("python", *stages, cwd=folder, **one)
    run("dvc", "commit", "--force", "--quiet", "dvc.yaml", cwd=folder)
    run("python", "scripts/machine.py", cwd=folder)
    commit(folder, "results")
    return folder
