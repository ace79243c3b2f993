"""Commands as they run in a terminal."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path


def _in_the_foreground() -> None:
    """Ctrl-C goes to the group of this process, which a shell in the background made deaf to it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def typed(
    command: Sequence[str], cwd: Path | None = None, key: bytes = b"", after: str = ""
) -> tuple[int, str]:
    """Exit code of a command and what its terminal of 100 columns shows.

    `key` is pressed once when the command has printed `after`.
    """
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=_in_the_foreground,
    )
    os.close(side)
    shown = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:  # Linux ends a terminal without writers so
            break
        if not part:
            break
        shown += part
        if key and after.encode() in shown:
            os.write(main, key)
            key = b""
    os.close(main)
    return process.wait(), shown.decode()
