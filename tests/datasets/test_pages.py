"""The committed pages of docs/datasets are those that the cards give."""

import sys
from pathlib import Path

from conftest import run


def test_pages_are_up_to_date(root: Path) -> None:
    done = run(sys.executable, "scripts/dataset_pages.py", "--check", cwd=root, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun `make dataset-pages`"
