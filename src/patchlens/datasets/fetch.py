"""Stage fetch: downloads, checks and unpacks the archives of a dataset of the catalogue.

A killed run leaves nothing at the target. The next run resumes partial downloads, and removes and
rebuilds an incomplete folder.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from patchlens import paths
from patchlens.datasets.catalogue import Archive, Entry, find
from patchlens.datasets.csdownload import csdownload, has_csdownload
from patchlens.datasets.unpack import is_archive, unpack
from patchlens.errors import DataError, SettingsError, SourceError
from patchlens.files import check_space, whole_folder
from patchlens.names import DatasetName
from patchlens.progress import log
from patchlens.settings.datasets import Collected
from patchlens.settings.sources import MARK, UNOFFICIAL, Elsewhere
from patchlens.web.download import Patience, Remote, download, fault_of


def run(
    dataset: DatasetName, settings: Collected, sources: Mapping[str, Elsewhere] | None = None
) -> None:
    """Make data/raw/<dataset>, completely or not at all."""
    obtain(
        dataset,
        find(settings.kind),
        paths.raw(dataset),
        paths.WORK / "fetch" / settings.kind,
        kind=settings.kind,
        archives=None if settings.archives is None else Path(settings.archives),
        sources=sources,
    )


def obtain(
    name: str,
    facts: Entry,
    target: Path,
    work: Path,
    *,
    kind: str,
    archives: Path | None = None,
    patience: Patience | None = None,
    sources: Mapping[str, Elsewhere] | None = None,
) -> None:
    """Make the folder `target`, the root that the dataset's reader reads.

    Args:
        name: the dataset's name in params.yaml.
        facts: the catalogue's entry of its kind.
        target: is written completely or not at all.
        work: folder for complete and partial downloads of archives, which are kept.
        kind: the kind, whose page describes the layout.
        archives: folder of archives that the user downloaded; None to download them.
        patience: how long to retry a download.
        sources: other addresses of archives, by their official address.

    Raises:
        SettingsError: `archives` although an archive of the kind has another address.
        SourceError: it cannot be obtained; the message explains how to obtain it by hand.
        DataError: an archive is damaged, malicious or not the published one.
    """
    work.mkdir(parents=True, exist_ok=True)
    steps = _steps(name, kind, facts)
    others = {a.file: sources[a.url] for a in facts.archives if sources and a.url in sources}
    if others and archives is not None:
        raise SettingsError(
            f"params.yaml: datasets.{name}.archives and 'sources' both say where {min(others)} is; "
            "remove one of them"
        )
    try:
        with FileLock(work / "fetch.lock", timeout=0):
            about = f"{facts.title}. Licence: {facts.licence}. Cite: {facts.citation}"
            log.info("%s: %s", name, about)
            if archives is not None:
                paths = _placed(name, facts, archives, steps)
            else:
                paths = _fetched(name, facts, work, patience, steps, others)
            check_space(f"the content of {name}", [(target, sum(p.stat().st_size for p in paths))])
            with whole_folder(target) as folder:
                files = sum(
                    _put(archive, path, folder, own=archives is None)
                    for archive, path in zip(facts.archives, paths, strict=True)
                )
                if made := sorted(n for n, other in others.items() if other.other_content):
                    (folder / MARK).write_text(f"{UNOFFICIAL}: {', '.join(made)}\n", "utf-8")
    except Timeout:
        raise SourceError(
            f"{work}: another process is downloading to this folder; wait until it has finished"
        ) from None
    log.info("%s: %d files in %s", name, files, target)
    if archives is None:
        log.info("%s: the archives are kept in %s for later runs; you may delete them", name, work)


def _placed(name: str, facts: Entry, folder: Path, steps: str) -> list[Path]:
    """The archives that the user downloaded, checked."""
    where = f"datasets.{name}.archives in params.yaml: {folder}"
    paths = [folder / archive.file for archive in facts.archives]
    if not paths:
        raise SourceError(f"{where}: the catalogue has no archives of {facts.title}. {steps}")
    if missing := [path.name for path in paths if not path.is_file()]:
        raise SourceError(f"{where}: {', '.join(missing)} missing in it. {steps}")
    for archive, path in zip(facts.archives, paths, strict=True):
        fault = fault_of(path, archive.checksum)
        if fault is not None:
            raise SourceError(f"{path}: {fault}; download it again")
    return paths


def _fetched(
    name: str,
    facts: Entry,
    work: Path,
    patience: Patience | None,
    steps: str,
    others: Mapping[str, Elsewhere],
) -> list[Path]:
    """The archives, downloaded into `work`; those of other addresses into folders of their own."""
    if facts.access == "csdownload" and has_csdownload() and not others:
        return csdownload(facts.archives, work)
    closed = [a.url for a in facts.archives if facts.access != "open" and a.file not in others]
    if closed or not facts.archives:
        lack = f"; 'sources' lacks {', '.join(closed)}" if others else ""
        raise SourceError(f"{name}: {facts.title} has no open download{lack}. {steps}")
    remotes = []
    for archive in facts.archives:
        found, folder = archive, work
        if (other := others.get(archive.file)) is not None:
            found, folder = archive.at(other), work / other.sha256[:16]
            log.info("%s: %s from %s", name, archive.file, other.url)
        remotes.append(Remote(found.url, folder / archive.file, found.checksum))
    try:
        # Twice: the archives, and their content.
        download(remotes, what=f"download {name}", jobs=2, room=2, patience=patience)
    except SourceError as error:
        raise SourceError(f"{error}. Alternatively: {steps}") from None
    return [remote.path for remote in remotes]


def _steps(name: str, kind: str, facts: Entry) -> str:
    """The exact steps to obtain the dataset by hand."""
    files = ", ".join(f"{a.file} (md5 {a.md5 or 'not published'})" for a in facts.archives)
    archives = f"datasets.{name}.archives to the folder with {files}, or " if files else ""
    return (
        f"{facts.how.rstrip('.') or 'Download it by hand'} (see {facts.homepage}). Then set in "
        f"params.yaml {archives}datasets.{name}.root to the unpacked folder in the layout of "
        f"docs/datasets/{kind}.md"
    )


def _put(archive: Archive, path: Path, folder: Path, *, own: bool) -> int:
    """Unpack or copy one file of the catalogue below `folder`; return the number of files."""
    place = folder / archive.into
    place.mkdir(parents=True, exist_ok=True)
    if not is_archive(archive.file):
        shutil.copyfile(path, place / archive.file)
        return 1
    try:
        return unpack(path, place)
    except DataError:
        if own and archive.md5 is None:
            path.unlink()  # without a checksum, only this makes the next run download it again
        raise
