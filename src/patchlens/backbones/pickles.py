"""Reading a `torch.save` file without executing code from it.

A pickle names classes and functions to call. torch's restricted unpickler (`weights_only=True`)
accepts those of tensors and refuses all others. A few other classes in official files, such as the
command line of the training run, are allowed by name, but never imported: a placeholder replaces
them, so that allowing a name cannot execute code either.
"""

import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from patchlens.errors import DataError, SourceError

# Dicts by another name; torch's unpickler fills no other subclass of dict than this one.
DICTS = {"yacs.config.CfgNode": OrderedDict}
NO_PICKLE = "Unsupported operand"  # torch's message for a byte that it never writes
ASKED = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")


class _Opaque:
    """Placeholder for an object beside the weights; its content is discarded."""

    def __new__(cls, *_: object) -> "_Opaque":
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_pickle(path: Path, allowed: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a `torch.save` file; in the zip format, tensors stay on disk until used.

    Args:
        path: the file.
        allowed: full names (`argparse.Namespace`) of classes that it may contain beside tensors;
            their objects become empty ones, those of `yacs.config.CfgNode` become dicts.

    Raises:
        SourceError: the file is truncated, or not a torch file.
        DataError: it does not contain a dict, or refers to a class that is not allowed.
    """
    stand_ins: list[Any] = [(DICTS.get(name, _Opaque), name) for name in allowed]
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises other ways of loading
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        if NO_PICKLE in str(error):
            raise _unreadable(path, error) from None
        raise DataError(
            f"{path}: refused, not a plain file of tensors ({_asked(str(error))}); nothing in it "
            "was executed"
        ) from None
    except Exception as error:  # a broken pickle can raise any exception
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: contains a {type(content).__name__} instead of named tensors")
    return content


def _asked(text: str) -> str:
    """The class that the file refers to, from torch's advice to disable the protection."""
    if found := ASKED.search(text):
        return f"it refers to {found[1]}, which `pickled` does not list"
    reason = text.partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    return reason or "torch does not write such bytes"


def _unreadable(path: Path, error: Exception) -> DataError | SourceError:
    text = " ".join(str(error).split()) or type(error).__name__
    if "TorchScript" in text:
        return DataError(
            f"{path}: refused, a TorchScript program instead of a plain file of tensors; nothing "
            "was executed"
        )
    reason = NO_PICKLE if NO_PICKLE in text else text
    return SourceError(f"{path}: not a readable torch file ({reason}); download it again")
