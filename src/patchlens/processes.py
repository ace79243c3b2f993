"""How processes end together: signals that stop this one, and parents whose end ends it.

Nothing here decides a number, and stages that start workers use it: it stays small.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from patchlens.progress import clean

STOPS = (signal.SIGINT, signal.SIGTERM)
GRACE = 10.0  # seconds to clean up after a signal, before the end is forced
GLANCE = 0.2  # seconds between two looks at whether another process lives
REPRO = "PATCHLENS_REPRO"  # environment: the process id of the `patchlens repro` above
SHELLS = {"sh", "bash", "dash", "zsh", "fish", "ksh"}
PR_SET_PDEATHSIG = 1
# Linux has it; looked up before a fork, after which little is safe.
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived.

    Attributes:
        exit_code: 130 or 143.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.strsignal(signum))
        self.exit_code = 128 + signum

    def say(self) -> None:
        """Print the one line, unless the `patchlens repro` that ends this process prints it."""
        if not _repro_lives():
            line = "Interrupted; run the same command again to continue."
            print(f"{clean()}{line}", file=sys.stderr)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` on SIGINT and SIGTERM, and end the pools of workers of this process.

    A signal that is ignored on entry, as in a background job of a shell, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.getsignal(s) for s in STOPS}
    for signum, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(signum, _stop)
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old if old is not None else signal.SIG_DFL)


def _stop(signum: int, frame: FrameType | None) -> None:
    # Several parents may end this process at once; a second Ctrl-C is a person in a hurry.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    stop = Interrupted(signum)
    # An exception in a destructor or a callback of C is lost, and a cleanup may wait for ever.
    force = threading.Timer(GRACE, os._exit, [stop.exit_code])
    force.daemon = True
    force.start()
    # A pool would finish all that waits before it lets go. Pools of other processes are theirs.
    for child in psutil.Process().children():
        try:
            if any("multiprocessing.spawn" in word for word in child.cmdline()):
                child.kill()
        except psutil.Error:
            continue  # it has ended
    raise stop


def cores() -> int:
    """The cores that this process may use: some of the machine's, where its system can say so."""
    usable = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def end_with_parent(signum: int = signal.SIGKILL) -> bool:
    """End this process, a direct child, when its parent ends.

    As `initializer` of a pool of processes: its workers would otherwise outlive a killed parent.

    Returns:
        Whether the kernel does it (Linux), for whatever program this process becomes. Elsewhere a
        thread does, and takes the others of the group along if this process leads one.
    """
    if _PRCTL is not None:
        _PRCTL(PR_SET_PDEATHSIG, signum)
    else:
        leads = os.getpgrp() == os.getpid()
        _follow(os.getppid(), signum, -os.getpid() if leads else os.getpid())
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():  # it ended before the call
        os.kill(os.getpid(), signum)
    return _PRCTL is not None


def end_with_dvc() -> None:
    """Stop this process, a stage, like SIGTERM does when the DVC process above it ends.

    The shell in which DVC runs a stage may stand between the two, and outlives DVC.
    """
    above = next((p for p in psutil.Process().parents() if _name(p) not in SHELLS), None)
    if above is not None:
        _follow(above.pid, signal.SIGTERM, os.getpid())
    if REPRO in os.environ and not _repro_lives():  # it ended before this process looked
        os.kill(os.getpid(), signal.SIGTERM)


def _follow(pid: int, signum: int, target: int) -> None:
    """Send a signal to a target, as `os.kill` takes it, when a process ends."""

    def watch() -> None:
        while _lives(pid):
            time.sleep(GLANCE)
        os.kill(target, signum)

    threading.Thread(target=watch, daemon=True).start()


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def _repro_lives() -> bool:
    pid = os.environ.get(REPRO, "")
    return pid.isdecimal() and int(pid) != os.getpid() and _lives(int(pid))


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
