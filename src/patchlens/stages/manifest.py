"""Stage manifest: lists the files that the user placed, so that DVC notices changes."""

import hashlib
import json
from pathlib import Path

from patchlens import paths
from patchlens.datasets.files import manifest, write_manifest
from patchlens.files import whole_folder, write_json
from patchlens.names import DatasetName
from patchlens.progress import log


def run(dataset: DatasetName, root: Path, *, follow_links: bool = False) -> None:
    """Write data/raw/<dataset>/manifest.json: path, size and md5 of all files below `root`."""
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    remembered = paths.WORK / "manifest" / f"{place}.json"
    entries = manifest(root, _remembered(remembered), follow_links=follow_links)
    write_json(entries, remembered)
    with whole_folder(paths.raw(dataset)) as folder:
        write_manifest(entries, folder / "manifest.json")
    log.info("%s: %d files below %s", dataset, len(entries), root)


def _remembered(path: Path) -> dict[str, list[object]]:
    """The entries of an earlier run; a damaged file only means that every file is read again."""
    try:
        known: dict[str, list[object]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
