"""Shared by the scripts that generate pages of docs/: write or list outdated pages."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent


def bring_up_to_date(
    what: str, texts: Mapping[Path, str], there: Iterable[Path] | None = None
) -> int:
    """Write the pages, or with `--check` only list outdated ones; returns the exit code.

    Args:
        what: the first line of the help of the script.
        texts: page -> its text.
        there: all existing pages of the folder; those without a text are removed.
    """
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 if a page is outdated"
    )
    check = parser.parse_args().check
    if not texts:
        sys.exit("no page is to be made: nothing was checked")
    stale = [p for p, text in texts.items() if not p.is_file() or p.read_text("utf-8") != text]
    surplus = sorted(set(there or ()) - set(texts))
    for path in sorted([*stale, *surplus]):
        print(f"{path.relative_to(ROOT)}: out of date")
    if check:
        return 1 if stale or surplus else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
    for path in surplus:
        path.unlink()
    return 0
