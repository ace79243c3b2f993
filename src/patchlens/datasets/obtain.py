"""From the catalogue to a folder in place: archives obtained, checked, unpacked, renamed.

A run that is killed leaves nothing at the target: partial downloads are resumed by the next run,
a partial folder is removed and made again.
"""

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from patchlens.datasets.catalogue import Archive, Entry
from patchlens.datasets.csdownload import csdownload, has_csdownload
from patchlens.datasets.unpack import is_archive, unpack
from patchlens.errors import DataError, SourceError
from patchlens.files import whole_folder
from patchlens.progress import log
from patchlens.web.download import download
from patchlens.web.remote import Patience, Remote, fault_of
from patchlens.web.space import check_space


def obtain(
    name: str,
    facts: Entry,
    target: Path,
    work: Path,
    *,
    kind: str,
    archives: Path | None = None,
    patience: Patience | None = None,
) -> None:
    """Make the folder `target`, the root that the dataset's module reads.

    Args:
        name: the dataset's name in params.yaml.
        facts: what the catalogue says of its kind.
        target: appears whole or not at all.
        work: folder for archives that are downloaded, in part or whole; they stay there.
        kind: the kind, whose page describes the layout.
        archives: folder of archives that the user downloaded; None: they are fetched.
        patience: how long to insist on a download.

    Raises:
        SourceError: it cannot be obtained; the message says how else.
        DataError: an archive is damaged, hostile or another one.
    """
    work.mkdir(parents=True, exist_ok=True)
    steps = _steps(name, kind, facts)
    try:
        with FileLock(work / "fetch.lock", timeout=0):
            about = f"{facts.title}. Licence: {facts.licence}. Cite: {facts.citation}"
            log.info("%s: %s", name, about)
            if archives is not None:
                paths = _placed(name, facts, archives, steps)
            else:
                paths = _fetched(name, facts, work, patience, steps)
            check_space(f"what is in {name}", [(target, sum(p.stat().st_size for p in paths))])
            with whole_folder(target) as folder:
                files = sum(
                    _put(archive, path, folder, own=archives is None)
                    for archive, path in zip(facts.archives, paths, strict=True)
                )
    except Timeout:
        raise SourceError(
            f"{work}: another process is fetching into this folder; wait until it has ended"
        ) from None
    log.info("%s: %d files in %s", name, files, target)
    if archives is None:
        log.info("%s: the archives stay in %s for another run; you may delete them", name, work)


def _placed(name: str, facts: Entry, folder: Path, steps: str) -> list[Path]:
    """The archives that the user downloaded, checked."""
    where = f"datasets.{name}.archives in params.yaml: {folder}"
    paths = [folder / archive.file for archive in facts.archives]
    if not paths:
        raise SourceError(f"{where}: no archives of {facts.title} are known. {steps}")
    if missing := [path.name for path in paths if not path.is_file()]:
        raise SourceError(f"{where}: {', '.join(missing)} missing there. {steps}")
    for archive, path in zip(facts.archives, paths, strict=True):
        fault = fault_of(path, archive.checksum)
        if fault is not None:
            raise SourceError(f"{path}: {fault}; download it again")
    return paths


def _fetched(
    name: str, facts: Entry, work: Path, patience: Patience | None, steps: str
) -> list[Path]:
    """The archives, downloaded into `work`."""
    if facts.access == "csdownload" and has_csdownload():
        return csdownload(facts.archives, work)
    if facts.access != "open" or not facts.archives:
        raise SourceError(f"{name}: {facts.title} has no open download. {steps}")
    remotes = [Remote(a.url, work / a.file, a.checksum) for a in facts.archives]
    try:
        # Twice: the archives, and what is in them.
        download(remotes, what=f"download {name}", jobs=2, room=2, patience=patience)
    except SourceError as error:
        raise SourceError(f"{error}. Else: {steps}") from None
    return [remote.path for remote in remotes]


def _steps(name: str, kind: str, facts: Entry) -> str:
    """What the user can do instead, exactly."""
    files = ", ".join(f"{a.file} (md5 {a.md5 or 'not published'})" for a in facts.archives)
    archives = f"datasets.{name}.archives to the folder that holds {files}, or " if files else ""
    return (
        f"{facts.how.rstrip('.') or 'Download it by hand'} (see {facts.homepage}). Then set, in "
        f"params.yaml, {archives}datasets.{name}.root to the unpacked folder in the layout of "
        f"docs/datasets/{kind}.md"
    )


def _put(archive: Archive, path: Path, folder: Path, *, own: bool) -> int:
    """Unpack or copy one file of the catalogue below `folder`; returns how many files that gave."""
    place = folder / archive.into
    place.mkdir(parents=True, exist_ok=True)
    if not is_archive(archive.file):
        shutil.copyfile(path, place / archive.file)
        return 1
    try:
        return unpack(path, place)
    except DataError:
        if own and archive.md5 is None:
            path.unlink()  # with no checksum, only this shows that the next run must fetch it anew
        raise
