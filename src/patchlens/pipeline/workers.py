"""Who executes the stages of `patchlens repro`; on this machine, forks of one warm process.

A stage that starts from nothing imports for two to six seconds. Python's fork server, a process
with one thread that has imported what stages use, makes them at no cost. It never imports DVC.
"""

import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn, Protocol

import psutil

from patchlens.pipeline import apart as starter
from patchlens.processes import GRACE, REPRO, cores, end_with_parent
from patchlens.progress import QUIET, ROW, silent

# numpy and torch take the second and the third before the first, where they are set.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
WARM = "patchlens.cli.warm"  # the module that imports what stages use
PROGRAM = "patchlens"
GLANCE = 0.05  # seconds between two looks at a process that is no fork


@dataclass(frozen=True)
class Job:
    """A stage that a worker shall execute.

    Attributes:
        name: its name in the graph, such as `extract@dino-minicity`.
        command: a line for a shell, as in dvc.yaml.
        looks: whether it runs every time, only to see whether something has changed.
        params: the keys in params.yaml that it reads, such as `device`.
        outs: files and folders that it writes: what an attempt cut short may have left.
    """

    name: str
    command: str
    looks: bool = False
    params: frozenset[str] = frozenset()
    outs: tuple[str, ...] = ()


class Workers(Protocol):
    """Who executes jobs."""

    def free(self, job: Job) -> bool:
        """Whether this job could start now; true while nothing runs."""

    def start(self, job: Job) -> None:
        """Begin a job."""

    def ended(self) -> tuple[str, int]:
        """Wait for the end of a job: its name and its exit code, below 0 after a signal."""

    def close(self) -> None:
        """End whatever still runs."""


class Local:
    """Processes of this machine, which share its cores.

    Args:
        jobs: how many of them work at once.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._running: dict[str, Any] = {}  # processes: forks, or of `apart`
        self._rows: dict[str, int] = {}  # of the terminal, for their bars
        self._threads = dict.fromkeys(THREADS, str(max(1, cores() // jobs)))
        self._warm: Any = None
        if sys.platform == "linux":  # a fork of what has loaded Apple's frameworks may crash
            self._warm = multiprocessing.get_context("forkserver")
            self._warm.set_forkserver_preload([WARM])

    def free(self, job: Job) -> bool:
        """Whether a core is free."""
        return len(self._running) < self._jobs

    def start(self, job: Job) -> None:
        """Begin a job, which prints to this terminal."""
        taken = [self._rows[name] for name in self._running]
        self._rows[job.name] = row = next(r for r in range(self._jobs) if r not in taken)
        own = environment(job) | {ROW: str(row)}
        # What only looks may be all that runs: no reason to import everything.
        if self._warm and is_ours(job) and not job.looks:
            self._running[job.name] = self._fork(job, own)
        else:
            self._running[job.name] = apart(job, {**os.environ, **own, **self._threads})

    def _fork(self, job: Job, own: Mapping[str, str]) -> Any:
        process = self._warm.Process(target=execute, args=(job.command, own), name=job.name)
        before = {name: os.environ.get(name) for name in self._threads}
        os.environ.update(self._threads)  # a library may read them as soon as it is loaded
        try:
            process.start()
        finally:
            for name, value in before.items():
                _set(name, value)
        return process

    def ended(self) -> tuple[str, int]:
        """Wait for the end of a job: its name and its exit code."""
        while True:
            forks = [p for p in self._running.values() if not isinstance(p, subprocess.Popen)]
            all_forks = len(forks) == len(self._running)
            wait([fork.sentinel for fork in forks], timeout=None if all_forks else GLANCE)
            for name, one in self._running.items():
                code = one.poll() if isinstance(one, subprocess.Popen) else one.exitcode
                if code is not None:
                    del self._running[name]
                    return name, code

    def close(self) -> None:
        """End the processes, what they have started included."""
        end_groups({process.pid for process in self._running.values() if process.pid})
        self._running.clear()


def apart(job: Job, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A process that starts from nothing, leads a group, and ends with this process."""
    program = ["/bin/sh", "-c", job.command]
    if is_ours(job):
        program = [sys.executable, "-P", "-m", *shlex.split(job.command)]
    start = [sys.executable, "-I", "-S", starter.__file__, str(os.getpid())]
    # A group in the background that reads from the terminal would be stopped.
    return subprocess.Popen([*start, *program], env=env, process_group=0, stdin=subprocess.DEVNULL)


def is_ours(job: Job) -> bool:
    """Whether its command is one of patchlens; another is for a shell."""
    return shlex.split(job.command)[:1] == [PROGRAM]


def environment(job: Job) -> dict[str, str]:
    """What a stage finds in its environment; this process is the one above it."""
    quiet = {QUIET: "1"} if silent() else {}
    return {"DVC_STAGE": job.name, "DVC_ROOT": str(Path.cwd()), REPRO: str(os.getpid())} | quiet


def end_groups(groups: Collection[int]) -> None:
    """End groups of processes: first politely, then by force."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signum)
        deadline = time.monotonic() + GRACE / 2
        while _live(groups) and time.monotonic() < deadline:
            time.sleep(0.02)


def execute(command: str, env: Mapping[str, str]) -> NoReturn:
    """Be the process of a stage of ours, in a group of its own, which ends when its parent ends.

    Ctrl-C thus reaches `patchlens repro` alone, which then ends the others.
    """
    os.setpgid(0, 0)
    end_with_parent(signal.SIGTERM)
    os.environ.update(env)
    from patchlens.__main__ import main

    sys.argv = shlex.split(command)
    main()
    sys.exit(0)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _live(groups: Collection[int]) -> bool:
    return any(_group(process) in groups for process in psutil.process_iter())


def _group(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getpgid(process.pid)
    except (psutil.Error, ProcessLookupError):
        return None
