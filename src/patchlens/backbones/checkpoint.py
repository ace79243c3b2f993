"""Reading a weight file without executing it, and loading it strictly."""

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from patchlens.backbones.pickles import read_pickle
from patchlens.errors import DataError, SourceError
from patchlens.files import file_hash
from patchlens.given import why_not

SHOWN = 12  # keys that a message lists; the rest are counted
# The files of a folder of the Hugging Face hub, in the order of preference.
INDEX = ".index.json"
IN_FOLDER = [
    f"{name}{end}" for name in ("model.safetensors", "pytorch_model.bin") for end in ("", INDEX)
]
PAGE = "is a web page, such as a login page; download the file itself"
# What stands in place of a weight file, by its first bytes.
STARTS = {
    b"version https://git-lfs": "is a Git LFS pointer; run `git lfs pull` where it was cloned",
    b"<": PAGE,
    b"\xef\xbb\xbf<": PAGE,
    b"{": "is JSON, not weights; name the weight file, or its folder",
    b"\x1f\x8b": "is compressed; unpack it (`gunzip`)",
    b"BZh": "is compressed; unpack it (`bunzip2`)",
    b"\xfd7zXZ": "is compressed; unpack it (`unxz`)",
    b"\x28\xb5\x2f\xfd": "is compressed; unpack it (`unzstd`)",
    b"7z\xbc\xaf": "is a 7z archive; unpack it and name the file in it",
    b"Rar!": "is a RAR archive; unpack it and name the file in it",
    b"\x89HDF": "is HDF5, as Keras writes it; convert it to safetensors",
    b"\x93NUMPY": "is an array of NumPy; convert it to safetensors",
    b"GGUF": "is GGUF; convert it to safetensors",
}
TAR = 257  # where a tar archive says that it is one


def weight_files(path: Path) -> list[Path]:
    """The files that hold the weights at `path`, in the order of their names.

    Args:
        path: a weight file, an index of shards, or a folder as on the Hugging Face hub.

    Raises:
        SourceError: there is no such file, the folder has none, or a shard is missing.
    """
    if path.is_dir():
        for name in IN_FOLDER:
            if (path / name).exists():
                return weight_files(path / name)
        held = some(sorted(file.name for file in path.iterdir())) or "nothing"
        raise SourceError(
            f"{path}: a folder without {' or '.join(IN_FOLDER)}; name the weight file. "
            f"It contains {held}"
        )
    if reason := why_not(path):
        raise SourceError(f"{path}: {reason}")
    if not path.name.endswith(INDEX):
        return [path]
    shards = [path.with_name(name) for name in sorted(set(weight_map(path).values()))]
    for shard in shards:
        if reason := why_not(shard):
            raise SourceError(f"{shard}: {reason}, but {path.name} lists it; download all shards")
    return shards


def weights_hash(path: Path) -> str:
    """sha256 of a weight file, in hex; of shards, that of their listing by `sha256sum`."""
    files = weight_files(path)
    hashes = [file_hash(file, "sha256") for file in files]
    if len(files) == 1:
        return hashes[0]
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(hashes, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def contents(path: Path, pickled: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a `.safetensors` or `torch.save` file, nested as in the file.

    Its first bytes say which it is, whatever its suffix.

    Args:
        path: the file, an index of shards or a folder; pickles are always read with
            `weights_only=True`.
        pickled: full names of classes that it may contain beside tensors (see `pickles`).

    Raises:
        SourceError: the file is something else, or truncated; a shard is missing.
        DataError: it refers to a class that is not in `pickled`, or shards repeat a name.
    """
    found: dict[str, Any] = {}
    for file in weight_files(path):
        content = _content(file, pickled)
        if twice := sorted(found.keys() & content.keys()):
            raise DataError(f"{file}: {some(twice)} is in another shard too; download them again")
        found |= content
    return found


def _content(path: Path, pickled: Sequence[str]) -> dict[str, Any]:
    with path.open("rb") as file:
        start = file.read(TAR + 5)
    if start[8:9] == b"{":  # after the length of the header
        return read_safetensors(path)
    if fault := _something_else(path, start):
        raise SourceError(f"{path}: {fault}")
    if path.suffix == ".safetensors" and not start.startswith((b"PK", b"\x80")):
        return read_safetensors(path)
    return read_pickle(path, pickled)


def _something_else(path: Path, start: bytes) -> str | None:
    """What the file is instead of weights, and the remedy; None if it may be weights."""
    if not start:
        return "is empty; download it again"
    for first, what in STARTS.items():
        if start.lstrip().startswith(first):
            return what
    if start[TAR:] == b"ustar":
        return "is a tar archive; unpack it and name the file in it"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if any(name.endswith("data.pkl") for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "holds arrays of NumPy (.npz); convert it to safetensors"
    return f"is a ZIP archive of {some(names)}; unpack it and name the file in it"


def weight_map(index: Path) -> dict[str, str]:
    """Tensor name -> file beside the index."""
    try:
        found = json.loads(index.read_text("utf-8"))["weight_map"]
        if not found or any(Path(name).name != name for name in found.values()):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SourceError(
            f"{index}: not an index of shards beside it (`weight_map`); download it again"
        ) from None
    return dict(found)


def load_strictly(model: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load every tensor into the parameter of the same name and shape; both sets must match.

    Raises:
        DataError: lists the missing names, the unexpected names, those of another shape and those
            whose values are no weights, such as integers.
    """
    own = model.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    common = sorted(own.keys() & tensors.keys())
    shapes = [
        f"{name} is {list(tensors[name].shape)} instead of {list(own[name].shape)}"
        for name in common
        if own[name].shape != tensors[name].shape
    ]
    odd = [f"{n} is {what}" for n in common if (what := _no_weights(tensors[n], own[n]))]
    problems = [
        f"{len(names)} {what}: {some(names)}"
        for names, what in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (shapes, "of another shape"),
            (odd, "without weights"),
        )
        if names
    ]
    if problems:
        raise DataError(
            f"{origin}: does not fit {type(model).__name__}; "
            + "; ".join(problems)
            + ". "
            + _hint(own, tensors, missing, unexpected, odd)
        )
    model.load_state_dict(dict(tensors), strict=True)


def _no_weights(found: Tensor, own: Tensor) -> str | None:
    """What is in place of the floating-point values of a dense tensor; None if they are there."""
    if found.is_meta:
        return "without values"
    if found.layout != torch.strided or found.is_nested:
        return str(found.layout).removeprefix("torch.").replace("_", " ")
    if own.is_floating_point() and not (found.is_floating_point() and found.itemsize > 1):
        return str(found.dtype).removeprefix("torch.")
    return None


def _hint(
    own: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    odd: list[str],
) -> str:
    """The likely cause of a mismatch."""
    embed = "patch_embed.proj.weight"
    if embed in own and embed in tensors and tensors[embed].ndim == 4:
        channels = tensors[embed].shape[1]
        if channels != own[embed].shape[1]:
            return f"It was trained on images of {channels} channels; only RGB can be measured"
    if odd:
        return "Save it dense, in float32, float16 or bfloat16 (dequantize it first)"
    wanted = set(missing)
    starts = Counter(
        name.removesuffix(end)
        for name in unexpected
        for end in {name[i + 1 :] for i, c in enumerate(name) if c == "."} & wanted
    )
    if starts and 2 * starts.most_common(1)[0][1] > len(missing):
        return f"Set mapping.prefix to ['{starts.most_common(1)[0][0]}']"
    return "Check the architecture and its arguments, and mapping.key, prefix, beside and drop"


def tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes in the order of the names, in hex."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{list(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_safetensors(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file.

    Raises:
        SourceError: it is something else, or damaged.
    """
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
