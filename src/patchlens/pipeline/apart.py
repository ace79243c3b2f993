"""Run a program that ends when this process's parent ends: `python apart.py PARENT PROGRAM ...`.

PARENT is the process id of who calls. The exit code is that of the program. It imports nothing of
ours and is there in 30 ms: who calls may have threads, and a fork of it could run no code.
"""

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress

GLANCE = 0.05  # seconds between two looks at whether the parent lives, where no kernel tells
PR_SET_PDEATHSIG = 1


def main(parent: int, program: list[str]) -> None:
    """Become the program on Linux; elsewhere start it, and watch the parent."""
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and programs inherit
        signal.signal(signum, signal.SIG_DFL)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:  # else it ended before the call
            os.execv(program[0], program)
    child = os.spawnv(os.P_NOWAIT, program[0], program) if os.getppid() == parent else 0
    while child:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                with suppress(OSError):  # of SIGKILL
                    signal.signal(-code, signal.SIG_DFL)
                os.kill(os.getpid(), -code)
            sys.exit(code)
        if os.getppid() != parent:
            break
        time.sleep(GLANCE)
    os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
