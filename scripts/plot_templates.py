"""Write DVC's plot templates to .dvc/plots/ from the charts of the site.

`python scripts/plot_templates.py` writes them, `--check` only says whether one is out of date.
"""

import json
import sys

from made_pages import ROOT, bring_up_to_date
from patchlens.site.curves import dvc_template
from patchlens.site.plots import TEMPLATES

FOLDER = ROOT / ".dvc/plots"


def main() -> int:
    texts = {
        FOLDER / f"{name}.json": json.dumps(dvc_template(panels), indent=1) + "\n"
        for name, panels in TEMPLATES.items()
    }
    return bring_up_to_date(__doc__.splitlines()[0], texts, FOLDER.glob("*.json"))


if __name__ == "__main__":
    sys.exit(main())
