"""Write docs/reference-comparison.md from published numbers and metrics/tables.

`python scripts/reference_page.py` writes it, `--check` only says whether it is out of date.
"""

import argparse
import sys
from pathlib import Path

from patchlens import paths
from patchlens.report.reference_page import page
from patchlens.settings.load import load
from patchlens.site.reading import read
from patchlens.site.reference import rows

PAGE = Path("docs/reference-comparison.md")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if stale")
    arguments = parser.parse_args()
    text = page(rows(read(load(paths.PARAMS))))
    if PAGE.is_file() and PAGE.read_text("utf-8") == text:
        return 0
    print(f"{PAGE}: out of date")
    if arguments.check:
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
