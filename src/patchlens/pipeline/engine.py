"""The driver of `patchlens repro`: which stage runs next, and what DVC keeps of it.

DVC's graph says what needs what, and DVC tells what has changed, keeps the results and writes
dvc.lock: all of it in this one process. Workers get a command and give back its exit code. They
never call DVC, which takes a process of another host for dead.
"""

import logging
import signal
import time
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import getitem
from pathlib import Path
from shutil import copyfile
from typing import Any, Protocol

from dvc.dependency import param
from dvc.dvcfile import PROJECT_FILE, Lockfile
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, plan_repro
from dvc.stage import PipelineStage as Stage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.serialize import to_single_stage_lockfile

from patchlens.errors import PatchlensError
from patchlens.files import whole_file
from patchlens.pipeline import workspace
from patchlens.pipeline.workers import Job, Workers
from patchlens.progress import log

FLUSH = 5.0  # seconds between two writings of dvc.lock
SHARE = 20  # ... and at least so many times what the last one took: up to a second


class Holding(Protocol):
    """Which stages may begin when all that they need is done."""

    def may_begin(self, stage: Stage) -> bool:
        """Whether a stage may begin now; asked again whenever a stage has ended."""

    def skips(self, stage: Stage) -> bool:
        """Whether a stage that may begin is left as it is."""

    def end(self, stage: Stage) -> None:
        """A stage is done."""


@dataclass
class Run:
    """What came of a run: names of stages.

    Attributes:
        executed: those that ran.
        restored: those whose results an earlier run had left in DVC's cache.
        failed: those that failed, with the reason.
        left: those that need one that failed.
        total: how many there are.
    """

    executed: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    total: int = 0


class Graph:
    """The stages of a run, and what DVC knows of them.

    Attributes:
        needs: of each stage those that it uses; all of them are stages of this run.
        users: the other way round.
    """

    def __init__(self, repo: Repo, targets: Sequence[str], force: bool) -> None:
        whole = repo.index.graph
        of_file = Path(PROJECT_FILE).absolute()
        asked = [s for s in whole if Path(s.path) == of_file]  # as `dvc repro` without a target
        if targets:
            asked = collect_stages(repo, targets)
        self._order: list[Stage] = plan_repro(whole, asked)  # needs before users
        self.needs: dict[Stage, set[Stage]] = {s: set(whole.successors(s)) for s in self._order}
        self.users = {s: self.needs.keys() & whole.predecessors(s) for s in self._order}
        self._repo, self._force = repo, force
        self._known: dict[str, Output] = {}  # files that are what DVC has of them, by path
        self._before: dict[Stage, dict[str, Any]] = {}  # what dvc.lock says of what runs
        self._unwritten: list[Stage] = []
        self._written, self._pause = time.monotonic(), FLUSH

    def urgency(self) -> dict[Stage, int]:
        """Of each stage, how many wait for it in the longest chain."""
        found: dict[Stage, int] = {}
        for stage in reversed(self._order):
            found[stage] = 1 + max((found[user] for user in self.users[stage]), default=-1)
        return found

    def changed(self, stage: Stage, *, lost: bool = False) -> bool:
        """Whether a stage must run, as in `dvc repro`; its needs are done.

        `lost`: files that are gone are as good as unchanged ones.
        """
        if self._force or lost:
            return self._force or bool(stage.changed(True, list(self.needs[stage])))
        if stage.always_changed or stage.changed_stage():
            return True
        for used in stage.deps:
            made = self._known.get(used.fs_path)
            if used.hash_info != made.hash_info if made else used.status():
                return True
        if any(out.status() for out in stage.outs):
            return True
        self._know(stage)
        return False

    def prepare(self, stage: Stage) -> bool:
        """Make room for the results of a stage; whether DVC's cache had them."""
        self._before[stage] = to_single_stage_lockfile(stage)
        stage.remove_outs(ignore_remove=False, force=False)
        if not self._force:
            try:
                self._repo.stage_cache.restore(stage)
                return True
            except RunCacheNotFoundError:
                pass
        stage.save_deps()
        return False

    def record(self, stage: Stage) -> None:
        """Keep the results of a stage, as `dvc repro` does."""
        files = [out for out in stage.outs if not (out.is_metric or out.is_plot)]
        stage.save(run_cache=all(out.use_cache for out in files))
        stage.commit()
        self._know(stage)
        if to_single_stage_lockfile(stage) != self._before.pop(stage):
            self._unwritten.append(stage)
        if time.monotonic() - self._written > self._pause:
            self.write()

    def write(self) -> None:
        """Bring dvc.lock up to date; it is replaced as a whole."""
        if not self._unwritten:
            return
        begun = time.monotonic()
        for path in {stage.dvcfile._lockfile.path for stage in self._unwritten}:
            with whole_file(Path(path)) as partial:
                if Path(path).exists():
                    copyfile(path, partial)
                own = [s for s in self._unwritten if s.dvcfile._lockfile.path == path]
                Lockfile(self._repo, str(partial)).dump_stages(own)
        self._unwritten.clear()
        self._written = time.monotonic()
        self._pause = max(FLUSH, SHARE * (self._written - begun))
        workspace.keep()

    def _know(self, stage: Stage) -> None:
        self._known |= {out.fs_path: out for out in stage.outs}


def run(
    targets: Sequence[str],
    workers: Workers,
    *,
    force: bool = False,
    holding: Callable[[Graph], Holding] | None = None,
) -> Run:
    """Execute what has changed, each stage as soon as what it needs is done.

    A stage that fails stops those that need it, and no other.

    Args:
        targets: stages, or `segmentation` for all of its cells, to run with all that they need;
            ./dvc.yaml if empty.
        workers: who executes them.
        force: execute every stage, whether or not it changed.
        holding: makes what may hold stages back.

    Raises:
        PatchlensError: DVC cannot read its files, or another process of DVC works here.
    """
    logging.getLogger("dvc").setLevel(logging.WARNING)  # else it names a temporary file
    for bars in ("dvc.progress", "dvc_data.callbacks"):  # of moments, across those of stages
        logging.getLogger(bars).setLevel(logging.CRITICAL)
    try:
        with Repo() as repo, repo.lock, _params_read_once():
            graph = Graph(repo, targets, force)
            try:
                return _execute(graph, workers, holding(graph) if holding else None)
            finally:
                workers.close()
                graph.write()
    except LockError:
        raise PatchlensError(
            "another process of DVC works in this folder: wait for it or stop it; "
            "`patchlens doctor` names it"
        ) from None
    except DvcException as error:
        raise PatchlensError(_words(error)) from None


def _execute(graph: Graph, workers: Workers, holding: Holding | None) -> Run:
    run = Run(total=len(graph.needs))
    urgency = graph.urgency()
    waits = {stage: len(needs) for stage, needs in graph.needs.items()}
    ready = [stage for stage, number in waits.items() if not number]  # to be looked at
    held: list[Stage] = []
    queue: list[tuple[int, str, Stage, Job]] = []  # to be executed, the most urgent first
    running: dict[str, Stage] = {}
    seen = 0

    def end(stage: Stage) -> None:
        nonlocal seen
        seen += 1
        for user in graph.users[stage]:
            waits[user] -= 1
            if not waits[user]:
                ready.append(user)
        if holding:
            holding.end(stage)
            ready.extend(held)
            held.clear()

    def look(stage: Stage) -> None:
        if holding and not holding.may_begin(stage):
            held.append(stage)
        elif not (holding and holding.skips(stage)) and graph.changed(stage):
            insort(queue, (-urgency[stage], stage.addressing, stage, job(stage)))
        else:
            end(stage)

    def begin(stage: Stage, asked: Job) -> None:
        name = stage.addressing
        if graph.prepare(stage):
            graph.record(stage)
            run.restored.append(name)
            end(stage)
        else:
            log.info("[%d/%d] %s", seen + len(running) + 1, run.total, name)
            workers.start(asked)
            running[name] = stage

    def finish(stage: Stage, code: int) -> None:
        if code:
            raise DvcException(_exit(code))
        graph.record(stage)
        run.executed.append(stage.addressing)
        end(stage)

    def attempt(step: Callable[..., None], stage: Stage, *more: Job | int) -> None:
        try:
            step(stage, *more)
        except (DvcException, FileNotFoundError) as error:  # also of a link that leads nowhere
            run.failed[stage.addressing] = _words(error)
            log.error("%s: %s", stage.addressing, _words(error))

    while True:
        while ready:
            attempt(look, ready.pop())
        while fits := next((one for one in queue if workers.free(one[3])), None):
            queue.remove(fits)
            attempt(begin, *fits[2:])
        if ready:
            continue
        if not running:
            break
        name, code = workers.ended()
        attempt(finish, running.pop(name), code)
    open_ = [stage.addressing for stage, number in waits.items() if number]
    run.left = [name for name in open_ if name not in run.failed]
    return run


def job(stage: Stage) -> Job:
    """What a worker must know of a stage."""
    return Job(
        stage.addressing,
        stage.cmd,
        looks=bool(stage.always_changed),
        params=frozenset(
            key for d in stage.deps if isinstance(d, param.ParamsDependency) for key in d.params
        ),
        outs=tuple(out.fs_path for out in stage.outs if not out.persist),
    )


def _exit(code: int) -> str:
    signum = -code if code < 0 else code - 128  # as a shell says it
    if signum == signal.SIGKILL:
        return "killed, as the kernel does when memory runs out"
    if signum in set(signal.Signals):
        return f"ended by {signal.Signals(signum).name}"
    return f"ended with exit code {code}"


def _words(error: BaseException) -> str:
    """One line of an error of DVC, whose reason is often in its cause."""
    cause = error.__cause__
    return " ".join(f"{error}{f': {cause}' if cause else ''}".split())


@contextmanager
def _params_read_once() -> Iterator[None]:
    """For every stage, DVC parses params.yaml anew, and searches all of it for every key.

    Here it is parsed once for each state of it, and keys are looked up.
    """
    read = param.read_param_file

    @lru_cache(maxsize=4)
    def parsed(path: str, fs: Any, *state: int) -> Any:
        return param.load_path(path, fs)

    def found(fs: Any, path: str, keys: Any = None, flatten: bool = False, **more: Any) -> Any:
        if not keys or not flatten or more:
            return read(fs, path, keys, flatten, **more)
        now = Path(path).stat()
        content = parsed(path, fs, now.st_mtime_ns, now.st_size, now.st_ino)
        values = {}
        for key in keys:
            try:
                value = reduce(getitem, key.split("."), content)
                values[key] = deepcopy(value)  # shared ones would be written as anchors
            except (KeyError, TypeError):  # missing, or in a list
                values |= read(fs, path, [key], flatten=True)
        return values

    param.read_param_file = found
    try:
        yield
    finally:
        param.read_param_file = read
