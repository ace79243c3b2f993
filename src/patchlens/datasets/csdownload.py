"""Downloads Cityscapes' archives with `csDownload` of cityscapesscripts and the user's login.

The command asks for name and password on the terminal, or uses stored ones; neither of them is
visible to patchlens. Source: github.com/mcordts/cityscapesScripts, download/downloader.py.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from patchlens.datasets.catalogue import Archive
from patchlens.errors import SourceError
from patchlens.files import check_space
from patchlens.progress import log
from patchlens.web.download import fault_of

COMMAND = "csDownload"


def has_csdownload() -> bool:
    """Whether the command is installed."""
    return shutil.which(COMMAND) is not None


def csdownload(archives: Sequence[Archive], folder: Path) -> list[Path]:
    """Download the archives that are not yet in `folder`; return the paths of all.

    Raises:
        SourceError: the command failed, or a downloaded file is not as published.
    """
    paths = [folder / archive.file for archive in archives]
    missing = [
        (archive, path)
        for archive, path in zip(archives, paths, strict=True)
        if not path.is_file() or fault_of(path, archive.checksum)
    ]
    if not missing:
        return paths
    sizes = {path: path.stat().st_size if path.is_file() else 0 for _, path in missing}
    # Twice: the archives, and their content.
    needed = [(folder, max(2 * (a.roughly or 0) - sizes[path], 0)) for a, path in missing]
    check_space("the archives and their content", needed)
    resume = ["-r"] if any(path.is_file() for path in sizes) else []
    command = [COMMAND, *resume, "-d", str(folder), *(archive.file for archive, _ in missing)]
    log.info("%s asks for your login: %s", COMMAND, " ".join(command))
    done = subprocess.run(command, check=False)
    for archive, path in missing:
        fault = "missing"
        if path.is_file():
            fault = fault_of(path, archive.checksum) or ""
        if not fault:
            continue
        # It appends to an existing file: a complete but wrong one would stay wrong for ever,
        # but a partial one is hours of download, which a wrong login must not cost.
        if done.returncode == 0 or _too_long(path, archive):
            path.unlink(missing_ok=True)
        hint = f"; if it does not resume {path.name}, delete that file" if path.is_file() else ""
        raise SourceError(
            f"{path}: {fault}; {COMMAND} ended with exit code {done.returncode}. Read its messages "
            f"above, check your login on www.cityscapes-dataset.com, and run this again{hint}"
        )
    return paths


def _too_long(path: Path, archive: Archive) -> bool:
    """Whether the file is larger than the archive, beyond the rounding of the published size."""
    roughly = archive.roughly
    return path.is_file() and roughly is not None and path.stat().st_size > 1.1 * roughly
