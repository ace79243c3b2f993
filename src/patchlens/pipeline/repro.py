"""`patchlens repro`: `dvc repro` with several stages at once, which resumes after any kill.

DVC runs one stage at a time, and lets several processes of itself work in one repository; datasets
do not depend on each other, nor do models, nor most tasks, nor what is made of all cells, except
the last stage. First come the datasets side by side, then the features of the models, then the
tasks, then what is made of all, the cores split between them. Images per second are thus measured
on a share of the cores, beside another model.

Where the disk has no room for the features of all models, each model is run from its weights to its
tasks, and its features are deleted before the next one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from dvc.utils.serialize import parse_yaml

from patchlens.errors import PatchlensError, SettingsError
from patchlens.pipeline import workspace
from patchlens.pipeline.locks import held
from patchlens.plan.code import check_names
from patchlens.processes import GRACE, REPRO, end_with_parent

OF_DATASET = ("render", "fetch", "manifest", "index")
DROPPED = (("data", "features"), ("data", "degraded"))  # the outputs of --drop-features
OF_FEATURES = ("weights", "extract", "prune", "variance")
NEEDS = {"sweep": "segmentation", "identification": "degrade"}  # tasks that follow another one
# numpy and torch take the second and the third before the first, where they are set.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
DVC = ["dvc", "--wait-for-lock", "repro"]
POLL = 0.1  # seconds


def run(targets: Sequence[str], jobs: int, force: bool, drop_features: bool = False) -> None:
    """Bring the results of params.yaml up to date.

    Args:
        targets: stages to run with all that they need, one at a time; all stages if empty.
        jobs: how many DVC processes work at once.
        force: execute every stage once, whether or not anything changed.
        drop_features: keep the features of at most `jobs` models; without `targets`.

    Raises:
        SettingsError: a name in params.yaml is one that DVC must not put into a command, or both
            `targets` and `drop_features` are asked for.
        PatchlensError: a stage failed, another process works in this workspace, or Git does not
            know it.
    """
    if targets and drop_features:
        raise SettingsError("--drop-features: a run of all stages only; name no stages")
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
                _all(jobs, forced, drop_features)
        except BaseException:
            with suppress(PatchlensError):  # what happened first is what to report
                workspace.mend()  # a signal may have met DVC as it wrote dvc.lock
            raise
        workspace.mend()


def _all(jobs: int, forced: list[str], drop_features: bool) -> None:
    failed, text = _asked(["dvc", "stage", "list", "--name-only"])
    if failed:
        raise PatchlensError("dvc.yaml: DVC cannot list its stages (see above)")
    stages = text.split()
    each = [stage for stage in stages if "@" in stage]
    of_all = [stage for stage in stages if stage not in (*each, "code")]
    known = (*OF_DATASET, *OF_FEATURES)
    repro = [*DVC, "--single-item", *forced]
    _together([[*repro, "code"]])
    of_dataset = {stage: first_name(stage) for stage in each if kind(stage) in OF_DATASET}
    of_model = {stage: first_name(stage) for stage in each if stage not in of_dataset}
    models = list(dict.fromkeys(of_model.values()))
    rounds = [
        of_dataset,
        {stage: first_name(stage) for stage in each if kind(stage) in OF_FEATURES},
        {stage: task(stage) for stage in each if kind(stage) not in known},
        {stage: stage for stage in of_all[:-1]},
    ]
    if drop_features:
        few = [models[start : start + jobs] for start in range(0, len(models), jobs)]
        rounds[1:3] = [{s: model for s, model in of_model.items() if model in own} for own in few]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    for unit_of in rounds:
        units = list(dict.fromkeys(unit_of.values()))
        if drop_features and set(units) <= set(models) and not forced:
            units = [unit for unit in units if _changed(s for s in of_model if of_model[s] == unit)]
        dealt = [set(units[i::jobs]) for i in range(min(jobs, len(units)))]
        _together(
            [[*repro, *(s for s, unit in unit_of.items() if unit in own)] for own in dealt],
            dict.fromkeys(THREADS, str(threads)),
        )
        if drop_features:
            _drop_features(stage for stage in unit_of if kind(stage) in ("extract", "degrade"))
    # Unforced, DVC looks at the whole graph once more; forced, it would execute all of it again.
    _together([[*repro, *of_all[-1:]] if forced or drop_features else ["dvc", "repro"]])


def _changed(stages: Iterable[str]) -> bool:
    """Whether DVC would run any of these stages for more than features that were deleted."""
    failed, text = _asked([*DVC, "--single-item", "--allow-missing", "--dry", *stages])
    return bool(failed) or "Running stage" in text  # it fails where a stage would lack features


def _drop_features(stages: Iterable[str]) -> None:
    """Delete the features that these stages made, in the workspace and in DVC's cache."""
    from dvc.repo import Repo

    locked = parse_yaml(workspace.LOCK.read_text(encoding="utf-8"), workspace.LOCK)["stages"]
    cache = Repo().cache.local
    for stage in stages:
        for out in locked.get(stage, {}).get("outs", []):
            path, stored = Path(out["path"]), Path(cache.oid_to_path(out["md5"]))
            if path.parts[:2] not in DROPPED:
                continue
            if out["md5"].endswith(".dir") and stored.is_file():
                for file in json.loads(stored.read_text(encoding="utf-8")):
                    Path(cache.oid_to_path(file["md5"])).unlink(missing_ok=True)
            stored.unlink(missing_ok=True)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _asked(command: list[str]) -> tuple[int, str]:
    """The exit code of a command of DVC, and what it prints."""
    process = _start(command, {}, stdout=subprocess.PIPE)
    try:
        text, _ = process.communicate()
    finally:
        _end([process])
    return process.returncode, str(text)


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
