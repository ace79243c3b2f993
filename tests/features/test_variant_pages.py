"""The committed docs/variants.md is the one that the table of variants gives."""

from pathlib import Path

from conftest import script


def test_the_page_is_up_to_date(root: Path) -> None:
    assert script("variant_pages.py", "--check") == 0
