"""Reads and validates files of settings; each mistake is one line of the error."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml.error import YAMLError

from patchlens.errors import PatchlensError, SettingsError
from patchlens.given import Unreadable, printable
from patchlens.settings.messages import explain
from patchlens.settings.yaml_text import read


def validated(
    path: Path,
    kind: Any,
    *,
    missing: str,
    lines: Callable[[ErrorDetails], Iterable[str]] | None = None,
    error: type[PatchlensError] = SettingsError,
) -> Any:
    """The content of a YAML file as `kind`.

    Args:
        path: the file.
        kind: a section, or a dict of sections.
        missing: the remedy if the file does not exist.
        lines: the lines of one mistake; by default, the one of `messages.explain`.
        error: the class of error to raise.

    Raises:
        SettingsError: (or `error`) as in `loaded`, or one line per mistake in the file.
    """
    content = loaded(path, missing=missing, error=error)
    return conforming(content, kind, path, lines=lines, error=error)


def conforming(
    content: Any,
    kind: Any,
    where: Path,
    *,
    lines: Callable[[ErrorDetails], Iterable[str]] | None = None,
    error: type[PatchlensError] = SettingsError,
    context: Any = None,
) -> Any:
    """What was read from `where` as `kind`, with `context` for its validators; see `validated`."""
    try:
        return TypeAdapter(kind).validate_python(content, context=context)
    except ValidationError as fault:
        told = lines or (lambda item: [explain(item, kind)])
        found = [f"{where}: {printable(line)}" for item in fault.errors() for line in told(item)]
        raise error("\n".join(found)) from None


def loaded(path: Path, *, missing: str, error: type[PatchlensError] = SettingsError) -> Any:
    """The content of a YAML file, not yet checked; see `validated`.

    Raises:
        SettingsError: (or `error`) the file does not exist, is empty, cannot be read or is no YAML.
    """
    try:
        content = read(path)
    except FileNotFoundError:
        raise error(f"{path}: no such file; {missing}") from None
    except Unreadable as reason:
        raise error(f"{path}: {reason}") from None
    except YAMLError as fault:
        problem = printable(" ".join(str(fault).split()))
        raise error(f"{path}: not valid YAML: {problem}") from None
    if content is None:
        raise error(f"{path}: this file is empty; restore it, or write {{}} for none")
    return content


def refuse(path: Path, problems: Iterable[str]) -> None:
    """Raise an error if there are problems, such as those that no single section can detect.

    Raises:
        SettingsError: one line per problem.
    """
    if found := [f"{path}: {line}" for line in problems]:
        raise SettingsError("\n".join(found))
