"""The package files that a stage uses: DVC sees no imports, so dvc.yaml must list them."""

import ast
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"
# Modules that read the files beside them, which decide results as code does.
DATA = {"patchlens/backbones/registry/read.py": "*.yaml"}


def imports(path: Path) -> set[Path]:
    """Package files that a module imports anywhere in its body, with their packages' __init__."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def closure(module: str) -> set[str]:
    """All package files that `module` uses, as paths relative to the repository."""
    todo, done = files(module), set[Path]()
    while todo:
        path = todo.pop()
        done.add(path)
        todo |= imports(path) - done
    for reader, pattern in DATA.items():
        if SRC / reader in done:
            done |= set((SRC / reader).parent.glob(pattern))
    return {path.relative_to(SRC.parent).as_posix() for path in done if not only_docstring(path)}


def only_docstring(path: Path) -> bool:
    """Whether a file holds a docstring and nothing else, so that no result can depend on it."""
    if path.suffix != ".py":
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) for n in body)
