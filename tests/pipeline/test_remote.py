"""Stages on the hosts of a Ray cluster: what each takes, what a lost worker costs, DVC's files."""

import json
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from dvc.repo import Repo
from typer.testing import CliRunner

from patchlens import cluster
from patchlens.cli import app
from patchlens.errors import MachineError, PatchlensError
from patchlens.pipeline import engine, remote
from patchlens.pipeline.remote import Remote
from patchlens.pipeline.workers import THREADS, Job
from pipeline.test_engine import lock, run_cache

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
CHAIN = {  # each stage needs the one before; `c` of two is the last
    "a": {"cmd": "echo $DVC_STAGE > a.txt", "params": ["k"], "outs": ["a.txt"]},
    "b": {
        "matrix": {"of": ["x", "y"]},
        "cmd": "mkdir b_${item.of} && cp a.txt b_${item.of}/one",
        "deps": ["a.txt"],
        "outs": ["b_${item.of}"],
    },
    "c": {
        "cmd": "cat b_x/one b_y/one > c.json",
        "deps": ["b_x", "b_y"],
        "metrics": [{"c.json": {"cache": False}}],
    },
}


def host(cpus: float, gpus: float = 0, memory: float = 8e9, alive: bool = True) -> dict:
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus, "memory": memory}}


class Fake:
    """Ray without processes: what is asked of it is kept, and ends in the order it began."""

    exceptions = SimpleNamespace(
        RayError=type("RayError", (Exception,), {}),
        RayTaskError=type("RayTaskError", (Exception,), {}),
    )

    def __init__(self, *hosts: dict) -> None:
        self.hosts, self.asked, self.cancelled = list(hosts), [], []
        self.results: dict[str, object] = {}

    def nodes(self) -> list[dict]:
        return self.hosts

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="127.0.0.1:1")

    def remote(self, function: object) -> SimpleNamespace:
        assert function is remote.execute

        def options(**given: object) -> SimpleNamespace:
            self.asked.append(given)
            return SimpleNamespace(remote=partial(self.asked_for, given["name"]))

        return SimpleNamespace(options=options)

    def asked_for(self, name: str, *_: object) -> str:
        return name

    def wait(self, refs: list, timeout: float, num_returns: int = 1) -> tuple[list, list]:
        return refs[:num_returns], refs[num_returns:]

    def get(self, ref: str) -> object:
        found = self.results.get(ref, 0)
        if isinstance(found, Exception):
            raise found
        return found

    def cancel(self, ref: str, force: bool) -> None:
        self.cancelled.append((ref, force))

    def shutdown(self) -> None:
        self.hosts = []


class Working(Fake):
    """Ray whose workers are this process."""

    def asked_for(self, name: str, *given: object) -> str:
        self.results[name] = remote.execute(*given)
        return name


def workers(
    monkeypatch: pytest.MonkeyPatch,
    *hosts: dict,
    jobs: int = 2,
    device: str = "auto",
    **memory: int,
) -> tuple[Remote, Fake]:
    fake = Fake(*hosts)
    monkeypatch.setattr(cluster, "connect", lambda address, **local: fake)
    return Remote(jobs, device, memory), fake


GPU = Job("of_gpu", "x", params=frozenset({"device", "k"}))
CPU = Job("of_cpu", "x")


@pytest.mark.parametrize(
    ("hosts", "device", "job", "takes"),
    [
        ([host(16)], "auto", CPU, (8, 0)),
        ([host(16)], "auto", GPU, (8, 0)),
        ([host(16, gpus=8)], "auto", GPU, (2, 1)),  # a stage for each GPU, whatever JOBS is
        ([host(16, gpus=8)], "auto", CPU, (2, 0)),
        ([host(16, gpus=8)], "cpu", GPU, (2, 0)),
        ([host(64), host(8, gpus=1)], "cuda", GPU, (4, 1)),  # of hosts that have one
        ([host(64), host(8, gpus=1)], "auto", CPU, (4, 0)),
        ([host(1), host(1)], "auto", CPU, (1, 0)),
        ([host(16), host(2, alive=False)], "auto", CPU, (8, 0)),
    ],
)
def test_what_a_stage_takes(
    hosts: list, device: str, job: Job, takes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = workers(monkeypatch, *hosts, device=device)[0].share(job)
    assert (found["num_cpus"], found["num_gpus"]) == takes


def test_memory_is_that_of_the_plan_and_at_most_that_of_a_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = host(8, memory=6e9), host(8, gpus=1, memory=4e9)
    pool, _ = workers(monkeypatch, *hosts, of_cpu=5_000_000_000, of_gpu=5_000_000_000)
    assert pool.share(CPU)["memory"] == 5_000_000_000
    assert pool.share(GPU)["memory"] == 4_000_000_000
    assert pool.share(Job("other", "x"))["memory"] == 0


@pytest.mark.parametrize(
    ("hosts", "why"), [([host(4)], "has a GPU"), ([host(4, gpus=1, alive=False)], "has a GPU")]
)
def test_a_stage_that_no_host_may_run_is_one_line(
    hosts: list, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, _ = workers(monkeypatch, *hosts, device="cuda")
    with pytest.raises(PatchlensError, match=f"of_gpu: no host of the cluster {why}; start one"):
        pool.free(GPU)


def test_stages_begin_while_the_hosts_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, fake = workers(monkeypatch, host(4, gpus=1), jobs=4)
    pool.start(GPU)
    assert not pool.free(Job("next", "x", params=frozenset({"device"})))
    for name in "abc":
        assert pool.free(CPU)
        pool.start(Job(name, "x"))
    assert not pool.free(CPU)
    assert pool.ended() == ("of_gpu", 0)
    assert pool.free(CPU)
    assert [asked["name"] for asked in fake.asked] == ["of_gpu", "a", "b", "c"]
    assert {asked["max_retries"] for asked in fake.asked} == {remote.RETRIES}
    pool.close()
    assert fake.cancelled == [("a", False), ("b", False), ("c", False)]


def test_a_stage_that_waits_lets_others_that_fit_pass(here: Path) -> None:
    stages = {name: {"cmd": "x", "outs": [name]} for name in ("gpu_1", "gpu_2", "other")}
    (here / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    Repo.init(no_scm=True).close()
    began: list[str] = []

    class OneGpu:
        def __init__(self) -> None:
            self.open: list[str] = []

        def free(self, job: Job) -> bool:
            return not (job.name.startswith("gpu") and any("gpu" in name for name in self.open))

        def start(self, job: Job) -> None:
            began.append(job.name)
            self.open.append(job.name)

        def ended(self) -> tuple[str, int]:
            name = self.open.pop(0)
            Path(name).write_text(name)
            return name, 0

        def close(self) -> None:
            pass

    assert len(engine.run([], OneGpu()).executed) == 3
    assert began == ["gpu_1", "other", "gpu_2"]


def test_a_worker_that_is_lost_too_often_fails_its_stage_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool, fake = workers(monkeypatch, host(4))
    fake.results["of_cpu"] = fake.exceptions.RayError("the node died\nand more")
    pool.start(CPU)
    assert pool.ended() == ("of_cpu", remote.LOST)
    assert caplog.messages == ["of_cpu: its worker was lost, 3 times: the node died"]


def test_a_missing_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PatchlensError) as found:
        cluster.connect(None)
    assert str(found.value) == (
        "--engine ray: the package ray is not installed; pip install 'patchlens[cluster]'"
    )


def test_an_engine_that_there_is_not_is_refused(here: Path) -> None:
    done = CliRunner().invoke(app, ["repro", "--engine", "slurm"])
    assert done.exit_code == 2
    assert "'slurm'" in done.stderr


def executed(job: Job, folder: Path, ours: str | None = None) -> int:
    share = {cluster.SHARE: json.dumps({"num_cpus": 3})}
    return remote.execute(job, str(folder), ours or remote.code(), share)


@pytest.fixture
def shared(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace; tests of `execute` must come back from its chdir."""
    (here / ".work/locks").mkdir(parents=True)
    return here


def test_a_worker_runs_a_stage_where_nothing_is_left_of_an_earlier_attempt(shared: Path) -> None:
    (shared / "folder").mkdir()
    (shared / "folder/half").touch()
    (shared / "file").write_text("half")
    variables = " ".join(f"${name}" for name in [*THREADS, "DVC_STAGE", "PATCHLENS_REPRO"])
    outs = tuple(str(shared / name) for name in ("folder", "file", "none"))
    job = Job("one@x", f"test ! -e folder && test ! -e file && echo {variables} > said", outs=outs)
    assert executed(job, shared) == 0
    assert (shared / "said").read_text().split() == ["3"] * 3 + ["one@x", str(os.getpid())]
    assert executed(Job("two", "exit 7"), shared) == 7


@pytest.mark.parametrize(
    ("folder", "ours", "says"),
    [("elsewhere", None, "must see the workspace at the same path"), ("", "0", "differs")],
)
def test_a_host_that_would_compute_something_else_is_one_line(
    shared: Path, folder: str, ours: str | None, says: str
) -> None:
    with pytest.raises(MachineError, match=says):
        executed(Job("one", "touch ran"), shared / folder, ours)
    assert not (shared / "ran").exists()


def chain(folder: Path, **changed: dict) -> None:
    stages = {name: stage | changed.get(name, {}) for name, stage in CHAIN.items()}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (folder / "params.yaml").write_text("k: 1\n")
    (folder / ".work/locks").mkdir(parents=True)
    Repo.init(no_scm=True).close()


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_lock_and_run_cache_are_those_of_dvc_repro(
    here: Path, real: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain(here)
    if not real:
        monkeypatch.setattr(cluster, "connect", lambda address, **local: Working(host(2)))
    run = engine.run([], Remote(2, "cpu", {}, num_cpus=2, object_store_memory=80_000_000))
    assert sorted(run.executed) == ["a", "b@x", "b@y", "c"]
    found = lock(), run_cache()
    assert len(found[1]) == 4
    assert (
        engine.run([], None if run.failed else SimpleNamespace(close=lambda: None)).executed == []
    )
    Path("dvc.lock").unlink()
    for path in ("a.txt", "b_x/one", "b_y/one", "c.json"):
        Path(path).unlink()
    Path("b_x").rmdir()
    Path("b_y").rmdir()
    for path in sorted(Path(".dvc/cache").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert len(Repo().reproduce()) == 4
    assert (lock(), run_cache()) == found


def test_a_cluster_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The node\ntimed out")

    monkeypatch.setattr(cluster, "ray", lambda: SimpleNamespace(init=init))
    with pytest.raises(MachineError) as found:
        cluster.connect("10.0.0.1:6379")
    assert str(found.value) == (
        "RAY_ADDRESS: 10.0.0.1:6379: no cluster answers: The node timed out"
    )


HALF = "mkdir b_x && echo half > b_x/one && if test -e begun; then cp a.txt b_x/one; else "
HALF += "echo $PPID $$ > begun && sleep 60; fi"


@pytest.mark.slow
def test_the_stage_of_a_lost_worker_runs_again(here: Path) -> None:
    of_b = CHAIN["b"] | {"cmd": HALF, "outs": ["b_x"]}
    chain(here, b={key: of_b[key] for key in ("cmd", "deps", "outs")} | {"matrix": {"of": ["x"]}},
          c={"cmd": "cp b_x/one c.json", "deps": ["b_x"]})  # fmt: skip
    ended: list[int] = []

    def kill() -> None:
        while not (Path("begun").exists() and Path("begun").read_text().strip()):
            time.sleep(0.05)
        worker, stage = map(int, Path("begun").read_text().split())
        os.kill(worker, signal.SIGKILL)
        while psutil.pid_exists(stage) and psutil.Process(stage).status() != "zombie":
            time.sleep(0.05)
        ended.append(stage)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    run = engine.run([], Remote(2, "cpu", {}, num_cpus=2, object_store_memory=80_000_000))
    thread.join(10)
    assert ended  # its process ended with the worker
    assert sorted(run.executed) == ["a", "b@x", "c"]
    assert Path("c.json").read_text() == Path("a.txt").read_text()


def test_a_cluster_of_this_machine_listens_on_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    for name in cluster.LOCAL:
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(cluster, "ray", lambda: SimpleNamespace(init=given.update))
    cluster.connect(None, num_cpus=2)
    assert (given["_node_ip_address"], given["include_dashboard"]) == ("127.0.0.1", False)
    assert (given["address"], given["num_cpus"]) == ("local", 2)
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"  # else all ports are open
