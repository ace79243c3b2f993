"""Stage code: the package files that each stage uses, with a hash each.

DVC sees no imports. So every other stage depends on its list here, which names each file that its
module imports, directly or through others; a list changes when one of them does.
"""

import ast
from functools import cache
from pathlib import Path

import yaml

import patchlens
from patchlens import paths
from patchlens.files import file_hash, write_text

SRC = Path(patchlens.__file__).parents[1]  # of the code that runs
# Modules that read the files beside them, which decide results as code does.
DATA = {
    "patchlens/datasets/catalogue.py": ["catalogue.yaml"],
    "patchlens/backbones/registry/read.py": ["*.yaml"],
    "patchlens/report/reference.py": ["reference.yaml"],
    "patchlens/site/build.py": ["static/*", "templates/*"],
}


def run(graph: Path = Path("dvc.yaml")) -> None:
    """Write data/code/<stage>.txt for every other stage of `graph`."""
    stages = yaml.safe_load(graph.read_text(encoding="utf-8"))["stages"]
    for stage in [name for name in stages if name != "code"]:
        used = sorted(closure(f"patchlens.stages.{stage}"))
        lines = [f"{file_hash(SRC / name, 'md5')}  {name}\n" for name in used]
        write_text("".join(lines), paths.code(stage))


def closure(module: str) -> set[str]:
    """All package files that `module` uses, relative to `src`; none that are docstrings only."""
    todo, done = files(module), set[Path]()
    while todo:
        path = todo.pop()
        done.add(path)
        todo |= imports(path) - done
    for reader, patterns in DATA.items():
        if SRC / reader in done:
            done |= {path for some in patterns for path in (SRC / reader).parent.glob(some)}
    return {path.relative_to(SRC).as_posix() for path in done if not _only_docstring(path)}


def imports(path: Path) -> set[Path]:
    """Package files that a file imports anywhere in its body, with their packages' __init__."""
    found: set[Path] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "patchlens":
                found |= files(name)
    return found


def files(name: str) -> set[Path]:
    """The file of a dotted name, if it is a module, and the __init__ of every package above it."""
    parts = name.split(".")
    candidates = [SRC.joinpath(*parts).with_suffix(".py")]
    candidates += [SRC.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)]
    return {path for path in candidates if path.is_file()}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _only_docstring(path: Path) -> bool:
    """Whether a file holds a docstring and nothing else, so that no result can depend on it."""
    if path.suffix != ".py":
        return False
    body = _tree(path).body
    return all(isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) for n in body)
