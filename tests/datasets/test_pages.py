"""The committed pages of docs/datasets are those that the cards give."""

from pathlib import Path

from conftest import script


def test_pages_are_up_to_date(root: Path) -> None:
    assert script("dataset_pages.py", "--check") == 0
