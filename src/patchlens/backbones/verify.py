"""Whether a weight file is the one that was meant: published, expected, or as it was before."""

from pathlib import Path

from patchlens.backbones.record import Record
from patchlens.backbones.registry.entry import Source
from patchlens.files import file_hash


def unpublished(source: Source, path: Path, sha256: str) -> str | None:
    """Why the file, of this sha256, is not the published one; None if it is."""
    size = path.stat().st_size
    if source.bytes is not None and size != source.bytes:
        return f"it has {size} bytes, published are {source.bytes}: it is not whole, or another"
    published = source.sha256 or source.sha256_starts or ""
    if not sha256.startswith(published):
        return f"its sha256 is {sha256}, the published one starts {published}: it is another file"
    published = source.md5 or source.md5_starts or ""
    if published and not (found := file_hash(path, "md5")).startswith(published):
        return f"its md5 is {found}, the published one starts {published}: it is another file"
    return None


def unexpected(name: str, found: str, wanted: str | None) -> str | None:
    """Why a file of the sha256 `found` is not the one in models.<name>.sha256; None if it is."""
    if wanted in (None, found):
        return None
    return (
        f"its sha256 is {found}, models.{name}.sha256 in params.yaml says {wanted}: mend the "
        "setting if you mean this file"
    )


def changed(found: str, known: Record | None, record: Path | None) -> str | None:
    """Why a file of the sha256 `found` is not the one that came first; None if it is."""
    if known is None or known.sha256 == found:
        return None
    return (
        f"its sha256 is {found}, and was {known.sha256} when it first came (see {record}): it "
        f"changed at its source. If you mean the new one, remove {record} and run this again"
    )
