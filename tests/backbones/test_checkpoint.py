"""Weight files are read without running them and loaded without guessing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from patchlens.backbones.checkpoint import contents, load_strictly, tensor_hash
from patchlens.errors import DataError, SourceError

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
        for length in (0, 1, 8, len(whole) // 2, len(whole) - 8):
            path.write_bytes(whole[:length])
            assert complaint(path, SourceError).startswith("not a readable ")


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\x80\x02.", b"\x80\x02]q\x00.", b"PK"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_is_something_else(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "\n" not in complaint(tmp_path / name, SourceError)


def test_a_bare_tensor_is_no_weight_file(saved: Callable[..., Path]) -> None:
    assert complaint(saved(torch.zeros(2))) == "contains a Tensor instead of named tensors"


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
        "Check the architecture and its arguments, key, prefix and drop"
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
