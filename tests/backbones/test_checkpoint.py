"""Weight files are read without running them and loaded without guessing."""

import bz2
import gzip
import io
import json
import lzma
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from patchlens.backbones.checkpoint import contents, load_strictly, tensor_hash, weights_hash
from patchlens.errors import DataError, SourceError
from patchlens.files import file_hash

GOOD = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.tensor([1.0, 2.0])}


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """`saved(content)`: a .pth file that holds it."""

    def save(content: Any, name: str = "w.pth") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


def complaint(path: Path, kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        contents(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_both_formats_give_the_same_tensors(saved: Callable[..., Path], tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "w.safetensors")
    for path in (saved(GOOD), tmp_path / "w.safetensors"):
        found = contents(path)
        assert found.keys() == GOOD.keys()
        assert all(torch.equal(found[name], GOOD[name]) for name in GOOD)


def test_a_pickle_that_runs_code_is_refused_unrun(
    saved: Callable[..., Path], tmp_path: Path
) -> None:
    trace = tmp_path / "was_run"

    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(trace),)

    path = saved({"weight": Malicious()})
    message = complaint(path)
    assert message.startswith("refused, not a plain file of tensors (")
    assert "mkdir" in message
    assert "\n" not in message
    assert "weights_only" not in message  # no advice to switch the protection off
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the trap is live: this is what must not happen
    assert trace.exists()


def test_a_truncated_file_is_named(saved: Callable[..., Path], tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "w.safetensors")
    for path in (saved(GOOD), tmp_path / "w.safetensors"):
        whole = path.read_bytes()
        for length in (1, 8, len(whole) // 2, len(whole) - 8):
            path.write_bytes(whole[:length])
            assert complaint(path, SourceError).startswith("not a readable ")


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\x80\x02.", b"\x80\x02]q\x00.", b"PK"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_is_something_else(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "\n" not in complaint(tmp_path / name, SourceError)


def zipped(content: bytes, name: str = "w.pth") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def tarred() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("w.pth"))
    return packed.getvalue()


@pytest.mark.parametrize("name", ["w.pth", "w.bin", "w.ckpt", "w.safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS .*git lfs pull"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "is a web page, such as a login page"),
        (b"\xef\xbb\xbf<html>", "is a web page, such as a login page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "is a web page"),
        (b'{"error": "Repository not found"}', "is JSON, not weights"),
        # Without a time: two workers of pytest would name the case differently.
        (gzip.compress(b"x", mtime=0), "is compressed; unpack it"),
        (bz2.compress(b"x"), "is compressed; unpack it"),
        (lzma.compress(b"x"), "is compressed; unpack it"),
        (zipped(b"x"), r"is a ZIP archive of w\.pth; unpack it"),
        (zipped(b"x", "arr_0.npy"), "holds arrays of NumPy"),
        (tarred(), "is a tar archive; unpack it"),
        (b"\x89HDF\r\n\x1a\n", "is HDF5, as Keras writes it"),
    ],
)
def test_what_stands_in_place_of_weights_is_named_whatever_its_suffix(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert re.search(message, complaint(tmp_path / name, SourceError))


def test_the_first_bytes_say_the_format_not_the_suffix(
    saved: Callable[..., Path], tmp_path: Path
) -> None:
    save_file(GOOD, tmp_path / "a.bin")
    torch.save(GOOD, tmp_path / "b.safetensors")
    torch.save(GOOD, tmp_path / "c.safetensors", _use_new_zipfile_serialization=False)
    for name in ("a.bin", "b.safetensors", "c.safetensors"):
        assert torch.equal(contents(tmp_path / name)["weight"], GOOD["weight"])


def sharded(folder: Path, end: str) -> Path:
    """A folder as on the Hugging Face hub, with its weights in two files."""
    save: Any = save_file if end == "safetensors" else torch.save
    first, second = f"model-1-of-2.{end}", f"model-2-of-2.{end}"
    save({"weight": GOOD["weight"]}, folder / first)
    save({"bias": GOOD["bias"]}, folder / second)
    index = (
        "model.safetensors.index.json" if end == "safetensors" else "pytorch_model.bin.index.json"
    )
    (folder / index).write_text(json.dumps({"weight_map": {"weight": first, "bias": second}}))
    return folder / index


@pytest.mark.parametrize("end", ["safetensors", "bin"])
def test_shards_are_one_file(tmp_path: Path, end: str) -> None:
    index = sharded(tmp_path, end)
    for path in (tmp_path, index):
        found = contents(path)
        assert found.keys() == GOOD.keys()
        assert all(torch.equal(found[name], GOOD[name]) for name in GOOD)
    lines = subprocess.run(
        f"sha256sum model-*.{end} | sha256sum", cwd=tmp_path, shell=True, capture_output=True
    )
    assert weights_hash(tmp_path) == weights_hash(index) == lines.stdout.split()[0].decode()
    (tmp_path / f"model-2-of-2.{end}").unlink()
    with pytest.raises(SourceError, match=r"model-2-of-2\.\w+: no such file, but .* lists it"):
        contents(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "../w.bin"}}',
             '{"weight_map": {"a": 3}}', '{"weight_map": ["a"]}']
)  # fmt: skip
def test_an_index_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(SourceError, match=r"not an index of shards beside it"):
        contents(tmp_path)


def test_a_name_in_two_shards_is_an_error(tmp_path: Path) -> None:
    sharded(tmp_path, "bin")
    torch.save(GOOD, tmp_path / "model-2-of-2.bin")
    with pytest.raises(DataError, match="weight is in another shard too"):
        contents(tmp_path)


def test_a_folder_is_its_only_file_or_says_what_it_contains(tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "model.safetensors")
    assert contents(tmp_path).keys() == GOOD.keys()
    assert weights_hash(tmp_path) == file_hash(tmp_path / "model.safetensors", "sha256")
    (tmp_path / "model.safetensors").rename(tmp_path / "epoch_3.safetensors")
    with pytest.raises(SourceError, match=r"name the weight file.*It contains epoch_3\.safetens"):
        contents(tmp_path)


def test_a_path_that_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pth")
    assert complaint(tmp_path / "w.pth", SourceError) == "is a FIFO, not a file"
    assert complaint(tmp_path / "none.pth", SourceError) == "no such file"


def odd_tensors() -> dict[str, Tensor]:
    weight = GOOD["weight"]
    return {
        "int8": weight.to(torch.int8),
        "int64": weight.long(),
        "bool": weight.bool(),
        "complex64": weight.to(torch.complex64),
        "float8_e4m3fn": weight.to(torch.float8_e4m3fn),
        "qint8": torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
        "sparse coo": weight.to_sparse(),
        "sparse csr": weight.to_sparse_csr(),
        "without values": torch.empty(2, 3, device="meta"),
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_values_that_are_no_weights_are_named() -> None:
    model = nn.Linear(3, 2)
    before = model.weight.clone()
    for what, odd in odd_tensors().items():
        with pytest.raises(DataError) as caught:
            load_strictly(model, GOOD | {"weight": odd}, "w.pth")
        assert f"1 without weights: weight is {what}. Save it dense" in str(caught.value)
        assert torch.equal(model.weight, before)


def test_whole_numbers_stay_where_the_model_has_whole_numbers() -> None:
    norm = nn.BatchNorm1d(2)
    load_strictly(norm, norm.state_dict() | {"num_batches_tracked": torch.tensor(3)}, "w.pth")
    assert norm.num_batches_tracked == 3


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_than_rgb_are_named(channels: int) -> None:
    model = nn.ModuleDict({"patch_embed": nn.ModuleDict({"proj": nn.Conv2d(3, 4, 2)})})
    other = nn.ModuleDict({"patch_embed": nn.ModuleDict({"proj": nn.Conv2d(channels, 4, 2)})})
    with pytest.raises(DataError, match=f"trained on images of {channels} channels; only RGB"):
        load_strictly(model, other.state_dict(), "w.pth")


@pytest.mark.parametrize("prefix", ["module.", "model.backbone.", "encoder."])
def test_a_prefix_that_would_fit_is_named(prefix: str) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    state = {prefix + name: value for name, value in model.state_dict().items()}
    with pytest.raises(DataError, match=rf"Set mapping\.prefix to \['{prefix}'\]$"):
        load_strictly(model, state | {"head.weight": torch.zeros(1)}, "w.pth")


def test_a_bare_tensor_is_no_weight_file(saved: Callable[..., Path]) -> None:
    message = complaint(saved(torch.zeros(2)))
    assert message.startswith("contains a Tensor instead of named tensors; re-save the weights")


def test_loading_lists_everything_that_does_not_fit() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tensors = {
        "0.weight": torch.zeros(2, 4),
        "0.bias": torch.zeros(2),
        "1.weight": torch.zeros(2, 2),
        "head.bias": torch.zeros(1),
        "head.weight": torch.zeros(1),
    }
    with pytest.raises(DataError) as caught:
        load_strictly(model, tensors, "w.pth")
    assert str(caught.value) == (
        "w.pth: does not fit Sequential; 1 missing: 1.bias; 2 unexpected: head.bias, head.weight; "
        "1 of another shape: 0.weight is [2, 4] instead of [2, 3]. "
        "Check the architecture and its arguments, and mapping.key, prefix, beside and drop"
    )
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_half_precision_is_loaded_exactly() -> None:
    model = nn.Linear(3, 2)
    load_strictly(model, {name: value.half() for name, value in GOOD.items()}, "w.pth")
    assert model.weight.dtype == torch.float32
    assert torch.equal(model.weight, GOOD["weight"])


@pytest.mark.parametrize(
    "other",
    [
        {"weight": GOOD["weight"], "bias": torch.tensor([1.0, 2.5])},
        {"weight": GOOD["weight"], "bias": GOOD["bias"].half()},
        {"weight": GOOD["weight"].view(3, 2), "bias": GOOD["bias"]},
        {"weight": GOOD["weight"], "bia": GOOD["bias"]},
        {"weight": GOOD["weight"]},
    ],
)
def test_hash_sees_names_values_types_and_shapes(other: dict[str, Tensor]) -> None:
    assert tensor_hash(other) != tensor_hash(GOOD)


def test_hash_is_of_content_not_of_order_or_layout() -> None:
    turned = {"bias": GOOD["bias"], "weight": GOOD["weight"].t().contiguous().t()}
    assert not turned["weight"].is_contiguous()
    assert tensor_hash(turned) == tensor_hash(GOOD)
    assert tensor_hash({"steps": torch.tensor(3)}) != tensor_hash({"steps": torch.tensor(4)})
