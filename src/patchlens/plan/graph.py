"""The stages that `dvc repro` would run, counted from dvc.yaml and the settings."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from patchlens.errors import SettingsError
from patchlens.settings.load import Settings


@dataclass(frozen=True)
class Stage:
    """A stage and the cells of its matrix: one dict a cell, `{}` where it has no matrix."""

    name: str
    cells: list[dict[str, str]]


def stages(path: Path, settings: Settings) -> list[Stage]:
    """The stages of a dvc.yaml in its order, with every cell that the settings make.

    Raises:
        SettingsError: there is no such file, or a matrix names what the settings do not have.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; run this in the folder that holds dvc.yaml")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    return [Stage(name, _cells(name, stage, settings)) for name, stage in content.items()]


def _cells(name: str, stage: dict[str, Any], settings: Settings) -> list[dict[str, str]]:
    axes = {
        axis: _names(name, source, settings) for axis, source in stage.get("matrix", {}).items()
    }
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _names(stage: str, source: Any, settings: Settings) -> list[str]:
    """The values of an axis: a list, or `${place.in.params}` of a list or of a section's keys."""
    if isinstance(source, list):
        return [str(value) for value in source]
    found: Any = settings
    for part in str(source).removeprefix("${").removesuffix("}").split("."):
        found = found.get(part) if isinstance(found, dict) else getattr(found, part, None)
    if found is None:
        raise SettingsError(f"dvc.yaml: stages.{stage}.matrix: params.yaml has no {source}")
    return [str(value) for value in found]
