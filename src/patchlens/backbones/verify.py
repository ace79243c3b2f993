"""Checks of a weight file against the published, the expected and the recorded hash."""

from pathlib import Path

from patchlens.backbones.record import Record
from patchlens.backbones.registry.entry import Source
from patchlens.files import file_hash


def unpublished(source: Source, path: Path, sha256: str) -> str | None:
    """Why the file with this sha256 is not the published one; None if it is."""
    size = path.stat().st_size
    if source.bytes is not None and size != source.bytes:
        return (
            f"its size is {size} bytes instead of {source.bytes}: it is incomplete or another file"
        )
    published = source.sha256 or source.sha256_starts or ""
    if not sha256.startswith(published):
        return f"its sha256 is {sha256} but should start with {published}: it is another file"
    published = source.md5 or source.md5_starts or ""
    if published and not (found := file_hash(path, "md5")).startswith(published):
        return f"its md5 is {found} but should start with {published}: it is another file"
    return None


def unexpected(name: str, found: str, wanted: str | None) -> str | None:
    """Why a file with the sha256 `found` is not that of models.<name>.sha256; None if it is."""
    if wanted in (None, found):
        return None
    return (
        f"its sha256 is {found}, but models.{name}.sha256 in params.yaml is {wanted}: change the "
        "setting if this is the right file"
    )


def changed(found: str, known: Record | None, record: Path | None) -> str | None:
    """Why a file with the sha256 `found` is not the recorded one; None if it is."""
    if known is None or known.sha256 == found:
        return None
    return (
        f"its sha256 is {found}, but was {known.sha256} at the first download (see {record}): it "
        f"changed at its source. To accept the new file, remove {record} and run this again"
    )
