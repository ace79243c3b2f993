"""Reading a `torch.save` file without executing code from it.

A pickle names classes and functions to call. torch's restricted unpickler (`weights_only=True`)
accepts those of tensors and refuses all others. What training runs store beside their weights, such
as their command line or a curve, is skipped: a placeholder replaces every other class, none is ever
imported, so that no name can execute code, listed or not. Names that are neither data of a common
library nor listed by the user are refused all the same, since they say that the file is another.
"""

import fnmatch
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from patchlens.errors import DataError, SourceError, said

TYPES = "bool bytes complex dict float frozenset int list object range set slice str tuple type"
# Data that training runs pickle beside their weights, as patterns of full names.
SKIPPED = (
    *(f"builtins.{name}" for name in TYPES.split()),
    *("argparse.Namespace", "collections.*", "copyreg._reconstructor", "datetime.*"),
    *("decimal.Decimal", "fractions.Fraction", "functools.partial", "pathlib.*"),
    *("types.SimpleNamespace", "uuid.UUID", "numpy.*", "torch.optim.*", "torch.torch_version.*"),
    *("addict.*", "box.*", "easydict.*", "ml_collections.*", "munch.*", "omegaconf.*", "yacs.*"),
    *("detectron2.*", "fvcore.*", "lightning.*", "lightning_fabric.*", "pytorch_lightning.*"),
    *("mmcv.*", "mmengine.*", "transformers.*", "torch.nn.modules.*"),
)
# Modules of functions that act on the machine; no checkpoint has a reason to name one.
ACTING = re.compile(
    r"(builtins|commands|ctypes|importlib|marshal|nt|os|pdb|pickle|posix|pty|runpy|shutil|socket"
    r"|subprocess|sys|timeit|webbrowser)\."
)
MODULE = re.compile(r"torch\.nn\.modules\.")
NAMES = 200  # distinct classes in one file; the largest configurations have a few dozen

STAND_IN = "stand-in"  # the module of the placeholders, which torch's messages repeat
NO_PICKLE = "Unsupported operand"  # torch's message for a byte that it does not read
ASKED = re.compile(r"GLOBAL (\S+) was not an allowed")
BLOCKED = re.compile(r"GLOBAL (\S+) whose module")
FILLED = re.compile(rf"Can only (SETITEM|append).*<class '{STAND_IN}\.(\S+)'>")
PROTOCOL = re.compile(r"pickle protocol (\d+)")
RESAVE = "re-save the weights where they were trained: torch.save(model.state_dict(), 'plain.pth')"


class _Object:
    """Placeholder for an object beside the weights; its content is discarded."""

    def __new__(cls, *_: object) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _List(list[Any]):
    """Placeholder for what is filled like a list."""

    def __new__(cls, *_: object) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass


class _Dict:
    """Placeholder for what is filled like a dict: torch fills no other subclass than this one."""

    def __new__(cls, *_: object) -> Any:
        return OrderedDict()


def read_pickle(path: Path, allowed: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a `torch.save` file; in the zip format, tensors stay on disk until used.

    Args:
        path: the file.
        allowed: full names of classes that it may contain beside tensors and `SKIPPED`. Objects of
            all these become empty ones, lists or dicts.

    Raises:
        SourceError: the file is truncated, or not a torch file.
        DataError: it does not contain a dict, or refers to a class that is not allowed.
    """
    kinds: dict[str, type] = {}
    while True:
        try:
            content = _restricted(path, kinds)
            break
        except pickle.UnpicklingError as error:
            if not _learned(str(error), kinds):
                raise _refused(path, str(error)) from None
        except Exception as error:  # a broken pickle can raise any exception
            raise _unreadable(path, error) from None
    known = [*SKIPPED, *allowed]
    unknown = [n for n in kinds if not any(fnmatch.fnmatchcase(n, p) for p in known)]
    whole = any(MODULE.match(name) for name in kinds) and not _holds_weights(content)
    if unknown or whole:
        raise DataError(f"{path}: {_unlisted(path, unknown, whole=whole)}")
    if not isinstance(content, dict):
        raise DataError(f"{path}: contains a {kind_of(content)} instead of named tensors; {RESAVE}")
    return content


def _holds_weights(content: Any) -> bool:
    """Whether tensors have names in the file, or in an entry of it."""
    if not isinstance(content, dict):
        return False
    dicts = [content, *(entry for entry in content.values() if isinstance(entry, dict))]
    return any(isinstance(value, torch.Tensor) for named in dicts for value in named.values())


def kind_of(value: object) -> str:
    """The class of a value in a file, in full where a placeholder stands for it."""
    kind = type(value)
    return kind.__name__ if kind.__module__ != STAND_IN else kind.__qualname__


def _restricted(path: Path, kinds: dict[str, type]) -> Any:
    """The content, with placeholders of these kinds for the classes of these names."""
    stand_ins: list[Any] = [
        (type(name, (kind,), {"__module__": STAND_IN}), name) for name, kind in kinds.items()
    ]
    with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            if path.suffix == ".safetensors":  # torch would take it at its word
                with path.open("rb") as file:
                    return torch.load(file, map_location="cpu", weights_only=True)
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
        except pickle.UnpicklingError as error:
            protocol = PROTOCOL.search(" ".join(str(warning.message) for warning in said))
            if protocol and NO_PICKLE in str(error):
                raise pickle.UnpicklingError(protocol[0]) from None
            raise


def _learned(text: str, kinds: dict[str, type]) -> bool:
    """Whether torch's refusal names a class without a placeholder, or with one of another kind."""
    if found := ASKED.search(text):
        # torch leaves out the module of built-in names.
        name = found[1] if "." in found[1] else f"builtins.{found[1]}"
        if name in kinds or len(kinds) == NAMES:
            return False
        kinds[name] = _Object
        return True
    if (found := FILLED.search(text)) and kinds.get(found[2]) is _Object:
        kinds[found[2]] = _Dict if found[1] == "SETITEM" else _List
        return True
    return False


def _unlisted(path: Path, names: list[str], *, whole: bool = False) -> str:
    """Why a file that names these classes, or is a whole model, is refused, and what to do."""
    acting = [name for name in names if ACTING.match(name)]
    listed = ", ".join(acting or names)
    start = f"refused, not a plain file of tensors (it refers to {listed}"
    if acting:
        return f"{start}, which acts on the machine); nothing in it was executed. Do not open it"
    if whole:
        return (
            "refused, a whole model instead of its weights; nothing in it was executed. Where its "
            f"class can be imported, and only if you trust the file, re-save it: "
            f"torch.save(torch.load('{path}', weights_only=False).state_dict(), 'plain.pth')"
        )
    return (
        f"{start}, which `pickled` does not list); nothing in it was executed. Set mapping.pickled "
        f"to [{listed}], which skips them unread, or {RESAVE}"
    )


def _refused(path: Path, text: str) -> DataError | SourceError:
    """The error for what torch's restricted reader refuses whatever is allowed."""
    start = f"{path}: refused, not a plain file of tensors"
    if blocked := BLOCKED.search(text):
        return DataError(f"{path}: {_unlisted(path, [blocked[1]])}")
    if protocol := PROTOCOL.search(text):
        return DataError(
            f"{start} of torch ({protocol[0]} instead of 2); nothing in it was executed. If you "
            f"trust the file, re-save it: "
            f"torch.save(torch.load('{path}', weights_only=False), 'plain.pth')"
        )
    if NO_PICKLE in text:
        return _unreadable(path, NO_PICKLE)
    reason = text.partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    reason = reason or "torch does not write such bytes"
    return DataError(f"{start} ({reason}); nothing in it was executed. To mend it, {RESAVE}")


def _unreadable(path: Path, error: Exception | str) -> DataError | SourceError:
    text = error if isinstance(error, str) else said(error)
    if "TorchScript" in text:
        return DataError(
            f"{path}: refused, a TorchScript program instead of a plain file of tensors; nothing "
            "was executed. If you trust the file, re-save its weights: "
            f"torch.save(torch.jit.load('{path}').state_dict(), 'plain.pth')"
        )
    return SourceError(f"{path}: not a readable torch file ({text}); download it again")
