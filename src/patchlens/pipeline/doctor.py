"""`patchlens doctor`: what is wrong with a workspace, and what to do; changes nothing."""

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dvc.utils.serialize import load_yaml

from patchlens import paths
from patchlens.errors import PatchlensError, SettingsError
from patchlens.features.device import of_backbone
from patchlens.files import file_hash
from patchlens.pipeline import workspace
from patchlens.pipeline.locks import holders
from patchlens.pipeline.workers import THREADS
from patchlens.pipeline.workspace import LOCK, RWLOCK
from patchlens.processes import cores
from patchlens.settings.load import Settings, load
from patchlens.tasks.known import known

PACKAGES = ("torch", "torchvision", "timm", "dvc")
REQUIREMENTS = Path("requirements.lock")
NOTHING = "d41d8cd98f00b204e9800998ecf8427e"  # the md5 of no bytes
SHOWN = 3  # of many of a kind
MARKS = {True: "FIX ", False: "ok  ", None: "note"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the file or the subject.
        wrong: whether something must be done; None for something to know.
        text: what is the case and, if wrong, what to do.
    """

    what: str
    wrong: bool | None
    text: str


def examine() -> list[Finding]:
    """Look at everything in the working folder."""
    try:
        settings, faults = load(paths.PARAMS, known()), []
    except Exception as error:  # whatever stands in the file
        settings, faults = None, str(error).splitlines() or [type(error).__name__]
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "folder": _folder,
        str(paths.PARAMS): lambda: _params(settings, faults),
        str(LOCK): _lock,
        str(RWLOCK): _rwlock,
        "cache": _cache,
        str(paths.WORK): _work,
        "disk": lambda: _disk(settings),
        "packages": _packages,
        "GPU": lambda: _gpu(settings),
        "threads": _threads,
    }
    return [finding for what, check in checks.items() for finding in _safely(what, check)]


def show(findings: list[Finding]) -> str:
    """One line per finding, and one that sums up."""
    width = max(len(finding.what) for finding in findings)
    lines = [f"{MARKS[f.wrong]}  {f.what:<{width}}  {f.text}" for f in findings]
    wrong = sum(bool(f.wrong) for f in findings)
    return "\n".join([*lines, "", f"{wrong} to fix, see FIX above" if wrong else "All is well."])


def _safely(what: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of a check; whatever stops it is one, as a doctor must see the others."""
    try:
        return list(check())
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return [Finding(what, True, f"cannot be checked: {lines[0]}")]


def _folder() -> Iterator[Finding]:
    here = Path.cwd()
    if not Path("dvc.yaml").is_file() or not Path(".dvc").is_dir():
        text = "has no dvc.yaml with .dvc beside it; go to the folder of a clone of patchlens"
        yield Finding("folder", True, f"{here} {text}")
    elif not os.access(".", os.W_OK):
        text = "cannot be written; make it writable, or clone the repository elsewhere"
        yield Finding("folder", True, f"{here} {text}")
    elif fault := workspace.without_git():
        yield Finding("folder", True, fault)
    else:
        yield Finding("folder", False, str(here))
    for process in workspace.dvc_processes():
        yield Finding("DVC", None, f"{workspace.describe(process)} works in this folder")


def _params(settings: Settings | None, faults: list[str]) -> Iterator[Finding]:
    what = str(paths.PARAMS)
    if settings is not None:
        text = f"{len(settings.models)} models, {len(settings.datasets)} datasets"
        yield Finding(what, False, text)
        return
    for fault in faults[:SHOWN]:
        yield Finding(what, True, fault.removeprefix(f"{what}: "))
    if len(faults) > SHOWN:
        text = f"{len(faults) - SHOWN} more mistakes; `patchlens plan` lists all"
        yield Finding(what, True, text)


def _lock() -> Iterator[Finding]:
    fault = workspace.lock_fault()
    if fault:
        git = "" if workspace.KEPT.is_file() else f", or `git checkout {LOCK}`"
        yield Finding(str(LOCK), True, f"{fault}; run `patchlens repro`, which restores it{git}")
    elif LOCK.exists():
        yield Finding(str(LOCK), False, f"{len(_locked())} stages")
    else:
        yield Finding(str(LOCK), None, "none: every stage will run")


def _rwlock() -> Iterator[Finding]:
    fault, living = workspace.rwlock_fault(), workspace.dvc_processes()
    if fault and living:
        text = f"{fault}; wait for {workspace.describe(living[0])}, or stop it"
        yield Finding(str(RWLOCK), True, text)
    elif fault:
        text = f"{fault}; run `patchlens repro`, which removes it, or `rm {RWLOCK}`"
        yield Finding(str(RWLOCK), True, text)
    elif (named := workspace.entries()) and not living:
        text = f"names process {named[0][0]}, which has ended; `patchlens repro` clears it"
        yield Finding(str(RWLOCK), None, text)
    else:
        yield Finding(str(RWLOCK), False, "in use" if named else "free")
    for path in workspace.stale_guards():
        text = f"left by a killed process; run `patchlens repro`, or `rm {path}`"
        yield Finding(str(path), True, text)


def _cache() -> Iterator[Finding]:
    """Look at the size of each object; to read them all would take minutes."""
    cache = _cache_folder()
    if not cache.exists():
        yield Finding("cache", None, f"{cache}: none yet")
        return
    if not os.access(cache, os.W_OK):
        yield Finding("cache", True, f"{cache}: cannot be written; make it writable")
        return
    objects = {path: path.stat().st_size for path in (cache / "files/md5").glob("??/*")}
    damaged = _damaged(cache, objects)
    for path in damaged[:SHOWN]:
        text = f"damaged (its size is wrong); run `rm -f {path}`, then `patchlens repro`"
        yield Finding("cache", True, text)
    if len(damaged) > SHOWN:
        text = f"{len(damaged) - SHOWN} more damaged; run this again after these"
        yield Finding("cache", True, text)
    if not damaged:
        total = sum(objects.values()) / 1e9
        yield Finding("cache", False, f"{cache}: {len(objects)} files, {total:.2f} GB")


def _damaged(cache: Path, objects: dict[Path, int]) -> list[Path]:
    """The objects of a size other than dvc.lock says; of a folder, the sum of its files counts."""
    found = {path for path, size in objects.items() if not size and _md5(path) != NOTHING}
    folders = []
    for out in _outputs():
        path = _object(cache, out["md5"])
        if path.suffix == ".dir":
            folders.append((path, out["size"]))
        elif objects.get(path, out["size"]) != out["size"]:
            found.add(path)
    for path, size in folders:
        if path not in objects or path in found:
            continue
        try:
            files = [_object(cache, entry["md5"]) for entry in json.loads(path.read_bytes())]
        except (ValueError, TypeError, KeyError):
            found.add(path)
            continue
        whole = objects.keys() >= set(files) and not found & set(files)
        if whole and sum(objects[file] for file in files) != size:
            wrong = {file for file in files if file_hash(file, "md5") != _md5(file)}
            found |= wrong or {path}
    return sorted(found)


def _object(cache: Path, md5: str) -> Path:
    return cache / "files/md5" / md5[:2] / md5[2:]


def _md5(path: Path) -> str:
    return path.parent.name + path.name


def _cache_folder() -> Path:
    return Path(workspace.config().get("cache", {}).get("dir") or ".dvc/cache")


def _locked() -> dict[str, Any]:
    """The stages of dvc.lock, which is whole."""
    stages: dict[str, Any] = load_yaml(LOCK).get("stages", {})
    return stages


def _outputs() -> Iterator[dict[str, Any]]:
    if not LOCK.is_file() or workspace.lock_fault():
        return
    for stage in _locked().values():
        yield from (out for out in stage.get("outs", []) if {"md5", "size"} <= out.keys())


def _work() -> Iterator[Finding]:
    what = str(paths.WORK)
    for owner in holders():
        yield Finding(what, None, str(owner))
    sizes = {}
    for kind in ("extract", "degrade", "fetch", "weights", "pretrain"):
        files = (path for path in (paths.WORK / kind).rglob("*") if path.is_file())
        sizes[kind] = sum(path.stat().st_size for path in files)
    if partial := {kind: size for kind, size in sizes.items() if size}:
        shown = ", ".join(f"{kind} {size / 1e9:.2f} GB" for kind, size in partial.items())
        text = f"unfinished work: {shown}; the next run continues it, or remove {what}"
        yield Finding(what, None, text)
    elif paths.WORK.exists() and not os.access(paths.WORK, os.W_OK):
        yield Finding(what, True, "cannot be written; make it writable, or remove it")
    else:
        yield Finding(what, False, "no unfinished work")


def _disk(settings: Settings | None) -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    if settings is None or not Path("dvc.yaml").is_file():
        yield Finding("disk", None, f"{free / 1e9:.1f} GB are free; needs unknown without settings")
        return
    from patchlens.plan.make import ROOM, make

    plan = make(settings, Path("dvc.yaml"))
    try:
        plan.check_disk(paths.PARAMS)
    except PatchlensError as error:
        yield Finding("disk", True, str(error).removeprefix(f"{paths.PARAMS}: "))
        return
    need = plan.features * ROOM / 1e9
    yield Finding("disk", False, f"{free / 1e9:.1f} GB are free, {need:.1f} GB are needed")


def _packages() -> Iterator[Finding]:
    wanted = {}
    if REQUIREMENTS.is_file():
        lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
        wanted = dict(line.split("==", 1) for line in lines if "==" in line)
    found, wrong = [f"Python {platform.python_version()}"], []
    for name in PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        found.append(f"{name} {version}")
        # `+cpu` names the build of a version.
        if name in wanted and version.partition("+")[0] != wanted[name].strip():
            wrong.append(f"{name} is {version}, not {wanted[name].strip()}")
    if wrong:
        yield Finding("packages", True, f"{'; '.join(wrong)}: run `make env`")
    else:
        against = "as in" if wanted else "not compared, as there is no"
        yield Finding("packages", False, f"{', '.join(found)} ({against} {REQUIREMENTS})")


def _gpu(settings: Settings | None) -> Iterator[Finding]:
    import torch

    try:
        where = of_backbone("auto" if settings is None else settings.device)
    except SettingsError as error:
        yield Finding("GPU", True, str(error))
        return
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding("GPU", False, ", ".join(names))
    elif where == "mps":
        yield Finding("GPU", False, "Apple's, for backbones; the CPU computes the rest")
    elif shutil.which("nvidia-smi"):
        text = "torch does not find the GPU of this machine: see docs/install.md for its build"
        yield Finding("GPU", None, text)
    else:
        yield Finding("GPU", False, "none: the CPU computes")


def _threads() -> Iterator[Finding]:
    there = cores()
    given = {name: os.environ[name] for name in THREADS if name in os.environ}
    wrong = [name for name, value in given.items() if not value.isdecimal() or int(value) < 1]
    many = [name for name, value in given.items() if value.isdecimal() and int(value) > there]
    if wrong:
        text = f"{wrong[0]} is {given[wrong[0]]!r}, not a number of threads; unset it"
        yield Finding("threads", True, text)
    elif many:
        text = f"{many[0]} is {given[many[0]]}, more than the {there} cores: a run is slower"
        yield Finding("threads", None, text)
    else:
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        yield Finding("threads", False, f"{there} cores{f', {said}' if said else ''}")
