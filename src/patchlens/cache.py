"""The cache of the user: what takes long to make again, shared by all workspaces of a machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from patchlens.progress import log

CACHE = "PATCHLENS_CACHE"  # the folder of the cache, or OFF
OFF = "off"


def user_cache() -> Path | None:
    """Its folder; None if it is off."""
    given = os.environ.get(CACHE, "")
    if given == OFF:
        return None
    from platformdirs import user_cache_path

    return Path(given).expanduser() if given else user_cache_path("patchlens")


@contextmanager
def keep(path: Path) -> Iterator[Path]:
    """Yield a temporary path, renamed to `path` in the end; what fails is one line of the log.

    Other processes, also of other machines, may keep the same. Without it, only time is lost.
    """
    partial = path.with_suffix(f".{uuid4().hex}.partial")
    try:
        with suppress(OSError):  # the file then cannot be written either
            path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except (OSError, ValueError) as error:
        log.warning("%s: not kept for later runs (%s); %s=%s", path, error, CACHE, OFF)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
