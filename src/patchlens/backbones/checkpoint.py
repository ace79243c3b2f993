"""Reading a weight file without running it, and loading it without guessing."""

import fnmatch
import hashlib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from patchlens.errors import DataError, SourceError

SHOWN = 12  # keys that a message lists before it only counts


def read(path: Path, key: str | None, prefix: str, drop: list[str]) -> dict[str, Tensor]:
    """The named tensors of a `.safetensors` or a `torch.save` file.

    Args:
        path: the file; a pickle is read with `weights_only=True` always.
        key: the entry of a nested file that holds the weights.
        prefix: names without it are left out, and it is cut off the others.
        drop: patterns (`head.*`) of names that are known surplus; each must match a name.

    Raises:
        SourceError: no such file.
        DataError: the file is broken, would run code, or does not hold what the arguments say.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such weight file; place it there or mend models.<name>.file")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if key is not None:
        if key not in content:
            raise DataError(f"{path}: no entry '{key}'; it holds {_some(content)}")
        content = content[key]
        if not isinstance(content, dict):
            raise DataError(f"{path}: entry '{key}' is a {type(content).__name__}, not tensors")
    tensors = {
        str(name).removeprefix(prefix): value
        for name, value in content.items()
        if str(name).startswith(prefix)
    }
    for pattern in drop:
        surplus = fnmatch.filter(tensors, pattern)
        if not surplus:
            raise DataError(f"{path}: drop pattern '{pattern}' matches no name; it is a mistake")
        for name in surplus:
            del tensors[name]
    strangers = [name for name, value in tensors.items() if not isinstance(value, Tensor)]
    if strangers or not tensors:
        raise DataError(
            f"{path}: not a flat file of tensors with prefix '{prefix}'; it holds "
            f"{_some(content)}; set key, prefix or drop"
        )
    return tensors


def load_strictly(model: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load every tensor into the parameter of the same name and shape, and leave none of either.

    Raises:
        DataError: lists the missing, the unexpected and the misshapen names.
    """
    own = model.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} is {list(tensors[name].shape)}, the model wants {list(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if own[name].shape != tensors[name].shape
    ]
    problems = [
        f"{len(names)} {what}: {_some(names)}"
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
        raise DataError(f"{path}: not a readable safetensors file ({error})") from None


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's first line is advice to switch the protection off; the next says what it met.
        reason = [line for line in str(error).splitlines() if line][:2][-1]
        raise DataError(f"{path}: refused, it is no plain file of tensors ({reason})") from None
    except Exception as error:  # a broken pickle fails in every way there is
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable torch file ({reason})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, not named tensors")
    return content


def _some(names: Iterable[Any]) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
