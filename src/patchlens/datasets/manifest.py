"""Stage manifest: lists the files that the user placed, so that DVC notices changes."""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from patchlens import paths
from patchlens.datasets.files import manifest, write_manifest
from patchlens.files import whole_folder, write_json
from patchlens.names import DatasetName
from patchlens.progress import log


def run(dataset: DatasetName, root: Path, *, follow_links: bool = False) -> None:
    """Write data/raw/<dataset>/manifest.json: path, size and md5 of all files below `root`."""
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    remembered = paths.WORK / "manifest" / f"{place}.json"
    entries = manifest(root, _known(remembered), follow_links=follow_links)
    write_json(entries, remembered)
    with whole_folder(paths.raw(dataset)) as folder:
        write_manifest(entries, folder / "manifest.json")
    log.info("%s: %d files below %s", dataset, len(entries), root)


def _known(remembered: Path) -> dict[str, list[object]]:
    """What an earlier run read; nothing if that is damaged."""
    if not remembered.is_file():
        return {}
    entry = Annotated[list[object], Field(min_length=3, max_length=3)]
    try:
        return TypeAdapter(dict[str, entry]).validate_json(remembered.read_bytes())
    except ValidationError:
        log.warning("%s: damaged; discarded, and every file is read again", remembered)
        return {}
