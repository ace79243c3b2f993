"""Work that is dealt to processes of a cluster: all of it is done once, and equal to the bit."""

import itertools
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.lab import extractor, header, helping, ids, picture
from patchlens import cluster
from patchlens.cluster import Helpers
from patchlens.errors import DataError
from patchlens.features import extract
from patchlens.features.extract import ImageSource
from patchlens.tasks import bank as banks
from patchlens.tasks import dealt, knn

DISTANCES = ["cosine", "dot", "l2"]


class Lost(Exception):
    """What Ray raises where an actor has died."""


class Failed(Exception):
    """What Ray raises where the function of an actor has failed."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class FakeRay:
    """Actors in threads of this process, `room` of them; the first may be lost at its first item.

    Each begins when all have an item; then `begun` is set.
    """

    exceptions = SimpleNamespace(RayTaskError=Failed)

    def __init__(self, room: int, losing: bool = False) -> None:
        self.room, self.losing = room, losing
        self.begun = threading.Event()
        self.all = threading.Barrier(max(1, room), action=self.begun.set)
        if not room:
            self.begun.set()
        self.made: list[Any] = []
        self.killed: list[Any] = []

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 3.0 * (self.room - len(self.made)), "memory": 1e9}

    def remote(self, kind: type) -> SimpleNamespace:
        assert kind is cluster._Helper

        def made(folder: str, threads: int, make: Callable[[], Callable]) -> SimpleNamespace:
            assert (folder, threads) == (os.getcwd(), 3)
            work, count, first = pickle.loads(pickle.dumps(make))(), [], not self.made

            def do(item: object) -> object:
                count.append(item)
                if len(count) == 1:
                    self.all.wait(20)
                    if self.losing and first:
                        raise Lost
                try:
                    return work(pickle.loads(pickle.dumps(item)))
                except DataError as error:
                    raise Failed(error) from error

            self.made.append(
                SimpleNamespace(
                    ready=SimpleNamespace(remote=lambda: lambda: None),
                    do=SimpleNamespace(remote=lambda item: lambda: do(item)),
                    done=count,
                )
            )
            return self.made[-1]

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=made))

    def get(self, ask: Callable[[], object]) -> object:
        return ask()

    def kill(self, actor: object) -> None:
        self.killed.append(actor)


def squaring() -> Callable[[int], int]:
    return square


def square(number: int) -> int:
    if number < 0:
        raise DataError(f"{number} is negative")
    return number * number


def joined(monkeypatch: pytest.MonkeyPatch, fake: FakeRay) -> Helpers[int, int]:
    monkeypatch.setattr(cluster, "joined", lambda: fake)
    monkeypatch.setattr(cluster, "ray", lambda: fake)
    monkeypatch.setenv(cluster.SHARE, json.dumps({"num_cpus": 3, "num_gpus": 0, "memory": 10}))
    return Helpers(squaring)


@pytest.mark.parametrize("losing", [False, True])
@pytest.mark.parametrize("room", [0, 1, 3])
def test_every_item_is_done_once_also_where_a_helper_is_lost(
    room: int, losing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers = joined(monkeypatch, fake := FakeRay(room, losing))

    def here(number: int) -> int:
        assert fake.begun.wait(20)
        return square(number)

    done = list(helpers.deal(iter(range(9)), here))
    assert sorted(done) == [(number, number * number) for number in range(9)]
    assert len(fake.made) == room
    assert all(actor.done for actor in fake.made)
    assert len(list(helpers.deal(range(5), here=square))) == 5  # by those that are there
    assert len(fake.made) == room
    left = room - (losing and room > 0)
    helpers.close()
    assert len(fake.killed) == left


def test_what_is_wrong_in_a_helper_is_said_as_it_would_be_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helpers = joined(monkeypatch, fake := FakeRay(1))
    with pytest.raises(DataError, match="-1 is negative"):
        list(helpers.deal([1, *[-1] * 8], here=lambda number: fake.begun.wait(20) and number))


def test_without_a_cluster_this_process_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cluster.ADDRESS, raising=False)
    monkeypatch.setattr(cluster, "ray", None)
    assert dict(Helpers(squaring).deal([2, 3], here=square)) == {2: 4, 3: 9}


def test_ray_is_imported_in_one_place(root: Path) -> None:
    users = [
        path.relative_to(root).as_posix()
        for path in [*root.glob("src/**/*.py"), *root.glob("scripts/**/*.py")]
        if re.search(r"^\s*(import ray\b|from ray\b)", path.read_text(), re.M)
    ]
    assert users == ["src/patchlens/cluster.py"]


def test_the_script_for_slurm_is_one_of_bash(root: Path) -> None:
    done = subprocess.run(["bash", "-n", "scripts/slurm.sh"], cwd=root, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


class InTurns:
    """Helpers without processes: every other item is done by what `make` gives."""

    def __init__(self, make: Callable[[], Callable]) -> None:
        self._make, self.elsewhere = make, 0

    def deal(self, items: Iterable, here: Callable) -> Iterator[tuple]:
        there = pickle.loads(pickle.dumps(self._make))()
        for item, do in zip(items, itertools.cycle([there, here]), strict=False):
            self.elsewhere += do is there
            yield item, do(pickle.loads(pickle.dumps(item)))

    def close(self) -> None:
        pass


class Put:
    """What is shared, without a cluster."""

    def __init__(self, what: Any) -> None:
        self._what = what

    def get(self) -> Any:
        return self._what


@pytest.mark.parametrize("held", [None, banks.SMALL], ids=["queries", "parts"])
@pytest.mark.parametrize("path", ["faiss", "torch", "nested"])
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_search_that_is_dealt_is_equal_to_the_bit(
    held: int | None, path: str, distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(2 * banks.SMALL + 300, 6)).astype(np.float32).round(1)
    bank[5000:] = bank[: len(bank) - 5000]  # equal ones in several parts
    queries = rng.normal(size=(600, 6)).astype(np.float32).round(1)
    monkeypatch.setattr(banks, "BLOCK", 256)
    options: dict[str, Any] = {"distance": distance, "device": "cpu", "held": held}
    options |= {"torch": path == "torch"}
    if path == "nested":
        options |= {"order": rng.permutation(6), "sizes": [2, 6]}
    alone = knn.bank_of(bank, **options).search(queries, 7)
    made: list[InTurns] = []
    monkeypatch.setattr(dealt, "Helpers", lambda make: made.append(InTurns(make)) or made[-1])
    for name, value in {"share": Put, "Shared": Put, "WORTH": 0}.items():
        monkeypatch.setattr(dealt, name, value)
    monkeypatch.setenv(cluster.ADDRESS, "here")
    found = knn.bank_of(bank, **options).search(queries, 7)
    assert made[0].elsewhere
    assert len(alone) == len(found) == (2 if path == "nested" else 1)
    for one, other in zip(alone, found, strict=True):
        for before, after in zip(one, other, strict=True):
            assert type(before) is type(after)
            np.testing.assert_array_equal(banks.on_host(before), banks.on_host(after))


def test_features_whose_shards_were_dealt_are_equal_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "SHARD", 3)
    names = ids(10)
    run = partial(extractor().run, ImageSource(names, picture), header(names))
    run(tmp_path / "w1", tmp_path / "alone")
    helpers = InTurns(partial(helping, tmp_path / "log", 0))
    assert run(tmp_path / "w2", tmp_path / "dealt", helpers)
    assert helpers.elsewhere == 2
    assert (tmp_path / "alone").read_bytes() == (tmp_path / "dealt").read_bytes()


@pytest.fixture
def two_hosts(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster of two hosts with a core each, both of this machine."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (root / "src", root / "tests"))))
    package = cluster.ray()
    from ray.cluster_utils import Cluster

    one = {"num_cpus": 1, "object_store_memory": 80_000_000}
    hosts = Cluster(initialize_head=True, head_node_args=one | {"include_dashboard": False})
    hosts.add_node(**one)
    yield hosts.address
    package.shutdown()
    hosts.shutdown()


@pytest.mark.slow
def test_shards_are_dealt_to_two_hosts_one_of_which_is_lost(
    two_hosts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "SHARD", 1)
    names = ids(10)
    run = partial(extractor().run, ImageSource(names, picture), header(names))
    run(tmp_path / "w1", tmp_path / "alone")
    share = {"num_cpus": 1, "num_gpus": 0, "memory": 0}
    monkeypatch.setenv(cluster.ADDRESS, two_hosts)
    monkeypatch.setenv(cluster.SHARE, json.dumps(share))
    log = tmp_path / "log"

    def pids() -> list[int]:
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def slow(image_id: str) -> Any:  # until both helpers have begun
        deadline = time.monotonic() + 60
        while len(set(pids())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        return picture(image_id)

    def kill() -> None:
        while len(set(pids())) < 2:
            time.sleep(0.05)
        os.kill(pids()[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    helpers = Helpers(partial(helping, log, 0.3))
    run = partial(extractor().run, ImageSource(names, slow), header(names))
    run(tmp_path / "w2", tmp_path / "dealt", helpers)
    helpers.close()
    assert len(set(pids())) == 2
    assert (tmp_path / "alone").read_bytes() == (tmp_path / "dealt").read_bytes()


SEARCHING = dealt._searching


def searching(log: Path, *given: Any) -> Callable[[Any], Any]:
    """What a helper of a search does; it notes its process with every piece."""
    find = SEARCHING(*given)

    def noted(piece: Any) -> Any:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.3)  # of those that the others can take while one is lost
        return find(piece)

    return noted


@pytest.mark.slow
@pytest.mark.parametrize("held", [None, banks.SMALL], ids=["queries", "parts"])
def test_a_search_is_dealt_to_two_hosts_one_of_which_is_lost(
    held: int | None, two_hosts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(6 * banks.SMALL + 300, 6)).astype(np.float32).round(1)
    queries = rng.normal(size=(600, 6)).astype(np.float32).round(1)
    monkeypatch.setattr(banks, "BLOCK", 64)
    monkeypatch.setattr(dealt, "WORTH", 0)
    options: dict[str, Any] = {"distance": "cosine", "device": "cpu", "held": held}
    [alone] = knn.bank_of(bank, **options).search(queries, 7)
    monkeypatch.setenv(cluster.ADDRESS, two_hosts)
    monkeypatch.setenv(cluster.SHARE, json.dumps({"num_cpus": 1, "num_gpus": 0, "memory": 0}))
    log = tmp_path / "log"
    monkeypatch.setattr(dealt, "_searching", partial(searching, log))
    # This process does the first piece once both helpers have begun, and one of them is gone.
    piece, gone = dealt.Dealt._piece, []

    def late(self: dealt.Dealt, given: Any) -> Any:
        deadline = time.monotonic() + 60
        while len(set(pids())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        if not gone:
            os.kill(pids()[0], signal.SIGKILL)
            gone.append(pids()[0])
        return piece(self, given)

    def pids() -> list[int]:
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    monkeypatch.setattr(dealt.Dealt, "_piece", late)
    [found] = knn.bank_of(bank, **options).search(queries, 7)
    assert len(set(pids())) == 2
    for before, after in zip(alone, found, strict=True):
        np.testing.assert_array_equal(before, after)


PORTS = """
import psutil
from patchlens import cluster

if __name__ == "__main__":
    package = cluster.connect(None, num_cpus=1, object_store_memory=80_000_000)
    assert package.get(package.remote(lambda: 1).remote()) == 1
    mine = psutil.Process()
    for one in (mine, *mine.children(recursive=True)):
        for open_ in one.net_connections("inet"):
            if open_.status == "LISTEN":
                print(one.name(), open_.laddr.ip)
    package.shutdown()
"""


@pytest.mark.slow
def test_every_port_of_a_cluster_of_this_machine_is_on_127_0_0_1(root: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", PORTS]
    done = subprocess.run(command, cwd=root, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found = done.stdout.splitlines()
    assert {"gcs_server", "raylet"} <= {line.split()[0] for line in found}
    assert {line.split()[-1].removeprefix("::ffff:") for line in found} == {"127.0.0.1"}
