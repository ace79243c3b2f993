"""`patchlens repro`: `dvc repro` with several stages at once, which resumes after any kill.

DVC runs one stage at a time, and lets several processes of itself work in one repository; datasets
do not depend on each other, nor do models, nor most tasks, nor what is made of all cells, except
the last stage. First come the datasets side by side, then the features of the models, then the
tasks, then what is made of all, the cores split between them. Images per second are thus measured
on a share of the cores, beside another model.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from patchlens.errors import PatchlensError
from patchlens.pipeline import workspace
from patchlens.pipeline.locks import held
from patchlens.plan.code import check_names
from patchlens.processes import GRACE, REPRO, end_with_parent

OF_DATASET = ("render", "fetch", "manifest", "index")
OF_FEATURES = ("weights", "extract", "prune", "variance")
NEEDS = {"sweep": "segmentation", "identification": "degrade"}  # tasks that follow another one
# numpy and torch take the second and the third before the first, where they are set.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
DVC = ["dvc", "--wait-for-lock", "repro"]
POLL = 0.1  # seconds


def run(targets: Sequence[str], jobs: int, force: bool) -> None:
    """Bring the results of params.yaml up to date.

    Args:
        targets: stages to run with all that they need, one at a time; all stages if empty.
        jobs: how many DVC processes work at once.
        force: execute every stage once, whether or not anything changed.

    Raises:
        SettingsError: a name in params.yaml is one that DVC must not put into a command.
        PatchlensError: a stage failed, another process works in this workspace, or Git does not
            know it.
    """
    if fault := workspace.without_git():
        raise PatchlensError(fault)
    check_names(Path("dvc.yaml"))  # before DVC puts them into a command
    with held("patchlens repro"):
        workspace.mend()
        forced = ["--force"] if force else []
        try:
            if targets:
                _together([["dvc", "repro", *forced, "--", *targets]])
            else:
                _all(jobs, forced)
        except BaseException:
            with suppress(PatchlensError):  # what happened first is what to report
                workspace.mend()  # a signal may have met DVC as it wrote dvc.lock
            raise
        workspace.mend()


def _all(jobs: int, forced: list[str]) -> None:
    stages = _stages()
    each = [stage for stage in stages if "@" in stage]
    of_all = [stage for stage in stages if stage not in (*each, "code")]
    known = (*OF_DATASET, *OF_FEATURES)
    repro = [*DVC, "--single-item", *forced]
    _together([[*repro, "code"]])
    for unit_of in (
        {stage: first_name(stage) for stage in each if kind(stage) in OF_DATASET},
        {stage: first_name(stage) for stage in each if kind(stage) in OF_FEATURES},
        {stage: task(stage) for stage in each if kind(stage) not in known},
        {stage: stage for stage in of_all[:-1]},
    ):
        units = list(dict.fromkeys(unit_of.values()))
        dealt = [set(units[i::jobs]) for i in range(min(jobs, len(units)))]
        threads = max(1, len(os.sched_getaffinity(0)) // jobs)
        _together(
            [[*repro, *(s for s, unit in unit_of.items() if unit in own)] for own in dealt],
            dict.fromkeys(THREADS, str(threads)),
        )
    # Unforced, DVC looks at the whole graph once more; forced, it would execute all of it again.
    _together([[*repro, *of_all[-1:]] if forced else ["dvc", "repro"]])


def _stages() -> list[str]:
    """All stages, in the order of dvc.yaml, in which each follows what it needs."""
    process = _start(["dvc", "stage", "list", "--name-only"], {}, stdout=subprocess.PIPE)
    try:
        text, _ = process.communicate()
    finally:
        _end([process])
    if process.returncode:
        raise PatchlensError("dvc.yaml: DVC cannot list its stages (see above)")
    return str(text).split()


def _together(commands: list[list[str]], env: dict[str, str] | None = None) -> None:
    """Run processes of DVC side by side, and wait for all of them, even if one fails."""
    running: list[subprocess.Popen[str]] = []
    looked = time.monotonic()
    try:
        for command in commands:
            running.append(_start(command, env or {}))
        while any(process.poll() is None for process in running):
            if time.monotonic() - looked > workspace.WATCH:
                with suppress(OSError):  # a full disk stops the stages, which say so
                    workspace.keep()
                looked = time.monotonic()
            time.sleep(POLL)
    finally:
        _end(running)  # also what a killed process of DVC has left
    if any(process.returncode for process in running):
        raise PatchlensError(
            "a stage failed (see above): fix the cause and run this again; finished stages are kept"
        )


def _start(
    command: list[str], env: dict[str, str], stdout: int | None = None
) -> "subprocess.Popen[str]":
    """Start a process of DVC in a group of its own, which ends when this process ends."""
    own = {REPRO: str(os.getpid())}
    path = os.environ.get("PATH", os.defpath)
    if not (shutil.which("dvc") and shutil.which("patchlens")):  # the environment is not active
        own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    try:
        return subprocess.Popen(
            command,
            env=os.environ | env | own,
            stdout=stdout,
            text=True,
            process_group=0,  # Ctrl-C reaches this process alone, which then ends the others
            preexec_fn=lambda: end_with_parent(signal.SIGTERM),
        )
    except FileNotFoundError:
        raise PatchlensError("dvc: not found; run `make env` first") from None


def _end(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """End the groups of these processes, and return when none of their members is left."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signum)
        deadline = time.monotonic() + GRACE / 2  # what is left of it is for `mend`
        while _lives(processes) and time.monotonic() < deadline:
            time.sleep(0.02)


def _lives(processes: Sequence["subprocess.Popen[str]"]) -> bool:
    groups = set()
    for process in processes:
        process.poll()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 0)
            groups.add(process.pid)
    return bool(groups) and any(_group(process) in groups for process in psutil.process_iter())


def _group(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getpgid(process.pid)
    except (psutil.Error, ProcessLookupError):
        return None


def kind(stage: str) -> str:
    """`sweep` of `sweep@dino-minicity`."""
    return stage.partition("@")[0]


def task(stage: str) -> str:
    """A task of a model with what it needs: `segmentation dino` of `sweep@dino-minicity`."""
    return f"{NEEDS.get(kind(stage), kind(stage))} {first_name(stage)}"


def first_name(stage: str) -> str:
    """`dino` of `sweep@dino-minicity`; names have no hyphen."""
    return stage.partition("@")[2].partition("-")[0]
