"""Processes as workers, and how `patchlens repro` is called."""

import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from conftest import run
from patchlens import progress
from patchlens.cli import app
from patchlens.pipeline import engine, repro, workers
from patchlens.pipeline.workers import Job, Local
from patchlens.processes import cores

SHARE = "echo $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS $MKL_NUM_THREADS $DVC_STAGE > threads"


@pytest.fixture
def pool(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    """Two workers; nothing is imported for them before."""
    monkeypatch.setattr(workers, "WARM", "json")
    two = Local(2)
    yield two
    two.close()


def results(pool: Local, *jobs: Job) -> dict[str, int]:
    for job in jobs:
        assert pool.free(job)
        pool.start(job)
    return dict(pool.ended() for _ in jobs)


def test_a_command_of_ours_and_one_for_a_shell_give_their_exit_codes(pool: Local) -> None:
    fine, wrong = Job("fine", "patchlens --help"), Job("wrong", "patchlens code --module nope")
    assert results(pool, fine, wrong) == {"fine": 0, "wrong": 2}
    shell = Job("shell", "cat; exit 7")  # there is nothing to read
    looks = Job("looks", "patchlens datasets nope", looks=True)
    assert results(pool, shell, looks) == {"shell": 7, "looks": 2}


def test_no_more_jobs_than_asked_for_run_at_once(pool: Local) -> None:
    jobs = [Job(name, "sleep 60") for name in "ab"]
    for job in jobs:
        pool.start(job)
    assert not pool.free(Job("c", "true"))
    pool.close()
    assert pool.free(jobs[0])


def test_the_cores_are_split_whatever_a_shell_says(
    pool: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    assert results(pool, Job("index@one", SHARE)) == {"index@one": 0}
    share = str(max(1, cores() // 2))
    assert Path("threads").read_text().split() == [*[share] * 3, "index@one"]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"  # of this process


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, ""), (logging.WARNING, "1")])
def test_stages_are_as_quiet_as_the_command(
    level: int, shown: str, pool: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.log, "level", level)
    monkeypatch.setattr(progress.log, "_cache", {})
    assert results(pool, Job("a", f"echo ${progress.QUIET} > quiet")) == {"a": 0}
    assert Path("quiet").read_text().strip() == shown
    monkeypatch.setenv(progress.QUIET, "1")
    progress.set_up(quiet=False)
    assert progress.silent()


def test_a_worker_that_is_killed_says_so(pool: Local) -> None:
    [(name, code)] = results(pool, Job("a", "kill -9 $$")).items()
    assert (name, code) == ("a", -signal.SIGKILL)
    assert engine._exit(code) == "killed, as the kernel does when memory runs out"
    assert engine._exit(-signal.SIGTERM) == "ended by SIGTERM"


def test_what_a_worker_has_started_ends_with_it(pool: Local) -> None:
    pool.start(Job("a", "sleep 60 & echo $! > child; wait"))
    deadline = time.monotonic() + 30
    while not (Path("child").exists() and Path("child").read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = int(Path("child").read_text())
    pool.close()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_what_is_imported_before_starts_no_thread(root: Path) -> None:
    """A fork keeps one thread, and locks that others held stay locked; Arrow's has an answer."""
    said = "import pathlib, patchlens.cli.warm\n"
    said += "for at in pathlib.Path('/proc/self/task').iterdir(): print((at / 'comm').read_text())"
    env = dict.fromkeys(workers.THREADS, "1") | {"PYTHONPATH": str(root / "src")}
    main, *others = run("python", "-c", said, cwd=root, **env).stdout.split()
    assert main == "python"
    assert set(others) <= {"jemalloc_bg_thd"}


def test_dropping_features_is_for_a_run_of_all_stages(here: Path) -> None:
    done = CliRunner().invoke(app, ["repro", "--drop-features", "tables"])
    assert done.exit_code == 2
    assert done.stderr == "Error: --drop-features: a run of all stages only; name no stages\n"


def test_the_stages_of_a_model_are_those_of_the_graph(root: Path) -> None:
    """`repro.OF_DATASET` are the stages of a dataset alone: every other one has a model."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    of = {name: set(stage["matrix"]) for name, stage in stages.items() if "matrix" in stage}
    assert {name for name, keys in of.items() if keys == {"dataset"}} == set(repro.OF_DATASET)
    assert all(
        next(iter(stages[name]["matrix"])) == "model" for name in {*of} - {*repro.OF_DATASET}
    )


@pytest.mark.parametrize(
    ("variables", "more"),
    [
        ([], []),
        (["FORCE=1"], ["--force"]),
        (["FORCE=0"], []),
        (["ENGINE=ray"], ["--engine", "ray"]),
    ],
)
def test_make_repro_passes_on_what_it_is_told(
    root: Path, variables: list[str], more: list[str]
) -> None:
    said = run("make", "--dry-run", "repro", "JOBS=3", *variables, cwd=root).stdout
    [line] = [line.split() for line in said.splitlines() if line.startswith("patchlens")]
    assert line == ["patchlens", "repro", "--jobs", "3", *more]


@pytest.mark.parametrize("name", ["x;touch X;", "m$(touch X)"])
@pytest.mark.parametrize("section", ["models", "datasets"])
def test_a_name_that_a_shell_would_run_is_refused_before_dvc_is_asked_anything(
    here: Path, root: Path, section: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    content[section] = {name: next(iter(content[section].values()))}
    (here / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    shutil.copy(root / "dvc.yaml", here)
    monkeypatch.setattr("patchlens.pipeline.engine.Repo", None)
    done = CliRunner().invoke(app, ["repro"])
    assert done.exit_code == 2
    assert done.stderr == (
        f"Error: params.yaml: {section}: {name!r} is not allowed; use a-z, 0-9 and _ only\n"
    )
