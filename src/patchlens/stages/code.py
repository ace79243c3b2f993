"""Stage code: refuses names that a shell would run, and hashes the code that each stage uses.

DVC sees no imports. So every other stage depends on its list here, which names each file that its
module uses, directly or through others, with a hash; a list changes when one of them does.

What is hashed of a module is what Python would execute: comments, formatting, docstrings, lone
constants, `pass` and what stands under `if TYPE_CHECKING:` are left out, so that mending a sentence
runs nothing anew. Type annotations stay in: they decide what pydantic and dataclasses accept, and a
needless run costs minutes where a missed one costs a wrong number. The hash is of the tree that
`ast` gives, without its empty fields: the same from Python 3.11 to 3.13, where a whole `ast.dump`
and `ast.unparse` are not.

DVC puts the names of datasets and models raw into shell commands. As all stages depend on this one,
a `dvc repro`, with or without a target, is refused here before it runs anything else. Out of reach
is what skips the stages that a target depends on: `dvc repro --single-item` and `--downstream`.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import yaml
from dvc.exceptions import DvcException
from dvc.utils.serialize import load_yaml
from pydantic import TypeAdapter, ValidationError

import patchlens
from patchlens import paths
from patchlens.errors import DataError, SettingsError
from patchlens.files import file_hash, write_text
from patchlens.plan.graph import names
from patchlens.settings.base import Name
from patchlens.settings.messages import explain
from patchlens.settings.validated import refuse

SRC = Path(patchlens.__file__).parents[1]  # of the code that runs: our packages, and no others
# A module in which one of these stands reads files that are no code, and so owns some: see `owned`.
READERS = {"__file__", "importlib.resources", "jinja2.PackageLoader", "pkgutil.get_data"}
UNREAD = ("py.typed", "*.pyi")  # for type checkers: nothing that runs reads them


def run(graph: Path = Path("dvc.yaml"), module: str = "patchlens.stages.{stage}") -> None:
    """Check all names, then write data/code/<stage>.txt for every other stage of `graph`.

    Args:
        graph: a dvc.yaml; its params.yaml lies beside it, and its lists in data/code/ lie as deep
            as it does.
        module: what a stage runs; `{stage}` is its name.

    Raises:
        SettingsError: see `check_names`.
        DataError: no module owns a file below src/, or what one imports cannot be read from it.
    """
    check_names(graph)
    _check_owned()
    stages = yaml.safe_load(graph.read_text(encoding="utf-8"))["stages"]
    for stage in [name for name in stages if name != "code"]:
        used = sorted(closure(module.format(stage=stage)))
        lines = [f"{_hash(SRC / name)}  {name}\n" for name in used]
        write_text("".join(lines), paths.code(stage, graph.parent))


def check_names(graph: Path) -> None:
    """Refuse a name that DVC would put into a command and that is not of a-z, 0-9 and _.

    Raises:
        SettingsError: one line for each such name; or DVC cannot read params.yaml, or it lacks what
            a matrix of `graph` takes its names from.
    """
    params = graph.with_name(paths.PARAMS.name)
    try:
        content = load_yaml(params)  # as DVC reads it, whatever another reader makes of the file
    except FileNotFoundError:
        raise SettingsError(f"{params}: no such file; run this in the folder that has it") from None
    except DvcException as error:
        raise SettingsError(f"{params}: DVC cannot read it: {error}") from None
    refuse(params, _wrong(names(graph, content)))


def _wrong(places: dict[str, list[str]]) -> Iterator[str]:
    name = TypeAdapter(Name)
    for place, values in places.items():
        for value in values:
            try:
                name.validate_python(value)
            except ValidationError as fault:
                error = fault.errors()[0]
                error["loc"] = (place,)
                yield explain(error, None)


def closure(module: str) -> set[str]:
    """All files below src/ that `module` uses, relative to it; none that execute nothing.

    Args:
        module: its dotted name.
    """
    todo, done = files(module), set[Path]()
    if SRC.joinpath(*module.split(".")).with_suffix(".py") not in todo:
        raise ModuleNotFoundError(f"{SRC}: no module {module}")
    while todo:
        path = todo.pop()
        done.add(path)
        todo |= {file for name in _read(path).imports for file in files(name)} - done
    code = {path for path in done if not _read(path).empty}
    data = {file for path in done for file in owned(path)}
    return {path.relative_to(SRC).as_posix() for path in code | data}


def files(name: str) -> set[Path]:
    """The file of a dotted name, if it is a module of ours, and the __init__ of packages above it.

    With a dot at its end it is a package with all of its modules.
    """
    parts = name.rstrip(".").split(".")
    candidates = [SRC.joinpath(*parts).with_suffix(".py")]
    candidates += [SRC.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)]
    if name.endswith("."):
        candidates += SRC.joinpath(*parts).glob("*.py")
    return {path for path in candidates if path.is_file()}


def owned(path: Path) -> set[Path]:
    """The files that are no code and that a module may read; a change of one is a change of it.

    A module that knows its own place, or reads resources of packages, owns all that is in its
    folder and in the packages that it names, at any depth.
    """
    module = _read(path)
    if not module.reads:
        return set()
    folders = [path.parent, *(SRC.joinpath(*name.split(".")) for name in module.strings)]
    return {file for folder in folders for file in _data(folder)}


def _data(folder: Path) -> set[Path]:
    """Files below a folder that are no code, without those that no program reads."""
    return {
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix != ".py"
        and not any(map(path.match, UNREAD))
        and not any(
            part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info")
            for part in path.relative_to(SRC).parts
        )
    }


def _check_owned() -> None:
    left = _data(SRC).difference(*map(owned, SRC.rglob("*.py")))
    if left:
        raise DataError(
            "\n".join(
                f"src/{path.relative_to(SRC).as_posix()}: no module of its folder or above reads "
                "files, so that no stage would see a change of it; move it to the module that "
                "reads it (by importlib.resources or __file__), or remove it"
                for path in sorted(left)
            )
        )


@dataclass(frozen=True)
class _Module:
    """What is known of a module's text.

    Attributes:
        hash: of what it executes, in hex.
        empty: whether that is nothing.
        imports: dotted names anywhere in its body: of modules, of what lies in them, and with a dot
            at the end of packages of which any module may be meant.
        reads: whether it reads files that are no code.
        strings: those that look like the name of a module in a package.
    """

    hash: str
    empty: bool
    imports: frozenset[str]
    reads: bool
    strings: frozenset[str]


def _hash(path: Path) -> str:
    return _read(path).hash if path.suffix == ".py" else file_hash(path, "md5")


def _read(path: Path) -> _Module:
    return _parsed(path.read_text(encoding="utf-8"), path.relative_to(SRC).as_posix())


@cache
def _parsed(text: str, name: str) -> _Module:
    """A module by its text, so that an edit is seen; `name` is its path below src/."""
    tree = _Executed().visit(ast.parse(text))
    imports, seen, strings = set[str](), set[str](), set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                imports |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                dots = "." * node.level
                module = resolve_name(dots + (node.module or ""), _package(name))
                imports |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
            case ast.Call(func=ast.Name("import_module") | ast.Attribute(attr="import_module")):
                imports.add(_imported(node.args[0], name))
            case ast.Name(word) | ast.Attribute(attr=word):
                seen.add(word)
            case ast.Constant(str(value)) if all(map(str.isidentifier, value.split("."))):
                strings.add(value)
    return _Module(
        hash=hashlib.md5(_text(tree).encode()).hexdigest(),
        empty=not tree.body,
        imports=frozenset(imports),
        reads=bool(READERS & (imports | seen)),
        strings=frozenset(value for value in strings if "." in value),
    )


def _package(name: str) -> str:
    return name.rpartition("/")[0].replace("/", ".")


def _imported(argument: ast.expr, name: str) -> str:
    """What `import_module` brings: a module, or with a dot at the end any of a package."""
    match argument:
        case ast.Constant(str(value)):
            return resolve_name(value, _package(name))
        case ast.JoinedStr([ast.Constant(str(value)), *_]) if value.endswith("."):
            return resolve_name(value.rstrip("."), _package(name)) + "."
    raise DataError(
        f"src/{name}:{argument.lineno}: what import_module brings cannot be read here; write its "
        "package into the call, as in import_module(f'patchlens.package.{name}')"
    )


class _Executed(ast.NodeTransformer):
    """Takes away what Python does not execute, or what does nothing."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Docstrings, and other constants that stand alone, such as `...`."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        """What a docstring takes the place of."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Of `if TYPE_CHECKING:` only the `else`."""
        self.generic_visit(node)
        match node.test:
            case ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return node.orelse
        return node


def _text(node: Any) -> str:
    """A tree as text without positions and empty fields, of which Python's versions add some."""
    if isinstance(node, ast.Constant):
        return f"Constant({node.value!a})"  # a None beside it is a place left empty
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in node._fields]
        kept = [f"{name}={_text(value)}" for name, value in fields if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(kept)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    return ascii(node)
