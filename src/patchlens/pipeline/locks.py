"""Locks of work: two processes never compute the same thing in one workspace.

The kernel releases them when their process ends, however it ends: no lock is ever stale. A file
names the owner only for the message.
"""

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from patchlens import paths
from patchlens.errors import PatchlensError, of_machine

LOCKS = paths.WORK / "locks"
PATIENCE = 5.0  # seconds: what a killed run leaves behind ends within them


@dataclass(frozen=True)
class Owner:
    """The process that computes something.

    Attributes:
        what: the command, as the user types it.
        pid: its process id on `host`; 0 if it is not known.
        host: the name of its machine.
        since: when it began, in words.
    """

    what: str
    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        if not self.pid:  # it is about to sign, or has just ended
            return f"`{self.what}` is already run by another process"
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"`{self.what}` is already run by process {self.pid}{where} since {self.since}"


@contextmanager
def held(what: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a command, such as `patchlens extract dino minicity`.

    Raises:
        PatchlensError: another process holds it, and still does after `patience` seconds.
        MachineError: the lock cannot be written.
    """
    path = _place(what).absolute()
    try:
        stream = _acquire(path, what, time.monotonic() + patience)
    except OSError as error:
        raise of_machine(error, path) or error from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: see `_acquire`
        os.close(stream)


def holders() -> list[Owner]:
    """Who holds a lock in this workspace now; changes nothing."""
    found = []
    for path in sorted(LOCKS.glob("*.lock")):
        with path.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(_owner(path, path.stem))
    return found


def _place(what: str) -> Path:
    """A file for any text: two texts never share one."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", what)[:80]
    return LOCKS / f"{name}-{sha256(what.encode()).hexdigest()[:8]}.lock"


def _acquire(path: Path, what: str, deadline: float) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(stream)
            if time.monotonic() > deadline:
                raise PatchlensError(f"{_owner(path, what)}; wait for it or stop it") from None
            time.sleep(0.05)
            continue
        if _is_at(stream, path):
            about = {"what": what, "pid": os.getpid(), "host": socket.gethostname()}
            about["since"] = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
            os.ftruncate(stream, 0)
            os.write(stream, json.dumps(about).encode())
            return stream
        os.close(stream)  # its last owner removed the file before this process had locked it


def _is_at(stream: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path, what: str) -> Owner:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Owner(what, 0, "", "")
