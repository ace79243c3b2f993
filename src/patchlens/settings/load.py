"""Reads `params.yaml`; every mistake in it becomes a line that says where and what instead."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.base import Name, Strict
from patchlens.settings.datasets import Camvid, Dataset, Fetch, Folder, Minicity
from patchlens.settings.features import Device, Features, Prune
from patchlens.settings.models import Model
from patchlens.settings.segmentation import Segmentation, Uncertainty
from patchlens.settings.sweep import Sweep

RANGES = {
    "greater_than_equal": ("ge", "≥"),
    "greater_than": ("gt", ">"),
    "less_than_equal": ("le", "≤"),
    "less_than": ("lt", "<"),
}
LENGTHS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}
SECTIONS = ("model_type", "model_attributes_type", "dict_type")

T = TypeVar("T")


class Settings(Strict):
    """All of `params.yaml`."""

    device: Device
    fetch: Fetch
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    features: Features
    prune: Prune
    segmentation: Segmentation
    sweep: Sweep
    uncertainty: Uncertainty

    def dataset(self, name: str) -> Dataset:
        """Settings of the dataset `name`, or an error with the nearest name."""
        return _named(self.datasets, name, "dataset")

    def made(self, name: str) -> Minicity:
        """Settings of a dataset that the pipeline makes."""
        made = {n: d for n, d in self.datasets.items() if isinstance(d, Minicity)}
        return _named(made, name, "made dataset")

    def placed(self, name: str) -> Camvid | Folder:
        """Settings of a dataset that the user placed."""
        placed = {n: d for n, d in self.datasets.items() if isinstance(d, Camvid | Folder)}
        return _named(placed, name, "placed dataset")

    def model(self, name: str) -> Model:
        """Settings of the model `name`, or an error with the nearest name."""
        return _named(self.models, name, "model")


def load(path: Path) -> Settings:
    """Read and validate `path`; every mistake in it is one line of a `SettingsError`."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file; run this in the folder that holds params.yaml"
        ) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if content is None:
        raise SettingsError(f"{path}: this file is empty")
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {_explain(item)}" for item in error.errors()]
        raise SettingsError("\n".join(lines)) from None
    problems = [f"{path}: {line}" for line in _cross_checks(settings)]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _named(items: dict[str, T], name: str, what: str) -> T:
    if name not in items:
        raise SettingsError(f"unknown {what} '{name}'; {nearest(name, items)}")
    return items[name]


def _explain(error: ErrorDetails) -> str:
    """One line for one pydantic error: the place, the value, what is allowed."""
    loc, section = _place(error["loc"])
    kind, ctx, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        fields = section.model_fields if section else {}
        return f"{loc}: unknown key; {nearest(str(error['loc'][-1]), fields)}"
    if kind == "missing":
        return f"{loc}: this key is missing"
    if kind == "literal_error":
        options = [part.strip().strip("'") for part in _options(ctx["expected"])]
        return f"{loc}: '{value}' is unknown; {nearest(str(value), options)}"
    if kind == "union_tag_invalid":
        tags = [part.strip().strip("'") for part in ctx["expected_tags"].split(",")]
        return f"{loc}.{_bare(ctx)}: '{ctx['tag']}' is unknown; {nearest(ctx['tag'], tags)}"
    if kind == "union_tag_not_found":
        return f"{loc}.{_bare(ctx)}: this key is missing"
    if kind in RANGES:
        key, sign = RANGES[kind]
        return f"{loc}: {value} is out of range; allowed: {sign} {ctx[key]}"
    if kind in LENGTHS:
        key, bound = LENGTHS[kind]
        return f"{loc}: holds {ctx['actual_length']}; allowed: {bound} {ctx[key]}"
    if kind == "string_pattern_mismatch":
        return f"{loc}: '{value}' is not allowed; use a-z, 0-9 and _ only"
    if kind == "value_error":
        return f"{loc}: {ctx['error']}"
    expected = error["msg"].removeprefix("Input should be ")
    if kind in SECTIONS:
        expected = "a section of keys"
    return f"{loc}: {value!r} ({type(value).__name__}) is wrong; allowed: {expected}"


def _options(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(",")


def _bare(ctx: dict[str, Any]) -> str:
    return str(ctx["discriminator"]).strip("'")


def _place(loc: tuple[int | str, ...]) -> tuple[str, type[BaseModel] | None]:
    """The dotted path of an error without pydantic's union tags, and the section it lies in."""
    path, section, current = "", None, Settings  # type: Any, Any, Any
    for part in loc:
        if part == "[key]":
            continue
        tagged = _member(current, part)
        if tagged is not None:
            current = section = tagged
            continue
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
        if isinstance(current, type) and issubclass(current, BaseModel):
            section = current
            field = current.model_fields.get(str(part))
            current = field.annotation if field else None
        elif getattr(current, "__origin__", None) is dict:
            current = get_args(current)[1]
        else:
            current = None
    return path or "(whole file)", section


def _member(annotation: Any, tag: int | str) -> type[BaseModel] | None:
    """The class of a discriminated union whose discriminating literal is `tag`."""
    for member in _union_members(annotation):
        for key in ("source", "kind"):
            field = member.model_fields.get(key)
            if field is not None and tag in get_args(field.annotation):
                return member
    return None


def _union_members(annotation: Any) -> list[type[BaseModel]]:
    members = get_args(get_args(annotation)[0]) if hasattr(annotation, "__metadata__") else ()
    return [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]


def _cross_checks(settings: Settings) -> Iterable[str]:
    """What no single section can know: names that point elsewhere, sizes that must fit."""
    lists = {
        "fetch.made": settings.fetch.made,
        "fetch.placed": settings.fetch.placed,
        "segmentation.datasets": settings.segmentation.datasets,
        "sweep.datasets": settings.sweep.datasets,
    }
    for where, names in lists.items():
        for i, name in enumerate(names):
            if name not in settings.datasets:
                yield f"{where}[{i}]: unknown dataset '{name}'; {nearest(name, settings.datasets)}"
    sweeps = {
        "features.layer_sweep": settings.features.layer_sweep,
        "segmentation.k_sweep": settings.segmentation.k_sweep,
        "segmentation.shots_sweep": settings.segmentation.shots_sweep,
    }
    for where, values in (lists | sweeps).items():
        for i, value in enumerate(values):
            if value in values[:i]:
                yield f"{where}[{i}]: '{value}' is listed twice"
    for i, name in enumerate(settings.sweep.datasets):
        if name in settings.datasets and name not in settings.segmentation.datasets:
            yield (
                f"sweep.datasets[{i}]: '{name}' is not in segmentation.datasets, so that nothing "
                "is extracted of it; add it there"
            )
    for name, dataset in settings.datasets.items():
        right, wrong = ("placed", "made") if hasattr(dataset, "root") else ("made", "placed")
        if name in getattr(settings.fetch, wrong) or name not in getattr(settings.fetch, right):
            yield f"fetch.{right}: must list '{name}' (and fetch.{wrong} not): it is {right}"
        needed = max(settings.segmentation.shots, *settings.segmentation.shots_sweep, 0)
        if name in settings.segmentation.datasets and needed > dataset.support.images:
            yield (
                f"datasets.{name}.support.images: {dataset.support.images} is less than the "
                f"{needed} that segmentation.shots and shots_sweep ask for"
            )
