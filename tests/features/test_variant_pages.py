"""The committed docs/variants.md is the one that the table of variants gives."""

import sys
from pathlib import Path

from conftest import run


def test_the_page_is_up_to_date(root: Path) -> None:
    done = run(sys.executable, "scripts/variant_pages.py", "--check", cwd=root, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun `make variant-pages`"
