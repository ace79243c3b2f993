"""The code of `source: python`: where a target lies, and, apart from that, its import."""

import importlib.util
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from patchlens.errors import SettingsError
from patchlens.settings.base import brief

# Whatever the code of a user raises; a script that reads its arguments ends its process.
RAISED = (Exception, SystemExit)
INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Target:
    """A function in a file of Python.

    Attributes:
        file: the file.
        root: the folder from which `module` is imported.
        module: dotted name.
        function: its name in the module.
        own: the folder whose files are the user's: `root`, or a package that pip installed.
    """

    file: Path
    root: Path
    module: str
    function: str
    own: Path


def locate(target: str, where: str) -> Target:
    """Find the file of a target, without importing anything.

    Args:
        target: `package.module:function` or `folder/file.py:function`.
        where: the slot, for messages.

    Raises:
        SettingsError: there is no such file, or it is outside the working folder.
    """
    place, _, function = target.partition(":")
    home = Path.cwd().resolve()
    if place.endswith(".py"):
        file = (home / place).resolve()
        if not file.is_file():
            raise SettingsError(f"{where}.target: {place}: no such file below {home}; correct it")
        if not file.is_relative_to(home):
            raise SettingsError(
                f"{where}.target: {place} leads to {file}, outside {home}; copy the file there"
            )
        root = file.parent
        while (root / "__init__.py").is_file() and root != home:
            root = root.parent
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        return Target(file, root, module, function, root)
    top, *rest = place.split(".")
    spec = PathFinder.find_spec(top, [str(home), *sys.path]) or importlib.util.find_spec(top)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise SettingsError(
            f"{where}.target: no module '{top}' in {home} or among the installed packages; "
            "install it, or name the file"
        )
    folders = list(spec.submodule_search_locations or ())
    if not folders:
        candidates = [] if rest else [Path(str(spec.origin))]
        root = Path(str(spec.origin)).parent
    else:
        found = [Path(folder).joinpath(*rest) for folder in folders]
        candidates = [p for f in found for p in (f.with_suffix(".py"), f / "__init__.py")]
        root = Path(folders[0]).parent
    for file in candidates:
        if file.suffix == ".py" and file.is_file():
            own = root / top if INSTALLED & set(root.parts) else root
            return Target(file.resolve(), root.resolve(), place, function, own.resolve())
    raise SettingsError(f"{where}.target: no module '{place}' in {root / top}; correct the name")


def call(target: Target, args: dict[str, Any], where: str) -> Any:
    """Import the target and call it. This runs its code.

    Raises:
        SettingsError: it cannot be imported, has no such function, or the call fails.
    """
    if str(target.root) not in sys.path:
        sys.path.insert(0, str(target.root))  # and kept: functions import when they are called
    try:
        module = __import__(target.module, fromlist=[target.function])
    except RAISED as error:
        raise SettingsError(f"{where}.target: {target.file}: {_reason(error)}") from error
    origin = str(getattr(module.__spec__, "origin", None))  # some modules have no file
    if Path(origin).resolve() != target.file:
        raise SettingsError(
            f"{where}.target: {target.file.name} has the name of another module, {origin}; "
            "rename it"
        )
    made = getattr(module, target.function, None)
    if not callable(made):
        raise SettingsError(f"{where}.target: {target.file} has no function '{target.function}'")
    try:
        return made(**args)
    except RAISED as error:
        raise SettingsError(
            f"{where}: {target.function} in {target.file} fails ({_reason(error)}); correct it, "
            f"or {where}.args"
        ) from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {brief(' '.join(str(error).split()))}"
