"""A Git repository whose committed metrics differ from those of the workspace in known places."""

import json
from pathlib import Path

from conftest import commit, run
from patchlens import paths
from ran import json_of, lay


def planted(folder: Path, root: Path) -> None:
    """Commit a run, then move two scores, one beyond its interval, a setting and a verdict."""
    lay(folder, root)
    (folder / ".gitignore").write_text("*.parquet\n/data/\n/reports/\n")
    run("git", "init", "-q", "-b", "main", cwd=folder)
    commit(folder, "before")
    cells = folder / "metrics/cells/minicity"
    json_of(cells / "dino/segmentation.json", 0.61)
    json_of(cells / "mae/segmentation.json", 0.36)
    path = cells / "random/segmentation.json"
    cell = json.loads(path.read_text())
    cell["protocol"]["k"] = 1
    path.write_text(json.dumps(cell))
    verdicts = folder / paths.VERDICTS
    verdicts.write_text(verdicts.read_text().replace("supported", "contradicted"))
