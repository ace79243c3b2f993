"""Errors that a user can fix: each has a message and an exit code, and prints no traceback."""

import errno
import re
import shutil
from pathlib import Path


class PatchlensError(Exception):
    """An error that the user can fix. The message names the file, key or value, and the remedy."""

    exit_code = 1


class SettingsError(PatchlensError):
    """`params.yaml` or a command-line name is wrong."""

    exit_code = 2


class TrainingError(PatchlensError):
    """Pre-training that must stop: the loss is not finite, or the features collapsed."""


class FitError(PatchlensError):
    """A classifier cannot be fitted to these patches with these settings."""

    exit_code = 2


class SourceError(PatchlensError):
    """Weights or a dataset cannot be obtained: no network, no access, a wrong or missing file."""

    exit_code = 3


class DataError(PatchlensError):
    """The content of a dataset, a weight file or a feature file is not as expected."""

    exit_code = 4


class MachineError(PatchlensError):
    """The machine lacks something: disk space, rights, memory, a limit on files or processes."""

    exit_code = 5


FREE = "free some space, then run the same command again"
MEMORY = (
    "run fewer things at once (`make repro JOBS=1`), lower features.batch_size in params.yaml, or "
    "take a machine with more memory"
)
RIGHTS = "correct its rights, or work in a folder of your own"
LACKS = {  # errno -> what is the case, and what to do
    errno.ENOSPC: ("the disk is full", FREE),
    errno.EDQUOT: ("your quota of disk space is used up", FREE),
    errno.EFBIG: ("it is larger than the limit on files", "raise it with `ulimit -f unlimited`"),
    errno.EROFS: ("the file system is read-only", "work in a folder that can be written"),
    errno.EACCES: ("permission denied", RIGHTS),
    errno.EPERM: ("not permitted", RIGHTS),
    errno.EIO: ("the disk, or the connection to it, fails", "save what you can, and replace it"),
    errno.EMFILE: ("too many files are open", "raise the limit with `ulimit -n 65536`"),
    errno.ENFILE: ("too many files are open on this machine", "end other programs"),
    errno.ENOMEM: ("out of memory", MEMORY),
    errno.EAGAIN: ("no more processes can start", "end others, raise `ulimit -u`, or free memory"),
    errno.EEXIST: ("something else stands in its place", "move it away"),
    errno.EISDIR: ("is a folder, not a file", "move it away"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "move that file away"),
    errno.ELOOP: ("links that lead to themselves", "remove the link"),
}
LITTLE = 1 << 20  # bytes: a disk with less is full, for an error that does not say so


def of_machine(error: BaseException, place: object) -> MachineError | None:
    """An error of what the machine lacks as one line; None for any other error.

    Args:
        error: of the operating system, or of a library that reports one in its own way.
        place: the file that was written or the command, where the error names no file.
    """
    if isinstance(error, PatchlensError):  # may quote the number of an error of the system
        return None
    shown = first_line(error)
    if type(error).__name__ == "OutOfMemoryError" or "CUDA error: out of memory" in shown:  # torch
        remedy = f"end other programs on it (`nvidia-smi`), write device: cpu, or {MEMORY}"
        return MachineError(f"{place}: the GPU is out of memory ({shown}); {remedy}")
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in shown:
        return MachineError(f"{place}: out of memory ({shown}); {MEMORY}")
    if type(error).__name__ == "BrokenProcessPool":
        return MachineError(
            f"{place}: one of its processes was killed, most often as memory was used up; {MEMORY}"
        )
    if "can't start new thread" in shown:
        number: int | None = errno.EAGAIN
    else:
        number = getattr(error, "errno", None) if isinstance(error, OSError) else None
        said = re.search(r"(?:os error|errno|code:) (\d+)", str(error), re.IGNORECASE)
        number = number or (int(said[1]) if said else None)
        if number is None and "requested and" in shown:  # numpy: 2000 requested and 496 written
            number = errno.ENOSPC
    if number is None and isinstance(error, OSError | RuntimeError) and isinstance(place, Path):
        near = next((folder for folder in place.absolute().parents if folder.exists()), Path())
        number = errno.ENOSPC if shutil.disk_usage(near).free < LITTLE else None
    if number is None:  # it may be what a cleanup met after the error of the machine
        behind = None if error.__suppress_context__ else error.__context__
        known = behind is not None and getattr(behind, "errno", None) in (None, *LACKS)
        return of_machine(behind, place) if behind and known else None
    named = getattr(error, "filename", None)
    where = _final(named) if isinstance(named, str) else place
    other = (getattr(error, "strerror", None) or shown).lower(), "mend this and run it again"
    what, remedy = LACKS.get(number, other)
    return MachineError(f"{where}: {what}; {remedy}")


def first_line(error: BaseException) -> str:
    """The type and the message of an error, short enough for a part of a line."""
    kind, text = type(error).__name__, said(error)
    text = text if len(text) <= 160 else f"{text[:160]}…"
    return f"{kind}: {text}" if text != kind else kind


def said(error: BaseException) -> str:
    """The message of an error on one line; its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _final(name: str) -> Path:
    """The name under which `files` will put what it writes now."""
    return Path(*(re.sub(r"^\.(.+?)(\.old)?\.partial$", r"\1", part) for part in Path(name).parts))
