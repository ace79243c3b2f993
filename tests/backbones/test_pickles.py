"""A pickle is read without running it; what lies beside the weights is allowed by name only."""

import argparse
import datetime
import decimal
import fractions
import functools
import importlib
import os
import subprocess
import sys
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from patchlens.backbones.checkpoint import contents
from patchlens.backbones.pickles import read_pickle
from patchlens.errors import DataError, SourceError

WEIGHTS = {"weight": torch.arange(6.0).view(2, 3)}
Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """`saved(content, old=True)`: a .pth file that holds it, in the format before torch 1.6."""

    def save(content: Any, old: bool = False, name: str = "w.pth") -> Path:
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not old)
        return tmp_path / name

    return save


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CfgNode built as that of yacs: a dict whose attributes are its state."""

    class CfgNode(dict):  # type: ignore[type-arg]
        def __init__(self, content: dict[str, Any]) -> None:
            super().__init__({k: CfgNode(v) if type(v) is dict else v for k, v in content.items()})
            self.__dict__["__immutable__"] = True
            self.__dict__["__deprecated_keys__"] = {"OLD"}
            self.__dict__["__renamed_keys__"] = {}

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError("frozen")

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    module = types.ModuleType("yacs.config")
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return CfgNode({"MODEL": {"TYPE": "vit", "DEPTH": 12}, "AMP": "O1", "STEPS": (1, 2)})


def complaint(path: Path, *allowed: str, kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        read_pickle(path, allowed)
    return str(caught.value).removeprefix(f"{path}: ")


def attacks(trace: Path) -> dict[str, Any]:
    """Objects that write a file when they are unpickled, each by another way."""

    class BySystem:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {trace}",)

    class ByEval:
        def __reduce__(self) -> tuple[Any, ...]:
            return eval, (f"__import__('pathlib').Path({str(trace)!r}).touch()",)

    class ByTouch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trace,)

    class ByProcess:
        def __reduce__(self) -> tuple[Any, ...]:  # written as `commands.call` for old Pythons
            return subprocess.call, (["touch", str(trace)],)

    class ByItems:
        def __reduce__(self) -> tuple[Any, ...]:
            return OrderedDict, (), None, None, iter([("x", ByEval())])

    return {
        "system": BySystem(),
        "eval": ByEval(),
        "touch": ByTouch(),
        "process": ByProcess(),
        "items": ByItems(),
    }


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("way", ["system", "eval", "touch", "process", "items"])
@pytest.mark.parametrize("where", ["beside", "inside", "whole"])
def test_a_malicious_file_runs_nothing(
    saved: Saved, tmp_path: Path, way: str, where: str, old: bool
) -> None:
    trace = tmp_path / "was_run"
    attack = attacks(trace)[way]
    content: Any = {"beside": {**WEIGHTS, "args": attack}, "inside": {"model": {"w": attack}}}
    path = saved(content.get(where, attack), old)
    message = complaint(path)
    assert message.startswith("refused, not a plain file of tensors (")
    assert "; nothing in it was executed" in message
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the attack is a real one
    assert trace.exists()


@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "commands.call"])
def test_even_a_function_that_is_allowed_by_name_is_not_run(
    saved: Saved, tmp_path: Path, name: str
) -> None:
    trace = tmp_path / "was_run"
    way = {"posix.system": "system", "builtins.eval": "eval", "commands.call": "process"}[name]
    path = saved({**WEIGHTS, "args": attacks(trace)[way]})
    if name == "posix.system":  # torch blocks this module whatever is allowed
        assert "it refers to posix.system" in complaint(path, name)
    else:
        assert torch.equal(read_pickle(path, [name])["weight"], WEIGHTS["weight"])
    assert not trace.exists()


def test_nothing_switches_the_protection_off(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    complaint(saved({"w": attacks(tmp_path / "was_run")["system"]}))
    assert not (tmp_path / "was_run").exists()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type]:
    """`own("project.Kind", list)`: a class of the user's code, with this base."""

    def make(name: str, base: type = object) -> type:
        module, _, short = name.rpartition(".")
        made = type(short, (base,), {"__module__": module})
        for i in range(module.count(".") + 1):
            part = ".".join(module.split(".")[: i + 1])
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        setattr(sys.modules[module], short, made)
        return made

    return make


def test_all_classes_that_are_refused_are_named_with_both_remedies(saved: Saved, own: Any) -> None:
    kinds = [own("project.types.Kind"), own("other.Kind")]
    path = saved({"model": WEIGHTS, "a": kinds[0](), "b": [kinds[1](), argparse.Namespace(x=1)]})
    assert complaint(path) == (
        "refused, not a plain file of tensors (it refers to project.types.Kind, other.Kind, which "
        "`pickled` does not list); nothing in it was executed. Set mapping.pickled to "
        "[project.types.Kind, other.Kind], which skips them unread, or re-save the weights where "
        "they were trained: torch.save(model.state_dict(), 'plain.pth')"
    )
    assert "refers to other.Kind, which" in complaint(path, "project.types.*")
    found = read_pickle(path, ["project.types.Kind", "other.Kind"])
    assert torch.equal(found["model"]["weight"], WEIGHTS["weight"])


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("base", [dict, list, OrderedDict, Counter, set, int, float, str])
@pytest.mark.parametrize("name", ["mmengine.config.Config", "lightning.fabric.AttributeDict"])
def test_subclasses_of_containers_and_numbers_are_skipped_unlisted(
    saved: Saved, own: Any, monkeypatch: pytest.MonkeyPatch, name: str, base: type, old: bool
) -> None:
    made = own(name, base)
    filled: dict[type, Any] = {dict: {"a": 1}, OrderedDict: {"a": 1}, list: [1], set: {1}}
    beside: Any = made("aab") if base is Counter else made(filled.get(base, 3))
    if base not in (int, float, str):
        beside.more = made()  # attributes of an object are its state
    path = saved({"model": WEIGHTS, "beside": [beside, made()]}, old)
    monkeypatch.delitem(sys.modules, name.rpartition(".")[0])
    assert torch.equal(read_pickle(path)["model"]["weight"], WEIGHTS["weight"])


@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(deep={"a": [argparse.Namespace()]}),
        defaultdict(list, a=[1]),
        defaultdict(dict, {"a": {}}),
        deque([1, 2], maxlen=4),
        Counter("aab"),
        functools.partial(int, base=2),
        frozenset({1}),
        slice(1, 2),
        range(3),
        complex(1, 2),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        datetime.timedelta(1),
        decimal.Decimal("1.5"),
        fractions.Fraction(1, 3),
        uuid.UUID(int=1),
        types.SimpleNamespace(a=1),
        PurePosixPath("/x"),
        np.float32(1),
        np.arange(3.0),
        np.array(["a"], dtype=object),
        np.random.default_rng(0).bit_generator.state,
        np.dtype("float32"),
        torch.Size([1]),
        torch.bfloat16,
        torch.device("cpu"),
        torch.__version__,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_training_runs_store_beside_their_weights_is_skipped(
    saved: Saved, beside: Any
) -> None:
    found = read_pickle(saved({"model": WEIGHTS, "beside": beside}))
    assert torch.equal(found["model"]["weight"], WEIGHTS["weight"])


def test_the_weights_may_lie_in_a_container_of_a_library(saved: Saved, own: Any) -> None:
    config = own("mmengine.config.ConfigDict", dict)
    path = saved(config(state_dict=config(WEIGHTS)))
    assert torch.equal(read_pickle(path)["state_dict"]["weight"], WEIGHTS["weight"])


def test_a_whole_model_says_how_to_save_its_weights(saved: Saved) -> None:
    for content in (torch.nn.Linear(2, 2), {"ema": torch.nn.Sequential(torch.nn.Linear(2, 2))}):
        message = complaint(path := saved(content))
        assert message.startswith("refused, a whole model instead of its weights; nothing in it ")
        assert f"torch.load('{path}', weights_only=False).state_dict(), 'plain.pth')" in message


def test_layers_beside_the_weights_are_skipped(saved: Saved) -> None:
    for layer in (
        torch.nn.GELU,
        torch.nn.CrossEntropyLoss(),
        functools.partial(torch.nn.LayerNorm),
    ):
        path = saved({"state_dict": WEIGHTS, "hyper_parameters": {"of": layer}})
        assert torch.equal(read_pickle(path)["state_dict"]["weight"], WEIGHTS["weight"])


def test_another_protocol_says_how_to_save_it_again(tmp_path: Path) -> None:
    for protocol in (4, 5):
        torch.save(WEIGHTS, tmp_path / "w.pth", pickle_protocol=protocol)
        message = complaint(tmp_path / "w.pth")
        assert f"(pickle protocol {protocol} instead of 2); nothing in it was executed" in message
        assert message.endswith("weights_only=False), 'plain.pth')")


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "shutil.rmtree"])
def test_what_acts_on_the_machine_gets_no_advice_to_allow_it(saved: Saved, name: str) -> None:
    module, _, short = name.rpartition(".")

    class Calls:
        def __reduce__(self) -> tuple[Any, ...]:
            return getattr(importlib.import_module(module), short), ("1",)

    message = complaint(saved({**WEIGHTS, "args": argparse.Namespace(x=Calls())}))
    assert f"(it refers to {name}, which acts on the machine)" in message
    assert message.endswith("; nothing in it was executed. Do not open it")


@pytest.mark.parametrize("old", [False, True])
def test_the_command_line_of_the_training_is_an_empty_object(saved: Saved, old: bool) -> None:
    inner = argparse.Namespace(deep=[1, {"a": (2, None)}])
    path = saved({"model": WEIGHTS, "args": argparse.Namespace(lr=0.1, inner=inner)}, old)
    found = contents(path)
    assert torch.equal(found["model"]["weight"], WEIGHTS["weight"])
    assert not isinstance(found["args"], argparse.Namespace)
    assert vars(found["args"]) == {}


@pytest.mark.parametrize("old", [False, True])
def test_a_config_of_yacs_is_read_without_yacs(
    saved: Saved, config: Any, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    path = saved({"model": WEIGHTS, "config": config}, old)
    monkeypatch.delitem(sys.modules, "yacs.config")
    monkeypatch.delitem(sys.modules, "yacs")
    found = read_pickle(path)
    assert torch.equal(found["model"]["weight"], WEIGHTS["weight"])
    expected = {"MODEL": {"TYPE": "vit", "DEPTH": 12}, "AMP": "O1", "STEPS": (1, 2)}
    assert found["config"] == expected
    assert type(found["config"]) is OrderedDict
    assert "yacs" not in sys.modules


def test_allowing_a_class_for_one_file_allows_it_for_no_other(saved: Saved, own: Any) -> None:
    path = saved({"model": WEIGHTS, "args": own("project.Kind")()})
    before = set(torch.serialization.get_safe_globals())
    read_pickle(path, ["project.Kind"])
    assert set(torch.serialization.get_safe_globals()) == before
    assert "project.Kind" in complaint(path)
    read_pickle(path, ["project.Kind"])
    (path.with_name("broken.pth")).write_bytes(path.read_bytes()[:200])
    complaint(path.with_name("broken.pth"), "project.Kind", kind=SourceError)
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_program_is_refused_unrun(tmp_path: Path) -> None:
    class Half(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / 2

    torch.jit.script(Half()).save(str(tmp_path / "p.pt"))
    message = complaint(tmp_path / "p.pt")
    assert message.startswith(
        "refused, a TorchScript program instead of a plain file of tensors; nothing was executed. "
    )
    assert message.endswith("p.pt').state_dict(), 'plain.pth')")


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04", b"\x80\x02\x95."])
def test_a_broken_file_is_an_error_without_advice_to_drop_the_protection(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    message = complaint(tmp_path / "w.pth", kind=SourceError)
    assert "weights_only" not in message
    assert "add_safe_globals" not in message


def test_a_truncated_file_is_an_error(saved: Saved) -> None:
    for old in (False, True):
        path = saved({"w": torch.zeros(1000)}, old)
        path.write_bytes(path.read_bytes()[:-500])
        assert complaint(path, kind=SourceError).startswith("not a readable torch file (")


def test_what_is_no_dict_is_said_so(saved: Saved) -> None:
    for content, what in (([torch.zeros(1)], "list"), (argparse.Namespace(), "argparse.Namespace")):
        message = complaint(saved(content))
        assert message.startswith(
            f"contains a {what} instead of named tensors; re-save the weights"
        )
