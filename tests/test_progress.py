"""A bar on a terminal, plain lines elsewhere, nothing with -q."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

SCRIPT = """
import time
from patchlens import progress
progress.set_up({quiet})
for _ in progress.track(range(4), total=4, what="work"):
    time.sleep(0.15)
progress.log.info("done")
"""


def on_a_terminal(quiet: bool) -> str:
    """What a terminal of 100 columns shows."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    subprocess.run([sys.executable, "-c", SCRIPT.format(quiet=quiet)], stderr=side, check=True)
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
    os.close(main)
    return shown.decode()


def test_a_terminal_shows_a_bar_with_rate_and_remaining_time() -> None:
    shown = on_a_terminal(quiet=False)
    assert "work:  50%" in shown
    assert "2/4 [00:00<00:00" in shown
    assert "image/s" in shown
    assert shown.rstrip().endswith("done")


def test_quiet_shows_nothing() -> None:
    assert on_a_terminal(quiet=True) == ""


def test_elsewhere_there_are_plain_lines_only() -> None:
    command = [sys.executable, "-c", SCRIPT.format(quiet=False)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "done\n"
