"""Write docs/reference-comparison.md from published numbers and metrics/tables.

`python scripts/reference_page.py` writes it, `--check` only says whether it is outdated.
"""

import sys

from made_pages import ROOT, bring_up_to_date
from patchlens import paths
from patchlens.report.reference_page import page
from patchlens.settings.load import load
from patchlens.site.reading import read
from patchlens.site.reference import rows
from patchlens.tasks.known import known

PAGE = ROOT / "docs/reference-comparison.md"


def main() -> int:
    text = page(rows(read(load(paths.PARAMS, known()))))
    return bring_up_to_date(__doc__.splitlines()[0], {PAGE: text})


if __name__ == "__main__":
    sys.exit(main())
