"""A stage starts without the libraries that it does not need: each costs 0.3 to 6 s of CPU."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from patchlens import __main__ as program
from patchlens.plan.code import SRC, files
from patchlens.plan.stages import STAGES, module

HEAVY = {"altair", "faiss", "jinja2", "pandas", "pyarrow", "scipy", "sklearn", "tabulate", "timm"}
HEAVY |= {"torch", "torchvision", "trackeval", "vl_convert"}
MODEL = {"pandas", "pyarrow", "timm", "torch"}
FEATURES = {"pandas", "pyarrow"}
STARTS = {  # what each imports before its work begins; what a function needs, it imports itself
    "render": set(),
    "fetch": set(),
    "manifest": set(),
    "index": FEATURES,
    "weights": MODEL,
    "extract": MODEL,
    "degrade": MODEL,
    "prune": FEATURES,
    "variance": FEATURES | {"scipy"},
    "segmentation": FEATURES | {"scipy"},
    "sweep": FEATURES | {"scipy"},
    "identification": FEATURES,
    "retrieval": FEATURES,
    "selection": FEATURES | {"scipy"},
    "tracking": FEATURES | {"trackeval"},
    "tables": FEATURES | {"tabulate"},
    "explorer": FEATURES | {"vl_convert"},
    "claims": FEATURES | {"tabulate"},
    "report": FEATURES | {"altair", "jinja2", "tabulate", "vl_convert"},
}


def at_once(path: Path, seen: set[Path]) -> Iterator[str]:
    """The packages that the import of a module imports, also through ours."""
    if path in seen:
        return
    seen.add(path)
    others, ours = imports(path)
    yield from others
    for one in ours:
        yield from at_once(one, seen)


@cache
def imports(path: Path) -> tuple[set[str], list[Path]]:
    """Other packages, and our files, that a module imports outside its functions."""
    names = {*_top(ast.parse(path.read_text(encoding="utf-8")).body, path)}
    own = {name: files(name) for name in names}
    return {n.partition(".")[0] for n in names if not own[n]}, sorted(set().union(*own.values()))


def _top(body: list[ast.stmt], path: Path) -> Iterator[str]:
    for node in body:
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                assert not node.level, path
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
                yield str(node.module)
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                yield from _top(node.orelse, path)
            case ast.If() | ast.Try() | ast.With() | ast.ClassDef():
                yield from _top(node.body, path)


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_starts_with_what_it_needs(stage: str) -> None:
    begins = SRC.joinpath(*module(stage).split(".")).with_suffix(".py")
    found = {*at_once(begins, set())} & HEAVY
    assert found == STARTS[stage]


def test_the_command_line_starts_with_none_of_them() -> None:
    found = {*at_once(SRC / "patchlens/cli/commands.py", set())}
    assert "typer" in found
    assert not found & HEAVY


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package in place of torch's compiler, absent after the program began."""
    package = tmp_path / "slowly"
    package.mkdir()
    (package / "__init__.py").write_text("from . import inner\nlimit = 7\n")
    (package / "inner.py").write_text("def is_compile_supported(device): return device == 'cpu'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(program, "COMPILER", ("slowly", "slowly.inner"))
    for name in program.COMPILER:
        monkeypatch.setitem(sys.modules, name, program.Uncompiled(name))
    return sys.modules["slowly"]


def test_to_leave_a_function_alone_needs_no_compiler(compiler: ModuleType) -> None:
    from slowly.inner import is_compile_supported

    assert compiler.disable(len) is compiler.disable()(len) is len
    assert not hasattr(compiler, "__file__")
    assert sys.modules["slowly"] is compiler
    assert is_compile_supported("cpu")
    assert not is_compile_supported("none")


@pytest.mark.parametrize("asked", ["slowly.limit", "slowly.inner.__name__"])
def test_whoever_compiles_gets_the_compiler(compiler: ModuleType, asked: str) -> None:
    assert compiler.limit == 7
    assert sys.modules["slowly"] is not compiler
    assert "slowly" not in [n for n, m in sys.modules.items() if m is compiler]
    import slowly.inner

    assert slowly.limit == 7
    assert slowly.inner.is_compile_supported("cpu"), asked
