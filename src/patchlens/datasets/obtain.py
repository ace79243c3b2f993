"""From a card to a folder in place: licence stated, archives had and checked, unpacked, renamed.

A run that is killed leaves nothing at the target: partial downloads are resumed by the next run,
a partial folder is removed and made again.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from patchlens.datasets.card import Archive, Card
from patchlens.datasets.csdownload import csdownload, has_csdownload
from patchlens.datasets.unpack import is_archive, unpack
from patchlens.errors import DataError, SourceError
from patchlens.files import whole_folder
from patchlens.progress import log
from patchlens.web.download import download
from patchlens.web.remote import Patience, Remote, fault_of


def obtain(
    name: str,
    card: Card,
    target: Path,
    work: Path,
    *,
    archives: Path | None = None,
    jobs: int = 2,
    patience: Patience | None = None,
) -> None:
    """Make the folder `target`, the root that the dataset's module reads.

    Args:
        name: the dataset's name in params.yaml.
        card: what is known of its kind.
        target: appears whole or not at all.
        work: folder for partial work and for downloaded archives, which stay there.
        archives: folder of archives that the user downloaded; None: they are fetched.
        jobs: how many files are downloaded at a time.
        patience: how long to insist on a download.

    Raises:
        SourceError: it cannot be had; the message says how else.
        DataError: an archive is damaged, hostile or another one.
    """
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / f"{name}.lock", timeout=0):
            log.info("%s: %s. Licence: %s. Cite: %s", name, card.title, card.licence, card.citation)
            if archives is not None:
                paths = _placed(name, card, archives)
            else:
                paths = _fetched(name, card, work, jobs, patience)
            with _in_place(target, work / f"{name}.unpacking") as folder:
                files = sum(
                    _put(archive, path, folder, own=archives is None)
                    for archive, path in zip(card.archives, paths, strict=True)
                )
    except Timeout:
        raise SourceError(
            f"{work}: another process is fetching '{name}'; wait until it has ended"
        ) from None
    log.info("%s: %d files in %s", name, files, target)
    if archives is None:
        log.info("%s: the archives stay in %s for another run; you may delete them", name, work)


def _placed(name: str, card: Card, folder: Path) -> list[Path]:
    """The archives that the user downloaded, checked."""
    where = f"datasets.{name}.archives in params.yaml: {folder}"
    paths = [folder / archive.file for archive in card.archives]
    if not paths:
        raise SourceError(f"{where}: no archives of {card.title} are known. {_steps(name, card)}")
    if missing := [path.name for path in paths if not path.is_file()]:
        raise SourceError(f"{where}: {', '.join(missing)} missing there. {_steps(name, card)}")
    for archive, path in zip(card.archives, paths, strict=True):
        fault = fault_of(path, archive.checksum, archive.size)
        if fault is not None:
            raise SourceError(f"{path}: {fault}; download it again")
    return paths


def _fetched(name: str, card: Card, work: Path, jobs: int, patience: Patience | None) -> list[Path]:
    """The archives, downloaded into `work`."""
    if card.kind == "cityscapes" and has_csdownload():
        return csdownload(card.archives, work)
    if card.access != "open" or not card.archives:
        raise SourceError(f"{name}: {card.title} has no open download. {_steps(name, card)}")
    remotes = [Remote(a.url, work / a.file, a.checksum, a.size) for a in card.archives]
    try:
        # Twice: the archives, and what is in them.
        download(remotes, what=f"download {name}", jobs=jobs, room=2, patience=patience)
    except SourceError as error:
        raise SourceError(f"{error}. Else: {_steps(name, card)}") from None
    return [remote.path for remote in remotes]


def _steps(name: str, card: Card) -> str:
    """What the user can do instead, exactly."""
    files = ", ".join(f"{a.file} (md5 {a.md5 or 'not published'})" for a in card.archives)
    archives = f"datasets.{name}.archives to the folder that holds {files}, or " if files else ""
    return (
        f"{card.how.rstrip('.') or 'Download it by hand'} (see {card.homepage}). Then set, in "
        f"params.yaml, {archives}datasets.{name}.root to the unpacked folder in the layout of "
        f"docs/datasets/{card.kind}.md"
    )


def _put(archive: Archive, path: Path, folder: Path, *, own: bool) -> int:
    """Unpack or copy one file of the card below `folder`; returns how many files that gave."""
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


@contextmanager
def _in_place(target: Path, partial: Path) -> Iterator[Path]:
    """Yield the empty folder `partial`; it becomes `target` when the block ends without error."""
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    partial.mkdir()
    try:
        yield partial
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        try:
            partial.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # `target` is on another disk, where a rename cannot reach.
            with whole_folder(target) as copy:
                shutil.copytree(partial, copy, dirs_exist_ok=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
