"""Stage manifest: lists the files that the user placed, so that DVC notices changes."""

import hashlib
import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from patchlens import paths
from patchlens.datasets.below import files_below
from patchlens.errors import SourceError
from patchlens.files import file_hash, whole_folder, write_json
from patchlens.names import DatasetName
from patchlens.progress import log, track


def run(dataset: DatasetName, root: Path, *, follow_links: bool = False) -> None:
    """Write data/raw/<dataset>/manifest.json: path, size and md5 of all files below `root`."""
    # Of this dataset alone: two that share a root may run at once.
    place = hashlib.sha256(f"{dataset}\0{root.resolve()}".encode()).hexdigest()[:16]
    remembered = paths.WORK / "manifest" / f"{place}.json"
    entries = manifest(root, _known(remembered), follow_links=follow_links)
    write_json(entries, remembered)
    with whole_folder(paths.raw(dataset)) as folder:
        # No times, so that equal files give equal bytes.
        lines = {name: {"size": size, "md5": md5} for name, (size, _, md5) in entries.items()}
        text = json.dumps(lines, indent=0, sort_keys=True) + "\n"
        (folder / "manifest.json").write_text(text, encoding="utf-8")
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


def manifest(
    root: Path, known: dict[str, list[object]], *, follow_links: bool = False
) -> dict[str, list[object]]:
    """List every file below `root`: relative path -> [size, mtime in ns, md5].

    `known` is an earlier manifest: a file with the same size and mtime is not read again.

    Raises:
        SourceError: `root` is not a folder, or contains no files, or a file cannot be read.
        DataError: see `below.files_below`.
    """
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder; place the dataset there or correct its root")
    entries: dict[str, list[object]] = {}
    found = sorted(files_below(root, follow_links=follow_links), key=lambda item: item[0])
    for path, stat in track(found, total=len(found), what="manifest", unit="file"):
        name = path.relative_to(root).as_posix()
        stamp: list[object] = [stat.st_size, stat.st_mtime_ns]
        old = known.get(name)
        try:
            digest = old[2] if old and old[:2] == stamp else file_hash(path, "md5")
        except OSError as error:
            raise SourceError(
                f"{path}: cannot be read ({(error.strerror or str(error)).lower()}); correct its "
                "rights, or remove it"
            ) from None
        entries[name] = [*stamp, digest]
    if not entries:
        raise SourceError(f"{root}: this folder is empty; place the dataset there")
    return entries
