"""What all tests share: the repository, and a miniature of it that `dvc repro` runs through."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from fileserver import Site, serving

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
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A real HTTP server on the loopback, with no proxy before it; see `fileserver`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as served:
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


def shrink(params: Path) -> None:
    """Make the default so small that every stage takes seconds; nothing else changes."""
    content = yaml.safe_load(params.read_text(encoding="utf-8"))
    content["datasets"]["minicity"] |= {"stills": 10}
    content["datasets"]["minicity_video"] |= {"videos": 1}
    content["datasets"]["minicity"]["support"] |= {"images": 2, "seeds": [0, 1]}
    small = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    random = {"source": "untrained", "arch": "vit_tiny_patch16_224", "arch_args": small, "seed": 0}
    content["models"] = {"random": random, "pixels": content["models"]["pixels"]}
    content["features"]["layer_sweep"] = [-2]
    content["prune"] |= {"random_draws": 1, "choices": [0.1, 0.26, 0.5]}
    content["segmentation"] |= {"shots": 2, "shots_sweep": [1, 2]}
    content["segmentation"]["linear"]["c"] = [0.1, 1.0]
    content["identification"] |= {"images": 2, "patches": 8, "granularities": [1, 2]}
    content["identification"]["degradations"] = {"blur": [2], "shift": [4]}
    content["tracking"] |= {"deltas": [1, 5], "thresholds": [0.0, 0.9]}
    content["uncertainty"]["resamples"] = 100
    params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository with a small params.yaml, reproduced and committed."""
    folder = tmp_path_factory.mktemp("miniature") / "repository"
    folder.mkdir()
    copy_of_repository(folder)
    shrink(folder / "params.yaml")
    commit(folder, "miniature")
    run("dvc", "repro", cwd=folder, OMP_NUM_THREADS="1")
    run("python", "scripts/machine.py", cwd=folder)
    commit(folder, "results")
    return folder
