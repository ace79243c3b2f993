"""A pickle is read without running it; what lies beside the weights is allowed by name only."""

import argparse
import os
import pickle
import subprocess
import sys
import types
from collections import Counter, OrderedDict
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
    assert message.endswith("; nothing in it was executed")
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


def test_what_is_refused_is_named(saved: Saved) -> None:
    path = saved({"model": WEIGHTS, "args": argparse.Namespace(lr=1)})
    assert complaint(path) == (
        "refused, not a plain file of tensors (it refers to argparse.Namespace, which `pickled` "
        "does not list); nothing in it was executed"
    )
    assert "it refers to argparse.Namespace" in complaint(path, "yacs.config.CfgNode")


@pytest.mark.parametrize("old", [False, True])
def test_the_command_line_of_the_training_is_allowed_by_name(saved: Saved, old: bool) -> None:
    inner = argparse.Namespace(deep=[1, {"a": (2, None)}])
    path = saved({"model": WEIGHTS, "args": argparse.Namespace(lr=0.1, inner=inner)}, old)
    found = contents(path, ["argparse.Namespace"])
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
    found = read_pickle(path, ["yacs.config.CfgNode"])
    assert torch.equal(found["model"]["weight"], WEIGHTS["weight"])
    expected = {"MODEL": {"TYPE": "vit", "DEPTH": 12}, "AMP": "O1", "STEPS": (1, 2)}
    assert found["config"] == expected
    assert type(found["config"]) is OrderedDict
    assert "yacs" not in sys.modules


def test_numbers_of_numpy_and_paths_can_be_allowed(saved: Saved) -> None:
    beside = {"best": np.float64(0.5), "out": PurePosixPath("/a/b"), "seen": Counter("aab")}
    path = saved({"model": WEIGHTS} | beside)
    scalar = f"{np.float64(0).__reduce__()[0].__module__}.scalar"
    named = [scalar, "numpy.dtype", "numpy.dtypes.Float64DType", "pathlib.PurePosixPath"]
    for missing in (scalar, "pathlib.PurePosixPath"):
        asked = complaint(path, *(name for name in named if name != missing))
        assert f"it refers to {missing}, which `pickled` does not list" in asked
    assert torch.equal(read_pickle(path, named)["model"]["weight"], WEIGHTS["weight"])


def test_allowing_a_class_for_one_file_allows_it_for_no_other(saved: Saved) -> None:
    path = saved({"model": WEIGHTS, "args": argparse.Namespace(lr=0.1)})
    before = set(torch.serialization.get_safe_globals())
    read_pickle(path, ["argparse.Namespace"])
    assert set(torch.serialization.get_safe_globals()) == before
    assert "argparse.Namespace" in complaint(path)
    read_pickle(path, ["argparse.Namespace"])
    (path.with_name("broken.pth")).write_bytes(path.read_bytes()[:200])
    complaint(path.with_name("broken.pth"), "argparse.Namespace", kind=SourceError)
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_program_is_refused_unrun(tmp_path: Path) -> None:
    class Half(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / 2

    torch.jit.script(Half()).save(str(tmp_path / "p.pt"))
    message = complaint(tmp_path / "p.pt")
    assert (
        message
        == "refused, a TorchScript program instead of a plain file of tensors; nothing was executed"
    )


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04", pickle.dumps([1], 5)])
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
    assert complaint(saved([torch.zeros(1)])) == "contains a list instead of named tensors"
