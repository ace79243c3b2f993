"""Reading a `torch.save` file without running anything that it asks for.

A pickle names classes and functions to call. torch's own restricted unpickler (`weights_only=True`)
knows those of tensors and refuses all others. The few that official files hold beside their
weights, such as the command line of the training run, are allowed by name, and never imported even
then: a stand-in takes their place, so that naming one here cannot run anything either.
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
NO_PICKLE = "Unsupported operand"  # torch's word for a byte that it never writes
ASKED = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")


class _Opaque:
    """Stands for an object beside the weights; what it is made of is thrown away."""

    def __new__(cls, *_: object) -> "_Opaque":
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_pickle(path: Path, allowed: Sequence[str] = ()) -> dict[str, Any]:
    """What a `torch.save` file holds; tensors of the zip format stay on disk until they are used.

    Args:
        path: the file.
        allowed: full names (`argparse.Namespace`) of classes that it may hold beside the tensors;
            their objects are replaced by empty ones, those of `yacs.config.CfgNode` by dicts.

    Raises:
        SourceError: the file is cut short, or no torch file.
        DataError: it holds no dict, or asks for something else, which is named.
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
            f"{path}: refused, it is no plain file of tensors ({_asked(str(error))}); nothing in "
            "it was run"
        ) from None
    except Exception as error:  # a broken pickle fails in every way there is
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, not named tensors")
    return content


def _asked(text: str) -> str:
    """What the file asked for, out of torch's advice to switch the protection off."""
    if found := ASKED.search(text):
        return f"it asks for {found[1]}, which `pickled` does not list"
    reason = text.partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    return reason or "its bytes are none that torch writes"


def _unreadable(path: Path, error: Exception) -> DataError | SourceError:
    text = " ".join(str(error).split()) or type(error).__name__
    if "TorchScript" in text:
        return DataError(
            f"{path}: refused, it is a TorchScript program and no plain file of tensors; nothing "
            "was run"
        )
    reason = NO_PICKLE if NO_PICKLE in text else text
    return SourceError(f"{path}: not a readable torch file ({reason}); bring it once more")
