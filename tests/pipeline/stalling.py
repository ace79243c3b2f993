"""A stage that starts two workers and waits: what ends it is what is tested."""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from patchlens.processes import end_with_parent


def work(folder: Path, number: int) -> None:
    note(folder / f"worker{number}")
    time.sleep(600)


def note(path: Path) -> None:
    """Write the process id into a file, which is there only with its content."""
    partial = path.with_suffix(".part")
    partial.write_text(str(os.getpid()))
    partial.rename(path)


def stall() -> None:
    folder = Path.cwd()
    note(folder / "stage")
    try:
        with ProcessPoolExecutor(2, get_context("spawn"), end_with_parent) as pool:
            wait([pool.submit(work, folder, i) for i in range(5)])
    finally:
        (folder / "cleaned").touch()


if __name__ == "__main__":
    from patchlens.cli.application import (  # the workers, which import this too, need not
        alone,
        guarded,
    )

    sys.stderr.reconfigure(line_buffering=True)
    guarded(alone(stall))()
