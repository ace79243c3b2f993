"""The manifest of the files of a dataset that the user placed."""

import json
from pathlib import Path

from patchlens.datasets.below import files_below
from patchlens.errors import SourceError
from patchlens.files import file_hash
from patchlens.progress import track


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


def write_manifest(entries: dict[str, list[object]], path: Path) -> None:
    """Write path, size and md5 of each entry as JSON: no time, so equal files give equal bytes."""
    lines = {name: {"size": size, "md5": md5} for name, (size, _, md5) in entries.items()}
    path.write_text(json.dumps(lines, indent=0, sort_keys=True) + "\n", encoding="utf-8")
