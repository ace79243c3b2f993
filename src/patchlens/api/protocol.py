"""The protocol of an evaluation from Python: of a params.yaml, or of the file beside this one."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from patchlens.errors import SettingsError
from patchlens.names import DatasetName, ModelName, nearest
from patchlens.settings.datasets import Dataset, Minicity
from patchlens.settings.load import SHARED, Settings, parse, with_sections
from patchlens.settings.validated import loaded
from patchlens.tasks.known import known

DEFAULT = Path(__file__).with_name("protocol.yaml")
COMMON = ("features", "prune", "uncertainty")  # sections of all tasks


def default(section: str) -> dict[str, Any]:
    """A section of the protocol that holds where nothing else is said."""
    return dict(_content(DEFAULT)[section])


def _content(path: Path) -> dict[str, Any]:
    content = loaded(path, missing="give the path of a params.yaml")
    sections = [*known().sections, *COMMON]
    for name in sections:
        if not isinstance(content, dict) or not isinstance(content.get(name), dict):
            raise SettingsError(f"{path}: no section '{name}'; give the path of a params.yaml")
    return dict(content)


@cache
def _keys(section: str) -> frozenset[str]:
    """The keys of a section, also those that a file may lack, without its list of datasets."""
    kind: Any = with_sections(known().sections).model_fields[section].annotation
    return frozenset(kind.model_fields) - {"datasets"}


def slot(name: str) -> ModelName:
    """A name that `models:` allows."""
    return ModelName(re.sub(r"[^a-z0-9_]+", "_", name.lower())[:60].strip("_") or "model")


def settings_for(
    task: str,
    dataset: DatasetName,
    own: Dataset,
    model: ModelName,
    *,
    variant: Sequence[str] | None,
    options: Mapping[str, Any],
    params: Path = DEFAULT,
) -> Settings:
    """All settings of one task on one dataset, checked as those of params.yaml are.

    Args:
        task: its section has the dataset; `options` are keys of it, or of a common section.
        dataset: the name of the dataset.
        own: its settings.
        model: the name of the model.
        variant: the variants to score; by default, those of `params`.
        options: key -> value, in place of what `params` says.
        params: a params.yaml, of which datasets and models are left out.

    Raises:
        SettingsError: one line per mistake.
    """
    content, allowed = _content(params), known()
    content["limits"] = dict(content.get("limits") or {})
    shared = content[SHARED]
    shared["variants"] = list(variant or shared.get("variants", ["raw"]))
    if "shots" not in shared:
        images = 8 if own.support is None else own.support.images
        shared["shots"] = images if isinstance(images, int) else 8
    for key, value in options.items():
        if key == "device":
            content[key] = value
            continue
        keys = {name: _keys(name) for name in (task, SHARED, *COMMON, "limits") if name in content}
        holds = next((content[name] for name, of in keys.items() if key in of), None)
        if holds is None:
            all_keys = set().union(*keys.values(), ["device"])
            raise SettingsError(f"evaluate: '{key}' is no setting; {nearest(key, all_keys)}")
        nested = isinstance(value, Mapping) and isinstance(holds.get(key), Mapping)
        holds[key] = {**holds[key], **value} if nested else value
    for name in allowed.sections:
        content[name] = content[name] | {"datasets": [dataset] if name == task else []}
    made = isinstance(own, Minicity)
    fetch = {"made": [dataset] if made else [], "downloaded": [], "placed": []}
    content |= {
        "fetch": fetch | ({} if made else {"placed": [dataset]}),
        "datasets": {dataset: own},
        "models": {model: {"source": "pixels", "patch_size": 1}},  # no score depends on it
        "extract": {"datasets": [dataset]},
    }
    return parse(content, Path("evaluate"), allowed)
