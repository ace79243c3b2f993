"""Programs of their own that tests weigh."""

import subprocess
import sys
from pathlib import Path


def peak() -> int:
    """Most resident memory of this process so far, in KiB (Linux).

    `ru_maxrss` would not do: it begins at what the process had that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def printed(program: str, *arguments: str) -> str:
    """What a Python program prints that may say `from memory import peak`."""
    command = [sys.executable, "-c", program, *arguments]
    folder = Path(__file__).parent
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
