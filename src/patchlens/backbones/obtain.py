"""The official file of a model: from the hub or the web, or placed by the user.

Every file is checked before it is read, against all that is known: the published hash, the hash
that the user expects, and the record of the first download.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from patchlens.backbones.hub import HubFile, damage
from patchlens.backbones.record import Record, read_record
from patchlens.backbones.registry.entry import Source
from patchlens.backbones.verify import changed, unexpected, unpublished
from patchlens.errors import SettingsError, SourceError
from patchlens.files import file_hash
from patchlens.progress import log
from patchlens.settings.sources import UNOFFICIAL, Elsewhere
from patchlens.web.download import Patience, Remote, download


@dataclass(frozen=True)
class Obtained:
    """A complete and checked file, and its provenance.

    Attributes:
        path: its path; read-only.
        sha256: of the whole file, in hex.
        origin: where it came from, with the commit for a file of the hub.
        record: the record that later runs compare their file with.
    """

    path: Path
    sha256: str
    origin: str
    record: Record


@dataclass(frozen=True)
class _Located:
    path: Path
    origin: str
    revision: str = ""
    own: bool = False  # downloaded by us: removed if it is wrong


def obtain(
    name: str,
    source: Source,
    licence: str,
    non_commercial: bool,
    *,
    work: Path,
    file: Path | None = None,
    sha256: str | None = None,
    record: Path | None = None,
    patience: Patience | None = None,
    sources: Mapping[str, Elsewhere] | None = None,
) -> Obtained:
    """Obtain the file of the model `name` and check it before it is read.

    Args:
        name: the slot in `models:`, for messages.
        source: the address of the official file and what is published about it.
        licence: as stated, logged before the download.
        non_commercial: whether it forbids commercial use, logged as a warning before the download.
        work: folder for downloads; complete files are kept, partial ones are resumed.
        file: path where the user placed the official file; then nothing is downloaded.
        sha256: the hash that the user expects (models.<name>.sha256).
        record: JSON record of an earlier run; the same source must give the same file.
        patience: how long to retry a download.
        sources: other addresses of official files, by their official address.

    Raises:
        SettingsError: `sha256` is not the published one, or the settings contradict each other.
        SourceError: the file cannot be obtained or is another file; a wrong download is removed.
        DataError: `record` is damaged.
    """
    other, official = (sources or {}).get(source.address), source.address
    if other is not None:
        source = _elsewhere(name, source, other, file)
    if None not in (sha256, source.sha256) and sha256 != source.sha256:
        raise SettingsError(
            f"params.yaml: models.{name}.sha256: the published hash is {source.sha256}; remove the "
            "key, or describe your own file with `source: file`"
        )
    whole_hash = sha256 or source.sha256
    # A full hash overrides a record, and is how the user accepts a changed file.
    known = None if record is None or whole_hash is not None else read_record(record)
    asked = source.address
    if known is not None and known.source != asked:
        known = None
    log.info("%s: %s. Licence: %s", name, asked if file is None else file, licence)
    if non_commercial:
        log.warning("%s: its licence (%s) forbids commercial use", name, licence)
    if file is not None:
        found = _placed(name, source, file)
    elif source.kind == "hub":
        found = _from_hub(name, source, work, known)
    else:
        found = _from_web(name, source, work, patience)
    digest = file_hash(found.path, "sha256")
    fault = (
        unpublished(source, found.path, digest)
        or unexpected(name, digest, sha256)
        or changed(digest, known, record)
    )
    if fault is not None:
        if found.own:
            found.path.unlink()
            fault += ". The file was removed"
        raise SourceError(f"{found.origin if file is None else file}: {fault}")
    if whole_hash is None and known is None:
        log.info("%s: no hash is published; recording the sha256 of this file: %s", name, digest)
        if file is not None and not source.published:
            log.warning(
                "%s: nothing shows that %s is the official file; another one of the same shapes "
                "would be measured as %s. Compare it with %s",
                name,
                file,
                name,
                asked,
            )
    origin = found.origin
    if other is not None:
        note = f", {UNOFFICIAL}" if other.other_content else ""
        origin = f"{official} from {origin}{note}"
    revision = found.revision or ("" if known is None else known.revision)
    now = Record(asked, revision, digest, found.path.stat().st_size)
    return Obtained(found.path, digest, origin, now)


def _elsewhere(name: str, source: Source, other: Elsewhere, file: Path | None) -> Source:
    """The source with the address of the settings, and with the hashes that its file must have."""
    where = f"params.yaml: sources.{source.address}"
    if file is not None:
        raise SettingsError(f"{where}: models.{name}.file also says where it is; remove one")
    if other.other_content:
        return Source.model_construct(kind="url", url=other.url, sha256=other.sha256)
    if source.sha256 not in (None, other.sha256):
        raise SettingsError(
            f"{where}.sha256: the published hash is {source.sha256}; correct it, or set "
            "other_content: true, which marks every score"
        )
    if source.published is None:
        log.warning(
            "%s: nothing shows that %s is the official file %s, as no hash is published",
            name,
            other.url,
            source.address,
        )
    moved = {"kind": "url", "url": other.url, "gated": False, "sha256": other.sha256}
    return source.model_copy(update=moved)


def _placed(name: str, source: Source, file: Path) -> _Located:
    if not file.is_file():
        raise SourceError(
            f"{file}: no such file, but models.{name}.file in params.yaml refers to it. Download "
            f"it from {source.address} and place it there"
        )
    return _Located(file, f"file {file.name}, placed by the user, from {source.address}")


def _from_hub(name: str, source: Source, work: Path, known: Record | None) -> _Located:
    pinned = source.revision or (known.revision if known is not None else None)
    asked = HubFile(str(source.repo), str(source.file), pinned or "main")
    if (cached := asked.cached()) is not None:
        path, commit = cached
        if fault := damage(path, file_hash(path, "sha256")):
            raise SourceError(f"{path}: {fault}; remove it (`rm {path.resolve()}`), then run again")
        log.info("%s: found in the hub's cache: %s", name, path)
        return _Located(path, asked.at(commit), commit)
    path, commit = asked.fetch(work / "huggingface.co")
    return _Located(path, asked.at(commit), commit, own=True)


def _from_web(name: str, source: Source, work: Path, patience: Patience | None) -> _Located:
    origin = source.address
    if source.gated:
        raise SourceError(
            f"{origin}: this file requires accepting its terms. Accept them on the page that "
            f"`patchlens models show` names, download the file and set models.{name}.file in "
            "params.yaml to its path"
        )
    if source.kind == "drive":
        raise SourceError(
            f"{origin}: Google Drive sends this file to browsers only. Open the address in one, "
            f"download {source.file} and set models.{name}.file in params.yaml to its path"
        )
    parts = urlsplit(origin)
    path = work.joinpath(parts.netloc, *PurePosixPath(parts.path.lstrip("/")).parts)
    published = None if source.sha256 is None else f"sha256:{source.sha256}"
    if published is None and source.md5 is not None:
        published = f"md5:{source.md5}"
    try:
        remote = Remote(origin, path, published, source.bytes)
        # Twice: the file and the converted file.
        download([remote], what=f"download {name}", room=2, patience=patience)
    except SourceError as error:
        raise SourceError(
            f"{error}. Otherwise download {origin} yourself and set models.{name}.file in "
            "params.yaml to its path (source: registry or file)"
        ) from None
    return _Located(path, origin, own=True)
