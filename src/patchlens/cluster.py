"""Ray, which runs the same functions in processes of this machine and of others.

It is an extra, and imported nowhere else.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar

import threadpoolctl

from patchlens.errors import MachineError, SettingsError
from patchlens.processes import STOPS
from patchlens.progress import log

T = TypeVar("T")
R = TypeVar("R")
RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}  # as Ray names them

ADDRESS = "PATCHLENS_CLUSTER"  # environment of a stage: the cluster that runs it ...
SHARE = "PATCHLENS_SHARE"  # ... and what it has of it, as JSON: num_cpus, num_gpus, memory
# Else Ray sends statistics of its use to its makers, repeats without end what lacked memory, and
# hides lines that several processes print.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_task_oom_retries": "2", "RAY_DEDUP_LOGS": "0"}

# A cluster of one machine: else Ray takes 127.0.0.1 for the address that other hosts reach, and all
# its ports listen there.
LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
_JOINING = threading.Lock()  # several threads may search


def ray() -> ModuleType:
    """The package.

    Raises:
        SettingsError: it is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise SettingsError(
            "--engine ray: the package ray is not installed; pip install 'patchlens[cluster]'"
        ) from None
    return ray


def connect(address: str | None, **of_local: Any) -> ModuleType:
    """Ray, connected to the cluster at this address, or to a new one of this machine alone.

    The latter listens on 127.0.0.1 only, asks for a token, has no dashboard, and ends with this
    process.

    Args:
        address: as `RAY_ADDRESS` has it; `auto` is the cluster that was started on this machine.
        of_local: what a new one has, such as `num_cpus`.

    Raises:
        SettingsError: Ray is not installed.
        MachineError: no cluster answers.
    """
    alone = not address or address == "local"
    if alone:
        os.environ |= LOCAL
    package = ray()
    if alone:
        where: dict[str, Any] = {"address": "local", "_node_ip_address": "127.0.0.1"}
        where |= {"include_dashboard": False} | of_local
    else:
        where = {"address": address}
    main = threading.current_thread() is threading.main_thread()
    before = {signum: signal.getsignal(signum) for signum in STOPS} if main else {}
    try:
        package.init(**where, configure_logging=False, log_to_driver=True)
    except Exception as error:  # of any kind, also Exception itself
        what = f"RAY_ADDRESS: {address}: no cluster answers" if address else "Ray does not start"
        raise MachineError(f"{what}: {' '.join(str(error).split())}") from None
    finally:
        for signum, handler in before.items():  # Ray has its own of SIGTERM
            signal.signal(signum, handler)
    return package


@dataclass(frozen=True)
class Shared:
    """Arrays that go once to each host that asks for them."""

    _ref: Any

    def get(self) -> Any:
        """The arrays; they must not be changed."""
        return ray().get(self._ref)


def share(what: Any) -> Shared:
    """Arrays for other processes of the cluster that runs this stage."""
    package = joined()
    assert package is not None
    return Shared(package.put(what))


def in_cluster() -> bool:
    """Whether a cluster runs this stage."""
    return ADDRESS in os.environ


def joined() -> ModuleType | None:
    """Ray, connected to the cluster that runs this stage; None where none does."""
    if not in_cluster():
        return None
    with _JOINING:
        return ray() if ray().is_initialized() else connect(os.environ[ADDRESS])


class Helpers(Generic[T, R]):
    """Other processes of the cluster that do the work of this one; none where there is no cluster.

    They come where nothing else runs, each with as much of a host as this process. What one of them
    had when it was lost is done again, at the latest by this process itself.

    Args:
        make: gives the function that does an item; called once in each helper, so that it may take
            long. It and the items are pickled.
    """

    def __init__(self, make: Callable[[], Callable[[T], R]]) -> None:
        self._make = make
        self._actors: list[Any] = []

    def deal(self, items: Iterable[T], here: Callable[[T], R]) -> Iterator[tuple[T, R]]:
        """The items with their results, in the order in which they are done.

        Args:
            items: read one at a time, when someone is free.
            here: does an item in this process.
        """
        package = joined()
        if package is None:
            yield from ((item, here(item)) for item in items)
            return
        waiting, nothing = iter(items), object()
        again: list[T] = []  # what a helper had that was lost
        done: list[tuple[T, R]] = []
        wrong: list[BaseException] = []
        busy = 0  # helpers with an item
        changed = threading.Condition()

        def take() -> Any:
            return again.pop() if again else next(waiting, nothing)

        def serve(actor: Any) -> None:
            nonlocal busy
            item: Any = nothing
            try:
                package.get(actor.ready.remote())
                while True:
                    with changed:
                        if (item := take()) is nothing:
                            return
                        busy += 1
                    result = package.get(actor.do.remote(item))
                    with changed:
                        busy -= 1
                        done.append((item, result))
                        changed.notify()
            except Exception as error:
                with changed:
                    if actor not in self._actors:
                        return  # `close` let it go
                    self._actors.remove(actor)
                    busy -= item is not nothing
                    if isinstance(error, package.exceptions.RayTaskError):
                        wrong.append(error.cause)
                    else:
                        log.warning("a helper was lost; its part is done again")
                        again.extend([] if item is nothing else [item])
                    changed.notify()

        def follow(actors: Sequence[Any]) -> None:
            for actor in actors:
                threading.Thread(target=serve, args=[actor], daemon=True).start()

        try:
            follow(self._actors)
            while True:
                with changed:
                    while (item := take()) is nothing and busy and not done and not wrong:
                        changed.wait()
                    found, done[:] = [*done], []
                if wrong:
                    raise wrong[0]
                yield from found
                if item is not nothing:
                    follow(self._more(package))
                    yield item, here(item)
                elif not found and not busy:
                    return
        finally:
            with changed:  # nobody takes another one
                waiting = iter(())
                again.clear()

    def close(self) -> None:
        """Let the helpers go."""
        gone, self._actors = self._actors, []
        for actor in gone:
            ray().kill(actor)

    def _more(self, package: ModuleType) -> list[Any]:
        """New helpers, as many as the cluster has room for now."""
        share = json.loads(os.environ[SHARE])
        left = package.available_resources()
        new = []
        make = package.remote(_Helper).options(**share, max_restarts=0)
        while all(left.get(name, 0) >= share[key] for key, name in RESOURCES.items()):
            new.append(make.remote(os.getcwd(), int(share["num_cpus"]), self._make))
            left |= {name: left.get(name, 0) - share[key] for key, name in RESOURCES.items()}
        self._actors += new
        return new


class _Helper:
    """A process with what does the work."""

    def __init__(self, folder: str, threads: int, make: Callable[[], Callable[[Any], Any]]) -> None:
        os.chdir(folder)
        self._do = make()
        threadpoolctl.threadpool_limits(threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)

    def ready(self) -> None:
        """Wait for it."""

    def do(self, item: Any) -> Any:
        return self._do(item)
