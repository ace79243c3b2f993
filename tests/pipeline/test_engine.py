"""Small graphs under the real DVC, executed by workers of this process."""

import json
import re
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from patchlens.errors import PatchlensError
from patchlens.pipeline import engine, repro
from patchlens.pipeline.workers import Job

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
MODELS = {"a": {"seed": 1}, "b": {"seed": 1}}
STAGES = {
    "code": {"cmd": "make code", "deps": ["params.yaml"], "outs": ["data/code"]},
    "index": {
        "matrix": {"set": ["one"]},
        "cmd": "make index ${item.set}",
        "deps": ["data/code"],
        "outs": ["data/index"],
    },
    "extract": {
        "matrix": {"model": "${models}", "set": ["one"]},
        "cmd": "make extract ${item.model}",
        "params": ["models.${item.model}"],
        "deps": ["data/index"],
        "outs": ["data/features/one/${item.model}"],
    },
    "segmentation": {
        "matrix": {"model": "${models}", "set": ["one"]},
        "cmd": "make segmentation ${item.model}",
        "params": ["k", "models.${item.model}"],
        "deps": ["data/features/one/${item.model}"],
        "metrics": [{"metrics/${item.model}.json": {"cache": False}}],
    },
    "tables": {"cmd": "make tables", "deps": ["metrics/a.json", "metrics/b.json"], "outs": ["all"]},
}
OUTS = {"code": "data/code", "index": "data/index", "tables": "all"}
NAMES = ["code", "index@one", "extract@a-one", "extract@b-one"]
NAMES += ["segmentation@a-one", "segmentation@b-one", "tables"]


class Here:
    """Workers of this process: a job is done as soon as it is waited for.

    Attributes:
        ran: the names of all jobs, as they began.
        most: how many were at work at once.
    """

    def __init__(self, jobs: int = 2, broken: str = "", dumb: str = "") -> None:
        self.ran: list[str] = []
        self.most, self.closed = 0, False
        self._jobs, self._broken, self._dumb = jobs, broken, dumb
        self._open: list[Job] = []

    def free(self, job: Job) -> bool:
        return len(self._open) < self._jobs

    def start(self, job: Job) -> None:
        self.ran.append(job.name)
        self._open.append(job)
        self.most = max(self.most, len(self._open))

    def ended(self) -> tuple[str, int]:
        job = self._open.pop(0)
        if job.name == self._broken:
            return job.name, 3
        if job.name != self._dumb:
            write(job.command)
        return job.name, 0

    def close(self) -> None:
        self.closed = True


def write(command: str) -> None:
    """What the stage of a command writes: folders of features, else one file."""
    _, kind, *of = command.split()
    if kind == "extract":
        folder = Path(f"data/features/one/{of[0]}")
        folder.mkdir(parents=True)
        (folder / "query.bin").write_text(f"features of {of[0]}")
        return
    path = Path(OUTS.get(kind) or f"metrics/{of[0]}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    used = {} if kind in ("code", "index") else {"k": settings()["k"]}
    path.write_text(json.dumps({"by": command} | used))


def settings(**changed: object) -> dict:
    path = Path("params.yaml")
    content = yaml.safe_load(path.read_text()) | changed
    if changed:
        path.write_text(yaml.safe_dump(content))
    return content


@pytest.fixture
def graph(here: Path) -> Path:
    (here / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    (here / "params.yaml").write_text(yaml.safe_dump({"models": MODELS, "k": 10}))
    Repo.init(no_scm=True).close()
    return here


def lock() -> dict:
    return yaml.safe_load(Path("dvc.lock").read_text())["stages"]


def run_cache() -> dict[str, str]:
    root = Path(".dvc/cache/runs")
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_every_stage_runs_once_and_after_what_it_needs(graph: Path) -> None:
    workers = Here()
    run = engine.run([], workers)
    assert sorted(workers.ran) == sorted(run.executed) == sorted(NAMES)
    assert [name.partition("@")[0] for name in workers.ran] == (
        ["code", "index", *["extract"] * 2, *["segmentation"] * 2, "tables"]
    )
    assert (workers.most, workers.closed, run.total) == (2, True, len(NAMES))
    again = engine.run([], workers := Here())
    assert (workers.ran, again.executed, again.failed) == ([], [], {})


def test_lock_and_run_cache_are_those_of_dvc_repro(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run([], Here())
    found, text = (lock(), run_cache()), Path("dvc.lock").read_text()
    assert len(found[1]) == 7
    Path("dvc.lock").unlink()
    for folder in (".dvc/cache", "data", "metrics"):
        for path in sorted(Path(folder).rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
    Path("all").unlink()
    monkeypatch.setattr(
        "dvc.stage.run.cmd_run", lambda stage, dry=False, run_env=None: write(stage.cmd)
    )
    assert len(Repo().reproduce()) == len(NAMES)
    assert (lock(), run_cache()) == found
    assert sorted(Path("dvc.lock").read_text().splitlines()) == sorted(text.splitlines())


def test_only_what_a_change_reaches_runs_again(graph: Path) -> None:
    engine.run([], Here())
    settings(k=3)
    engine.run([], workers := Here())
    assert workers.ran == ["code", *sorted(NAMES[4:6]), "tables"]
    assert all(entry["params"]["params.yaml"] == {"k": 3, "models." + name[13]: {"seed": 1}}
               for name, entry in lock().items() if name.startswith("seg"))  # fmt: skip
    Path("metrics/b.json").unlink()
    engine.run([], workers := Here())
    assert workers.ran == []  # the run cache had it
    assert json.loads(Path("metrics/b.json").read_text())["k"] == 3


def test_what_ran_before_is_taken_from_the_cache(graph: Path) -> None:
    engine.run([], Here())
    before = lock()
    settings(k=3)
    engine.run([], Here())
    settings(k=10)
    run = engine.run([], workers := Here())
    assert workers.ran == []
    assert sorted(run.restored) == ["code", *NAMES[4:]]
    assert lock() == before
    assert json.loads(Path("metrics/a.json").read_text())["k"] == 10


def test_forced_every_stage_runs_once(graph: Path) -> None:
    engine.run([], Here())
    before = lock()
    engine.run([], workers := Here(), force=True)
    assert sorted(workers.ran) == sorted(NAMES)
    assert lock() == before


@pytest.mark.parametrize(
    ("targets", "ran"),
    [(["segmentation@a-one"], [*NAMES[:3], NAMES[4]]), (["extract"], NAMES[:4])],
)
def test_targets_run_with_what_they_need(graph: Path, targets: list[str], ran: list[str]) -> None:
    run = engine.run(targets, Here())
    assert sorted(run.executed) == sorted(ran)
    assert run.total == len(ran)


def test_a_target_that_is_none_is_one_line(graph: Path) -> None:
    with pytest.raises(PatchlensError, match="'nope'"):
        engine.run(["nope"], Here())


@pytest.mark.parametrize("way", ["broken", "dumb"])
def test_a_stage_that_fails_stops_what_needs_it_and_nothing_else(
    graph: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = engine.run([], workers := Here(**{way: "extract@a-one"}))
    assert list(run.failed) == ["extract@a-one"]
    says = {"broken": "ended with exit code 3", "dumb": "output .* does not exist"}[way]
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    assert re.search(says, run.failed["extract@a-one"])
    assert "segmentation@b-one" in workers.ran
    assert sorted(run.left) == ["segmentation@a-one", "tables"]
    again = engine.run([], Here())
    assert sorted(again.executed) == ["extract@a-one", "segmentation@a-one", "tables"]


def test_what_was_done_before_an_interruption_is_kept(graph: Path) -> None:
    class Interrupted(Here):
        def ended(self) -> tuple[str, int]:
            if "segmentation@b-one" in self.ran:
                raise KeyboardInterrupt
            return super().ended()

    with pytest.raises(KeyboardInterrupt):
        engine.run([], workers := Interrupted())
    assert workers.closed
    assert set(NAMES[:3]) <= set(lock())
    assert set(engine.run([], Here()).executed) <= {*NAMES[4:], "extract@b-one"}


def test_another_process_of_dvc_is_named_in_one_line(graph: Path) -> None:
    with Repo().lock, pytest.raises(PatchlensError, match="another process of DVC works"):
        engine.run([], Here())


def test_the_longest_chain_begins_first(here: Path) -> None:
    needs = {"a": [], "b": [], "b1": ["b"], "b2": ["b1"], "c": [], "c1": ["c"]}
    stages = {name: {"cmd": "x", "outs": [name], "deps": of} for name, of in needs.items()}
    (here / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    Repo.init(no_scm=True).close()

    class One(Here):
        def ended(self) -> tuple[str, int]:
            job = self._open.pop(0)
            Path(job.name).write_text(job.name)
            return job.name, 0

    engine.run([], workers := One(jobs=1))
    assert workers.ran == ["b", "b1", "c", "a", "b2", "c1"]


def dropping(most: int, **options: str) -> Here:
    workers = Here(**options)
    engine.run([], workers, holding=lambda graph: repro.Dropping(graph, most))
    return workers


def features() -> list[str]:
    return sorted(path.parent.name for path in Path("data/features").rglob("*.bin"))


def test_features_are_dropped_after_the_tasks_of_a_model(graph: Path) -> None:
    workers = dropping(1)
    assert sorted(workers.ran) == sorted(NAMES)
    order = [n for n in workers.ran if "-" in n]
    assert [n[-5] for n in order] in (list("aabb"), list("bbaa"))  # one model after the other
    assert features() == []
    stored = [p.read_text() for p in Path(".dvc/cache/files").rglob("*") if p.is_file()]
    assert not any("features" in text for text in stored)
    assert dropping(1).ran == []  # features that are gone are no change
    settings(k=3)
    assert sorted(dropping(2).ran) == sorted(["code", *NAMES[2:]])  # they are made again
    assert features() == []


def test_a_model_that_has_not_changed_is_left_alone(graph: Path) -> None:
    dropping(1)
    settings(models=MODELS | {"a": {"seed": 2}})
    ran = dropping(1).ran
    assert "extract@a-one" in ran
    assert not any(name.endswith("@b-one") for name in ran)


def test_features_are_kept_where_a_task_failed_or_nobody_asks(graph: Path) -> None:
    dropping(1, broken="segmentation@b-one")
    assert features() == ["b"]
    engine.run([], Here())
    assert features() == ["a", "b"]
