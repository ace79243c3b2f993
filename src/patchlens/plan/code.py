"""Stage code: refuses names that a shell would execute, and hashes the code that each stage uses.

DVC does not see imports. Every other stage therefore depends on a list that this stage writes. The
list contains each file that the stage's module uses, directly or indirectly, with its hash, and so
changes with any of these files.

The hash of a module covers what Python executes. It excludes comments, formatting, docstrings, lone
constants, `pass` and code under `if TYPE_CHECKING:`, so that correcting a sentence reruns nothing.
It includes type annotations, because they decide what pydantic and dataclasses accept: a needless
run costs minutes, but a missed run costs a wrong number. The hash is that of the `ast` tree without
empty fields, which is the same from Python 3.11 to 3.13, unlike `ast.dump` and `ast.unparse`.

DVC inserts the names of datasets and models unquoted into shell commands. All stages depend on this
one, so that it refuses such names before `dvc repro`, with or without a target, runs anything else.
It cannot do so for `dvc repro --single-item` and `--downstream`, which skip dependencies.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches as near
from functools import cache
from importlib import metadata
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import patchlens
from patchlens import paths
from patchlens.backbones.registry.read import entries
from patchlens.backbones.target import Target, locate
from patchlens.cache import keep, user_cache
from patchlens.datasets.catalogue import entries as kinds
from patchlens.errors import DataError, SettingsError
from patchlens.files import file_hash, whole_folder, write_text
from patchlens.names import nearest
from patchlens.plan.graph import names, read_graph
from patchlens.plan.stages import module as module_of
from patchlens.settings.base import Name, brief
from patchlens.settings.load import SHARED, reads_layers
from patchlens.settings.messages import explain
from patchlens.settings.models import PythonModel
from patchlens.settings.validated import loaded, refuse
from patchlens.settings.yaml_text import dumped
from patchlens.tasks.table import TASKS

SRC = Path(patchlens.__file__).parents[1]  # of the running code: src/, or where pip installed it
OURS = ("minicity", "patchlens")  # the packages in it whose code is ours
# A module that contains one of these reads data files, and so owns some: see `owned`.
READERS = {"__file__", "importlib.resources", "jinja2.PackageLoader", "pkgutil.get_data"}
UNREAD = ("py.typed", "*.pyi")  # for type checkers: not read at run time
DOOR = Path("patchlens/__init__.py")  # the names for users from Python: no stage asks for them
VERSIONS = 8  # of the package, whose modules are remembered
_RULES = file_hash(Path(__file__), "md5")  # by which modules are read
_recalled: dict[str, Any] = {}  # what an earlier run found in each text, and this one
_read_now: dict[str, Any] = {}


def run(graph: Path = Path("dvc.yaml"), module: str | None = None) -> None:
    """Check all names, then list the code of every other stage of `graph` in <stage>.txt.

    The sections of all tasks are copied to tasks.yaml, and what the code of each model uses is
    listed in model_<name>.txt. `sources` is copied to sources.yaml, as params.yaml may lack it;
    what is extracted of a dataset to features_<name>.yaml, of degraded copies to features.yaml;
    `retrieval.queries`, which it may lack too, to queries.yaml.

    Args:
        graph: a dvc.yaml with its params.yaml beside it; see `paths.code` for where the lists are.
        module: the module that every stage of it runs; by default, those of `plan.stages`.

    Raises:
        SettingsError: see `check_names`.
        DataError: no module owns a file below src/, or the imports of a module cannot be read.
    """
    params = check_names(graph)
    _check_sources(graph, params)
    _recall(_memory(graph))
    _check_owned()
    stages = read_graph(graph)
    known: dict[Path, _Uses] = {}
    with whole_folder(paths.code(graph.parent)) as out:
        for stage in [name for name in stages if name != "code"]:
            used = sorted(closure(module or module_of(stage), known))
            lines = [f"{_hash(SRC / name)}  {name}\n" for name in used]
            write_text("".join(lines), out / f"{stage}.txt")
        if "weights" in stages:
            for name, model in params["models"].items():
                write_text(_model_code(name, model), paths.model_code(name, out))
        write_text(dumped(params.get("sources", {}), sort=True), out / "sources.yaml")
        if "extract" in stages:
            for place, features in _features(params):
                write_text(dumped(features, sort=True), out / place)
        tasks = {name: params[name] for name in sorted(TASKS) if name in params}
        write_text(dumped(tasks, sort=True), out / "tasks.yaml")
        asking = {"queries": dict(params.get("retrieval") or {}).get("queries")}
        write_text(dumped(asking), out / "queries.yaml")
    _remember(_memory(graph))


def check_names(graph: Path) -> Mapping[str, Any]:
    """Refuse names that DVC would insert into a command and that use more than a-z, 0-9 and _.

    Returns:
        The content of params.yaml.

    Raises:
        SettingsError: one line per such name; or params.yaml cannot be read, or a matrix of
            `graph` refers to a key that it lacks.
    """
    params = graph.with_name(paths.PARAMS.name)
    found: Mapping[str, Any] = loaded(params, missing="run this in the folder that contains it")
    refuse(params, _wrong(names(graph, found)))
    return found


def _features(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What each extraction reads of `features`, so that no other layer runs it again."""
    found = params.get("features")
    given = found if isinstance(found, dict) else {}  # else `load` refuses
    of_headline = given | {"layer_sweep": []}
    yield "features.yaml", of_headline
    for name, dataset in params["datasets"].items():
        own = dataset if isinstance(dataset, dict) else {}
        swept = reads_layers(name, own, params[SHARED]["datasets"])
        yield f"features_{name}.yaml", given if swept else of_headline


def _check_sources(graph: Path, params: Mapping[str, Any]) -> None:
    """Refuse other addresses of files that no dataset or model has.

    Raises:
        SettingsError: names the closest address.
    """
    found = params.get("sources")
    asked = set(map(str, found)) if isinstance(found, dict) else set[str]()  # else `load` refuses
    known = {a.url for kind in kinds().values() for a in kind.archives} if asked else set[str]()
    known |= {entry.source.address for entry in entries().values()} if asked - known else set()
    if asked - known:
        models = [m for m in params.get("models", {}).values() if isinstance(m, dict)]
        known |= {_address_of(str(m["tag"])) for m in models if "tag" in m}
    refuse(
        graph.with_name(paths.PARAMS.name),
        (
            f"sources.{brief(one)}: no dataset of the catalogue, model of the registry or timm "
            f"model in 'models' has this address; {nearest(one, near(one, known, cutoff=0.3))}"
            for one in sorted(asked - known)
        ),
    )


def _address_of(tag: str) -> str:
    """The address of the file of a timm model; importing timm takes seconds."""
    from patchlens.backbones.pretrained import check_tag, source_of

    check_tag(f"{paths.PARAMS}: models", tag)
    return source_of(tag)[0].address


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


def _model_code(name: str, settings: Any) -> str:
    """The list of what a model of `source: python` uses; of the hub's, the version of transformers.

    Files of its own root with the hash of their code, other packages with their version, and the
    files and folders that `args` name. Nothing is imported.

    Raises:
        SettingsError: the settings are invalid, or there is no such target.
        DataError: a file is not Python.
    """
    source = settings.get("source") if isinstance(settings, dict) else None
    if source == "hub":  # its classes
        with suppress(metadata.PackageNotFoundError):
            return f"{metadata.version('transformers')}  transformers\n"
    if source != "python":
        return "no code of its own\n"  # DVC warns of an empty file
    try:
        model = PythonModel.model_validate(settings)
    except ValidationError as fault:
        lines = [explain(error, PythonModel) for error in fault.errors()]
        raise SettingsError(
            "\n".join(f"{paths.PARAMS}: models.{name}.{line}" for line in lines)
        ) from None
    target = locate(model.target, f"{paths.PARAMS}: models.{name}")
    own, packages = _own_code(target)
    lines = [f"{_read(path, target.root).hash}  {path.relative_to(target.root)}" for path in own]
    lines += [f"{version}  {package}" for package, version in packages.items()]
    lines += [f"{file_hash(path, 'sha256')}  {path}" for path in _named_files(model.args)]
    return "".join(f"{line}\n" for line in lines)


def _own_code(target: Target) -> tuple[list[Path], dict[str, str]]:
    """The files of its own that a target uses, and the other packages with their versions."""
    todo, done, others = {target.file}, set[Path](), set[str]()
    while todo:
        path = todo.pop()
        done.add(path)
        for name in _read(path, target.root).imports:
            found = {p for p in files(name, target.root) if p.is_relative_to(target.own)}
            todo |= found - done
            if not found:
                others.add(name.partition(".")[0])
    providers = _providers() if others - sys.stdlib_module_names else {}
    packages = {dist for top in others for dist in providers.get(top, ())}
    return sorted(done), {dist: metadata.version(dist) for dist in sorted(packages)}


_providers = cache(metadata.packages_distributions)  # it reads the files of every package


def _named_files(value: Any) -> list[Path]:
    """The files that a setting names, and those in the folders that it names."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return sorted({path for one in inner for path in _named_files(one)})
    path = Path(value) if isinstance(value, str) and value.strip() else None
    try:
        if path is None or not path.exists() or Path.cwd().is_relative_to(path.absolute()):
            return []
    except OSError:  # a text that is too long for a name
        return []
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def closure(module: str, known: dict[Path, "_Uses"] | None = None) -> set[str]:
    """All files below src/ that `module` uses, relative to src/, except those without any code.

    Args:
        module: its dotted name.
        known: what files use, for the closures of several modules; it is filled.
    """
    known = {} if known is None else known
    todo, done = files(module), set[Path]()
    if SRC.joinpath(*module.split(".")).with_suffix(".py") not in todo:
        raise ModuleNotFoundError(f"{SRC}: no module {module}")
    while todo:
        path = todo.pop()
        done.add(path)
        if path not in known:
            read = _read(path)
            modules = {file for name in read.imports for file in files(name)}
            known[path] = _Uses(modules, owned(path) | (set() if read.empty else {path}))
        todo |= known[path].modules - done
    return {file.relative_to(SRC).as_posix() for path in done for file in known[path].files}


def imported(path: Path) -> set[str]:
    """The files that a module imports itself, relative to src/, without faces of packages."""
    found = {file for name in _read(path).imports for file in files(name)}
    return {p.relative_to(SRC).as_posix() for p in found if p.name != "__init__.py"}


def files(name: str, root: Path | None = None) -> set[Path]:
    """The file of a module in `root`, by its dotted name, and the __init__ of packages above it.

    A name that ends with a dot is a package with all of its modules; a part `*` is every package.
    """
    if root is None and name.partition(".")[0] not in OURS:
        return set()
    root = root or SRC
    if "*" in name:
        found = SRC.glob(name.replace(".", "/") + ".py")
        return {path for one in found for path in files(_dotted(one))}
    parts = name.rstrip(".").split(".")
    candidates = [root.joinpath(*parts).with_suffix(".py")]
    candidates += [root.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)]
    if name.endswith("."):
        candidates += root.joinpath(*parts).glob("*.py")
    return {path for path in candidates if path.is_file() and path != SRC / DOOR}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


def owned(path: Path) -> set[Path]:
    """The data files that a module may read; a change of one counts as a change of the module.

    A module that uses its own path, or reads resources of packages, owns all data files in its
    folder and in the packages that it names, at any depth.
    """
    module = _read(path)
    if not module.reads:
        return set()
    folders = [path.parent, *(SRC.joinpath(*name.split(".")) for name in module.strings)]
    return {file for folder in folders for file in _data(folder)}


def _data(folder: Path) -> set[Path]:
    """Data files below a folder, without those that no program reads."""
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
    ours = [SRC / package for package in OURS]
    known = (owned(path) for package in ours for path in package.rglob("*.py"))
    left = set[Path]().union(*map(_data, ours)).difference(*known)
    if left:
        raise DataError(
            "\n".join(
                f"src/{path.relative_to(SRC).as_posix()}: no module in its folder or a parent "
                "folder reads data files, so no stage would notice a change of this file; move it "
                "to the module that reads it (with importlib.resources or __file__), or remove it"
                for path in sorted(left)
            )
        )


@dataclass(frozen=True)
class _Uses:
    """What a module uses: modules that it imports, and files with code or data, itself included."""

    modules: set[Path]
    files: set[Path]


@dataclass(frozen=True)
class _Module:
    """The facts about a module that its text gives.

    Attributes:
        hash: of the executed code, in hex.
        empty: whether it has no such code.
        imports: dotted names anywhere in its body: of modules, of names in modules, and, with a dot
            at the end, of packages any module of which may be imported.
        reads: whether it reads data files.
        strings: those that look like the name of a module in a package.
    """

    hash: str
    empty: bool
    imports: frozenset[str]
    reads: bool
    strings: frozenset[str]


def _hash(path: Path) -> str:
    return _read(path).hash if path.suffix == ".py" else file_hash(path, "md5")


def _read(path: Path, root: Path | None = None) -> _Module:
    """A module of ours, or one of the user in `root`, whose imports by a variable are left out."""
    name = path.relative_to(root or SRC).as_posix()
    try:
        return _parsed(path.read_text(encoding="utf-8"), name, ours=root is None)
    except (SyntaxError, ValueError) as error:
        if root is None:
            raise
        raise DataError(f"{path}: not valid Python ({error}); correct it") from None


@cache
def _parsed(text: str, name: str, ours: bool = True) -> _Module:
    """A module, cached by its text so that edits are noticed; `name` is its path below src/."""
    key = hashlib.md5(f"{sys.version}|{_RULES}|{ours}|{name}|{text}".encode()).hexdigest()
    found = _recalled.get(key) or _parse(text, name, ours)
    _read_now[key] = found
    sets = {field: frozenset(found[field]) for field in ("imports", "strings")}
    return _Module(**found | sets)


def _memory(graph: Path) -> Path:
    """The file of what runs found: one for all workspaces, or of this one if there can be none."""
    folder = user_cache() or graph.parent / paths.WORK
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        folder = graph.parent / paths.WORK
    return folder / "code/modules.json"


def _recall(path: Path) -> None:
    """Take over what an earlier run of the stage found in modules of the same text and name."""
    for cache_of_process in (_recalled, _read_now):
        cache_of_process.clear()
    _parsed.cache_clear()
    with suppress(OSError, ValueError, TypeError, KeyError):  # it only saves time
        content = json.loads(path.read_bytes())
        if content["sha256"] == _digest(content["modules"]):  # a damaged one could hide a change
            _recalled.update(content["modules"])


def _remember(path: Path) -> None:
    """Leave it for later runs, with what other workspaces and versions left, if it is not much."""
    if not _read_now.items() <= _recalled.items():
        modules = _recalled | _read_now
        if len(modules) > VERSIONS * len(_read_now):
            modules = _read_now
        with keep(path) as partial:
            content = {"sha256": _digest(modules), "modules": modules}
            partial.write_text(json.dumps(content), encoding="utf-8")


def _digest(modules: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(modules, sort_keys=True).encode()).hexdigest()


def _parse(text: str, name: str, ours: bool) -> dict[str, Any]:
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
                try:
                    imports.add(_imported(node.args[0], name))
                except (DataError, IndexError):
                    if ours:
                        raise
            case ast.Name(word) | ast.Attribute(attr=word):
                seen.add(word)
            case ast.Constant(str(value)) if all(map(str.isidentifier, value.split("."))):
                strings.add(value)
    return {
        "hash": hashlib.md5(_text(tree).encode()).hexdigest(),
        "empty": not tree.body,
        "imports": sorted(imports),
        "reads": bool(READERS & (imports | seen)),
        "strings": sorted(value for value in strings if "." in value),
    }


def _package(name: str) -> str:
    return name.rpartition("/")[0].replace("/", ".")


def _imported(argument: ast.expr, name: str) -> str:
    """The name that `import_module` imports; with a dot at the end, any module of a package."""
    match argument:
        case ast.Constant(str(value)):
            return resolve_name(value, _package(name))
        case ast.JoinedStr([ast.Constant(str(value)), ast.FormattedValue()]) if value[-1:] == ".":
            return resolve_name(value.rstrip("."), _package(name)) + "."
        case ast.JoinedStr(
            [ast.Constant(str(value)), ast.FormattedValue(), ast.Constant(str(end))]
        ):
            if value[-1:] == "." == end[:1]:
                return resolve_name(value.rstrip("."), _package(name)) + ".*" + end
    raise DataError(
        f"src/{name}:{argument.lineno}: the call of import_module does not show what it imports; "
        "write the package into the call, as in import_module(f'patchlens.package.{name}')"
    )


class _Executed(ast.NodeTransformer):
    """Removes what Python does not execute, or what has no effect."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Remove docstrings, and other lone constants such as `...`."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        """Remove it, like the docstring that makes it needless."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Keep only the `else` of `if TYPE_CHECKING:`."""
        self.generic_visit(node)
        match node.test:
            case ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return node.orelse
        return node


def _text(node: Any) -> str:
    """A tree as text, without positions and empty fields, which vary with the version of Python."""
    if isinstance(node, ast.Constant):
        return f"Constant({node.value!a})"  # here None is a value, elsewhere an empty field
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in node._fields]
        kept = [f"{name}={_text(value)}" for name, value in fields if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(kept)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    return ascii(node)
