"""The stages that `dvc repro` would run, counted from dvc.yaml and the settings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from patchlens.errors import SettingsError
from patchlens.settings.load import Settings
from patchlens.settings.validated import loaded

NAME = re.compile(r"[\w.-]+")
PLACE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Stage:
    """A stage and the cells of its matrix: one dict per cell; `{}` if it has no matrix."""

    name: str
    cells: list[dict[str, str]]


def stages(path: Path, settings: Settings) -> list[Stage]:
    """The stages of a dvc.yaml in order, with every cell that the settings define.

    Raises:
        SettingsError: the file is missing, or a matrix refers to missing settings or has an
            unsupported form.
    """
    found = []
    for stage, matrix in _matrices(path):
        axes = {axis: matrix_names(stage, source, settings) for axis, source in matrix.items()}
        cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        found.append(Stage(stage, cells))
    return found


def names(path: Path, settings: Any) -> dict[str, list[str]]:
    """Every name that a matrix of a dvc.yaml makes stages of, by where it comes from.

    Args:
        path: the dvc.yaml.
        settings: the content of its params.yaml, checked or not.

    Returns:
        Place in params.yaml, or in dvc.yaml for names that stand there -> its names.

    Raises:
        SettingsError: see `stages`.
    """
    return {
        _place(source) or f"stages.{stage}.matrix.{axis}": matrix_names(stage, source, settings)
        for stage, matrix in _matrices(path)
        for axis, source in matrix.items()
    }


def read_graph(path: Path) -> dict[str, dict[str, Any]]:
    """Name -> stage of a dvc.yaml.

    Raises:
        SettingsError: the file is missing, cannot be read, or has no stages.
    """
    content = loaded(path, missing="run this in the folder that contains dvc.yaml")
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(s, dict) for s in stages.values()):
        raise SettingsError(f"{path}: stages: must be a section with a section for each stage")
    return stages


def _matrices(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, stage in read_graph(path).items():
        matrix = stage.get("matrix", {})
        if "foreach" in stage or not isinstance(matrix, dict):
            raise _unknown(name, stage.get("foreach", matrix))
        yield name, matrix


def _place(source: Any) -> str | None:
    """`place.in.params` of `${place.in.params}`."""
    place = PLACE.fullmatch(source) if isinstance(source, str) else None
    return place and place[1]


def matrix_names(stage: str, source: Any, settings: Any) -> list[str]:
    """The values of an axis: a list, or `${key.in.params}` of a list or of a section with keys.

    Args:
        stage: the stage, for messages.
        source: the axis as in dvc.yaml.
        settings: the content of params.yaml, checked or not.

    Raises:
        SettingsError: see `stages`.
    """
    if isinstance(source, list) and all(NAME.fullmatch(str(value)) for value in source):
        return [str(value) for value in source]
    place = _place(source)
    if place is None:
        raise _unknown(stage, source)
    found: Any = settings
    for part in place.split("."):
        found = found.get(part) if isinstance(found, dict) else getattr(found, part, None)
    if found is None:
        raise SettingsError(
            f"params.yaml: {place}: missing, but the stage {stage} runs for each of it; write [] "
            "for none"
        )
    if not isinstance(found, list | dict):
        raise SettingsError(f"params.yaml: {place}: {found!r} is not a list; write [{found}]")
    return [str(value) for value in found]


def _unknown(stage: str, source: Any) -> SettingsError:
    return SettingsError(
        f"dvc.yaml: stages.{stage}: a matrix must contain lists of names or "
        f"${{key.in.params}}, not {source!r}"
    )
