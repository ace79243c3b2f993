"""Cityscapes' archives by `csDownload`, the command of cityscapesscripts, with the user's login.

The command asks for name and password on the terminal, or uses those that it stored; nothing of
them passes through here. Source: github.com/mcordts/cityscapesScripts, download/downloader.py.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from patchlens.datasets.card import Archive
from patchlens.errors import SourceError
from patchlens.progress import log
from patchlens.web.remote import fault_of

COMMAND = "csDownload"


def has_csdownload() -> bool:
    """Whether the command is installed."""
    return shutil.which(COMMAND) is not None


def csdownload(archives: Sequence[Archive], folder: Path) -> list[Path]:
    """Bring the archives that are not yet in `folder`; returns the paths of all.

    Raises:
        SourceError: the command failed, or what it brought is not as published.
    """
    paths = [folder / archive.file for archive in archives]
    missing = [
        (archive, path)
        for archive, path in zip(archives, paths, strict=True)
        if not path.is_file() or fault_of(path, archive.checksum, archive.size)
    ]
    if not missing:
        return paths
    before = {path: path.stat().st_size for _, path in missing if path.is_file()}
    resume = ["-r"] if before else []
    command = [COMMAND, *resume, "-d", str(folder), *(archive.file for archive, _ in missing)]
    log.info("%s asks for your login: %s", COMMAND, " ".join(command))
    done = subprocess.run(command, check=False)
    for archive, path in missing:
        fault = "it is missing"
        if path.is_file():
            fault = fault_of(path, archive.checksum, archive.size) or ""
        if not fault:
            continue
        size = path.stat().st_size if path.is_file() else 0
        # It appends to what is there: a file that is complete but wrong would stay wrong for ever.
        if done.returncode == 0 or size == before.get(path):
            path.unlink(missing_ok=True)
        raise SourceError(
            f"{path}: {fault}; {COMMAND} ended with exit code {done.returncode}. Read what it says "
            "above, check your login on www.cityscapes-dataset.com, and run this again"
        )
    return paths
