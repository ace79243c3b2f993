"""What DVC leaves damaged when it is killed: dvc.lock and the lock files in .dvc/tmp.

DVC 3.67 empties dvc.lock and .dvc/tmp/rwlock before it writes them, after every stage. A process
that is killed in that moment leaves an empty or a cut file, at which every later run stops.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from dvc.config import Config
from dvc.lock import LockError, make_lock
from dvc.rwlock import SCHEMA as RWLOCK_SCHEMA
from dvc.rwlock import Invalid
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import ParseError, parse_yaml

from patchlens import paths
from patchlens.errors import DataError, PatchlensError, of_machine
from patchlens.files import whole_file
from patchlens.pipeline.locks import PATIENCE
from patchlens.progress import log

LOCK = Path("dvc.lock")
KEPT = paths.WORK / "repro/dvc.lock"  # the last good one
DAMAGED = paths.WORK / "repro/dvc.lock.damaged"
TMP = Path(".dvc/tmp")
RWLOCK = TMP / "rwlock"
GUARDS = (TMP / "lock", TMP / "rwlock.lock")
DEEP = re.compile(rb"(?:[\[{]\s*|-[ \t]+){99}")  # the parser of DVC is in C and would crash


def config() -> dict[str, Any]:
    """The settings of DVC in the working folder."""
    content: dict[str, Any] = Config(str(Path(".dvc").absolute()), validate=False)
    return content


def without_git() -> str | None:
    """What is wrong if DVC stops for want of Git, as in the ZIP that GitHub makes; else None."""
    asked = ["git", "rev-parse", "--is-inside-work-tree"]
    if shutil.which("git") and not subprocess.run(asked, capture_output=True).returncode:
        return None
    if not Path(".dvc").is_dir() or config().get("core", {}).get("no_scm"):
        return None
    return (
        f"{Path.cwd()} is not in a Git repository, which DVC needs; run `git init` first (a ZIP of "
        "GitHub has none), or clone one"
    )


def mend() -> None:
    """Make the workspace one in which DVC runs, and keep its dvc.lock.

    Raises:
        PatchlensError: something is damaged, and a process of DVC that may be writing it lives.
        DataError: a file cannot be read or written.
    """
    try:
        _mend()
    except OSError as error:
        raise of_machine(error, LOCK) or error from None


def _mend() -> None:
    deadline = time.monotonic() + PATIENCE
    # What a killed run leaves behind ends soon, and what DVC is writing is whole soon.
    while (living := dvc_processes()) and (faults := _faults()):
        if time.monotonic() > deadline:
            raise PatchlensError(
                f"{'; '.join(f'{path}: {fault}' for path, fault in faults.items())}; "
                f"{describe(living[0])} works in this folder and may be writing it: wait for it "
                "or stop it, then run this again"
            )
        time.sleep(0.1)
    if not living:
        if fault := lock_fault():
            _restore(fault)
        if rwlock_fault() or entries():
            _clear_rwlock()
    for path in stale_guards():
        _remove_guard(path)
    keep()


def keep() -> None:
    """Copy dvc.lock to `KEPT`, if it is whole and has changed since."""
    try:
        if _is_kept(LOCK):
            return
        now, text = LOCK.stat(), LOCK.read_bytes()
    except OSError:
        return  # there is none, or `lock_fault` says why it cannot be read
    if _text_fault(text) is None:
        with whole_file(KEPT) as partial:
            partial.write_bytes(text)
            os.utime(partial, ns=(now.st_atime_ns, now.st_mtime_ns))


def _is_kept(path: Path) -> bool:
    """Whether a dvc.lock is still the one that was found whole, as parsing takes 0.5 s."""
    now, then = path.stat(), KEPT.stat() if KEPT.exists() else None
    same = then and (now.st_mtime_ns, now.st_size) == (then.st_mtime_ns, then.st_size)
    return bool(same and now.st_size)


def lock_fault(path: Path = LOCK) -> str | None:
    """What is wrong with a dvc.lock; None if DVC can use it, or if there is none."""
    try:
        return None if _is_kept(path) else _text_fault(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); remove it, or make it readable"
        ) from None


def _text_fault(text: bytes) -> str | None:
    if not text.strip():
        return "empty, as a process of DVC was killed while it wrote it"
    if not text.endswith(b"\n"):
        # Most places to cut YAML leave valid YAML. DVC ends its files with a newline.
        return "cut short, as a process of DVC was killed while it wrote it"
    damaged = "damaged, so that DVC cannot read it"
    if DEEP.search(text):
        return damaged
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text.decode(), str(LOCK)))
    except (ParseError, Invalid, ValueError, RecursionError):
        return damaged
    return None


def rwlock_fault() -> str | None:
    """What is wrong with .dvc/tmp/rwlock; None if DVC can use it, or if there is none."""
    try:
        _rwlock()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except (ValueError, Invalid, RecursionError):
        return "damaged, as a process of DVC was killed while it wrote it"
    return None


def entries() -> list[tuple[int, str]]:
    """The processes that .dvc/tmp/rwlock names: id and command, dead or alive."""
    try:
        content = _rwlock()
    except (OSError, ValueError, Invalid, RecursionError):
        return []
    readers = [info for infos in content["read"].values() for info in infos]
    named = [*content["write"].values(), *readers]
    return sorted({(info["pid"], info["cmd"]) for info in named})


def _rwlock() -> dict[str, Any]:
    content: dict[str, Any] = RWLOCK_SCHEMA(json.loads(RWLOCK.read_text(encoding="utf-8")))
    return content


def dvc_processes() -> list[psutil.Process]:
    """The processes of DVC that work in this workspace, or that its rwlock names."""
    root, named = Path.cwd(), dict(entries())
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with suppress(psutil.Error, OSError):
            words = process.cmdline()
            # A process id is used again: what DVC notes beside it is the command without Python.
            if (process.pid in named and named[process.pid] in " ".join(words)) or (
                _is_dvc(words) and Path(process.cwd()).is_relative_to(root)
            ):
                found.append(process)
    return found


def _is_dvc(words: list[str]) -> bool:
    """Whether a command line is `dvc`, `python .../dvc` or `python -m dvc`."""
    return any(Path(word).name == "dvc" for word in words[:2]) or words[1:3] == ["-m", "dvc"]


def describe(process: psutil.Process) -> str:
    """`process 123 (dvc repro)`."""
    try:
        words = [Path(word).name for word in process.cmdline()]
    except psutil.Error:
        words = ["has ended"]
    named = words[1:] if words and words[0].startswith("python") else words
    return f"process {process.pid} ({' '.join(named)})"


def stale_guards() -> list[Path]:
    """Lock files of `core.hardlink_lock` whose process has ended; others leave with it."""
    return [path for path in GUARDS if (pid := _guard_owner(path)) and not psutil.pid_exists(pid)]


def _guard_owner(path: Path) -> int | None:
    """The process on this machine that holds a lock of `core.hardlink_lock`."""
    try:  # its text: <lock>|<host>|<process id>|<random>
        _, host, pid, _ = path.read_text(encoding="utf-8").split("|")
        return int(pid) if host == socket.gethostname() else None
    except (OSError, ValueError):
        return None


def _faults() -> dict[Path, str]:
    found = {LOCK: lock_fault(), RWLOCK: rwlock_fault()}
    return {path: fault for path, fault in found.items() if fault is not None}


def _restore(fault: str) -> None:
    good = next(((where, text) for where, text in _copies() if _text_fault(text) is None), None)
    DAMAGED.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(LOCK, DAMAGED)
    if good is not None:
        with whole_file(LOCK) as partial:
            partial.write_bytes(good[1])
        log.warning("%s: %s; restored from %s", LOCK, fault, good[0])
    else:
        LOCK.unlink()
        log.warning("%s: %s; there is no copy of it, so every stage runs again", LOCK, fault)


def _copies() -> Iterator[tuple[str, bytes]]:
    """Earlier texts of dvc.lock, the latest first; stages that they do not know run again."""
    with suppress(OSError):
        yield str(KEPT), KEPT.read_bytes()
    with suppress(OSError):
        shown = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True)
        if shown.returncode == 0:
            yield "Git", shown.stdout


def _clear_rwlock() -> None:
    fault = rwlock_fault()
    try:
        with make_lock(str(TMP / "rwlock.lock")):  # the one under which DVC writes it
            RWLOCK.unlink(missing_ok=True)
    except LockError:
        raise PatchlensError(
            f"{RWLOCK}: another process of DVC is writing it; wait for it or stop it"
        ) from None
    if fault:
        log.warning("%s: %s; removed, as no process of DVC lives here", RWLOCK, fault)


def _remove_guard(path: Path) -> None:
    """Remove a lock and its other name, which `core.hardlink_lock` makes of the same file."""
    owned = path.stat()
    for name in TMP.glob("*.lock"):
        if os.path.samestat(name.stat(), owned) and name != path:
            name.unlink()
    path.unlink()
    log.warning("%s: left by a killed process of DVC; removed", path)
