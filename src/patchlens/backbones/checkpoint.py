"""Reading a weight file without executing it, and loading it strictly."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from patchlens.backbones.pickles import read_pickle
from patchlens.errors import DataError, SourceError

SHOWN = 12  # keys that a message lists; the rest are counted


def contents(path: Path, pickled: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a `.safetensors` or `torch.save` file, nested as in the file.

    Args:
        path: the file; pickles are always read with `weights_only=True`.
        pickled: full names of classes that it may contain beside tensors (see `pickles`).

    Raises:
        SourceError: the file is truncated, or does not match its suffix.
        DataError: it refers to a class that is not in `pickled`.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else read_pickle(path, pickled)


def load_strictly(model: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load every tensor into the parameter of the same name and shape; both sets must match.

    Raises:
        DataError: lists the missing names, the unexpected names and those of another shape.
    """
    own = model.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} is {list(tensors[name].shape)} instead of {list(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if own[name].shape != tensors[name].shape
    ]
    problems = [
        f"{len(names)} {what}: {some(names)}"
        for names, what in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (shapes, "of another shape"),
        )
        if names
    ]
    if problems:
        raise DataError(
            f"{origin}: does not fit {type(model).__name__}; " + "; ".join(problems) + ". "
            "Check the architecture and its arguments, key, prefix and drop"
        )
    model.load_state_dict(dict(tensors), strict=True)


def tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes in the order of the names, in hex."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{list(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise SourceError(
            f"{path}: not a readable safetensors file ({error}); download it again"
        ) from None


def some(names: Iterable[Any]) -> str:
    """The first of these names and the number of further ones, for a message."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
