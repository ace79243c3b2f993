"""Every number in every file of settings has bounds, and every list has an end."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from configured import configured
from patchlens.datasets.folder_yaml import Description
from patchlens.pretrain.settings import Pretrain
from patchlens.settings import models
from patchlens.settings.base import Within
from patchlens.settings.claims import Claim
from settings.conftest import VALID

Complaints = Callable[[dict[str, Any]], list[str]]
SETTINGS = type(configured())  # with the section of every task
ROOTS = (SETTINGS, Claim, Description, Pretrain, models._ArchArgs)

# An index or a key of what the model returns: tests/backbones/test_wrap.py refuses any other.
OF_WHAT_IS_THERE = {"PythonModel.output"}


def numbers(annotation: Any, bounds: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The metadata of each number in a type."""
    if annotation in (int, float):
        yield bounds
    elif get_origin(annotation) is Annotated:
        inner, *about = get_args(annotation)
        yield from numbers(inner, (*bounds, *about))
    else:
        for part in get_args(annotation):
            yield from numbers(part)


def sections(root: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """All sections below one."""
    if root not in seen:
        seen.add(root)
        for field in root.model_fields.values():
            below(field.annotation, seen)
    return seen


def below(annotation: Any, seen: set[type[BaseModel]]) -> None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        sections(annotation, seen)
    for part in get_args(annotation):
        below(part, seen)


ALL = sorted(
    {section for root in ROOTS for section in sections(root, set())}, key=lambda s: s.__name__
)


def test_the_walk_finds_the_sections() -> None:
    names = {section.__name__ for section in ALL}
    assert {"Settings", "View", "Knn", "Propagation", "Claim", "Description", "Ibot"} <= names


@pytest.mark.parametrize("section", ALL, ids=lambda section: section.__name__)
def test_every_number_has_a_lower_and_an_upper_bound(section: type[BaseModel]) -> None:
    for key, field in section.model_fields.items():
        for about in numbers(field.annotation, tuple(field.metadata)):
            bounds = [item for item in about if isinstance(item, Within)]
            custom = any(type(item).__name__ == "PlainValidator" for item in field.metadata)
            bound = bounds and bounds[-1].high is not None
            name = f"{section.__name__}.{key}"
            assert custom or bound or name in OF_WHAT_IS_THERE, name


def leaves(content: Any, place: str = "") -> Iterator[str]:
    """The places of all numbers, and of all lists of numbers, in the valid file."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{place}.{key}" if place else key)
    elif type(content) in (int, float) or (
        isinstance(content, list) and content and type(content[0]) in (int, float)
    ):
        yield place


def valid() -> Any:
    import yaml

    return yaml.safe_load(VALID)


PLACES = list(leaves(valid()))


@pytest.mark.parametrize("huge", [2**70, -(2**70), 10**4000], ids=["2^70", "-2^70", "10^4000"])
@pytest.mark.parametrize("place", PLACES)
def test_a_huge_number_is_one_short_line(place: str, huge: int) -> None:
    from pydantic import TypeAdapter, ValidationError

    from patchlens.datasets.catalogue import kinds
    from patchlens.settings.messages import explain

    content = copy.deepcopy(valid())
    *path, key = place.split(".")
    section = content
    for part in path:
        section = section[part]
    old = section[key]
    section[key] = [*old[:-1], huge] if isinstance(old, list) else huge
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(SETTINGS).validate_python(content, context=kinds())
    (error,) = caught.value.errors()
    line = explain(error, SETTINGS)
    assert line.startswith(f"{place}: ") or line.startswith(f"{place}[{len(old) - 1}]: "), line
    assert "allowed: " in line
    assert len(line) < 300
    assert "\n" not in line


@pytest.mark.parametrize("tiny", [1e-300, float("nan"), float("inf"), -1e300])
@pytest.mark.parametrize(
    "place",
    [
        "segmentation.knn.temperature",
        "segmentation.linear.default_c",
        "tracking.davis.temperature",
        "datasets.minicity.view.gsd",
    ],
)
def test_a_float_without_sense(complaints: Complaints, place: str, tiny: float) -> None:
    assert complaints({place: tiny})[0].startswith(f"{place}: ")


@pytest.mark.parametrize("seeds", [[-1, 1], [0, 2**70], [1, 1]])
def test_support_seeds(complaints: Complaints, seeds: list[int]) -> None:
    (line,) = complaints({"datasets.minicity.support.seeds": seeds})
    assert line.startswith("datasets.minicity.support.seeds")


@pytest.mark.parametrize("length", [61, 300, 5000])
@pytest.mark.parametrize("section", ["models", "datasets"])
def test_a_long_name(complaints: Complaints, valid: Any, section: str, length: int) -> None:
    first = next(iter(valid[section].values()))
    line = complaints({f"{section}.{'a' * length}": first})[0]
    assert f": {length} characters; allowed: at most 60" in line
    assert len(line) < 300


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("datasets.own.root", "a\0b"),
        ("datasets.own.root", "a\nb"),
        ("datasets.own.root", ""),
        ("datasets.own.support.split", "a\x1b[31m"),
        ("models.own.file", "a\0b"),
        ("models.own.arch", "x" * 5000),
        ("models.dino.tag", ""),
        ("device", "\n" * 9),
        ("segmentation.label", ["x"] * 999),
    ],
)
def test_texts_stay_on_one_short_line(complaints: Complaints, place: str, value: Any) -> None:
    (line,) = complaints({place: value})
    assert line.startswith(f"{place}: ")
    assert line.isprintable()
    assert len(line) < 300


@pytest.mark.parametrize("place", ["segmentation.k_sweep", "datasets.minicity.support.seeds"])
def test_a_list_has_an_end(complaints: Complaints, place: str) -> None:
    assert complaints({place: list(range(1, 1002))}) == [
        f"{place}: 1001 entries; allowed: at most 1000"
    ]


def test_follow_links_is_about_a_root(complaints: Complaints) -> None:
    assert complaints({"datasets.scenes.follow_links": True}) == [
        "datasets.scenes: 'follow_links' is about links below 'root', which is missing"
    ]


ARGS = {
    "checkpoint_path": "/etc/passwd",
    "pretrained_cfg": {"file": "x.pth"},
    "pretrained_cfg_overlay": {"url": "http://x"},
    "cache_dir": "/tmp",
    "norm_layer": "os.system",
    "act_layer": "x",
    "embed_layer": "x",
    "block_fn": "x",
    "num_classes": 3,
    "in_chans": 4,
    "patch_size": 0,
    "num_heads": 0,
    "depth": 10**9,
    "embed_dim": 10**9,
    "img_size": [224],
    "mlp_ratio": 1e9,
    "init_values": float("inf"),
    "qkv_bias": "yes",
    "device": "cuda",
}


@pytest.mark.parametrize("source", ["random", "dino", "own"])
@pytest.mark.parametrize("key", ARGS)
def test_arguments_of_an_architecture_are_an_allow_list(
    complaints: Complaints, source: str, key: str
) -> None:
    place = f"models.{source}.arch_args"
    (line,) = complaints({place: {"depth": 2} | {key: ARGS[key]}})
    assert line.startswith(f"{place}.{key}: ")
    assert "allowed: " in line


def test_arguments_keep_the_order_in_which_they_stand(tmp_path: Path, valid: Any) -> None:
    import yaml

    from patchlens.settings.load import load
    from patchlens.tasks.known import known

    written = {"patch_size": 8, "img_size": [64, 32], "depth": 4, "init_values": None}
    valid["models"]["random"]["arch_args"] = written
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(valid, sort_keys=False), encoding="utf-8")
    found: Any = load(path, known()).models["random"]  # type: ignore[index]
    assert list(found.arch_args.items()) == list(written.items())
