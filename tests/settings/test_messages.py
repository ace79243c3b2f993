"""Every mistake in params.yaml is one line: the place, what is wrong, what is allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchlens.datasets.catalogue import kinds
from patchlens.errors import SettingsError
from patchlens.settings.load import load
from patchlens.tasks.known import known

Complaints = Callable[[dict[str, Any]], list[str]]
VARIANTS = (
    "center, keep_random, keep_top, l2, pca_drop_top, pca_whiten, prune, prune_random, raw, zscore"
)

UNKNOWN_KEYS = {
    "featuers": "allowed: datasets, device, extract, features, fetch, identification, limits, "
    "models, prune, retrieval, segmentation, selection, sources, sweep, tracking, uncertainty; "
    "did you mean 'features'?",
    "segmentation.knn.distanse": "allowed: distance, ef_search, index, links, lists, nprobe, "
    "recall, recall_queries, seed, select_patches, storage, temperature, train, vote; "
    "did you mean 'distance'?",
    "models.random.sead": "allowed: arch, arch_args, interpolation, layer, mean, position, seed, "
    "source, std; did you mean 'seed'?",
    "models.pixels.patchsize": "allowed: patch_size, source; did you mean 'patch_size'?",
    "datasets.streets.rot": "allowed: archives, follow_links, kind, max_megapixels, pictures, "
    "query, root, support, view; did you mean 'root'?",
    "datasets.minicity.root": "allowed: kind, query, stills, support, videos, view",
    "datasets.minicity.view.tiles": "allowed: grid, gsd, mode, patches, pixels, tile; "
    "did you mean 'tile'?",
}
UNKNOWN_NAMES = {
    "device": ("gpu", "allowed: auto, cpu, cuda, mps; did you mean 'cpu'?"),
    "features.dtype": ("bfloat16", "allowed: float16, float32; did you mean 'float16'?"),
    "features.precision": ("fp64", "allowed: bf16, fp16, fp32, tf32; did you mean 'fp16'?"),
    "segmentation.label": ("mode", "allowed: majority, nearest"),
    "segmentation.knn.distance": ("cosin", "allowed: cosine, dot, l2; did you mean 'cosine'?"),
    "datasets.minicity.support.per": (
        "classes",
        "allowed: class, group, total; did you mean 'class'?",
    ),
    "models.dino.position": ("dinov2", "allowed: beit, dino, gsd, mae, timm; did you mean 'dino'?"),
    "models.random.source": (
        "untraned",
        "allowed: file, hub, pixels, place, python, registry, timm, untrained; "
        "did you mean 'untrained'?",
    ),
    "datasets.minicity.kind": (
        "minicty",
        f"allowed: {', '.join(sorted(kinds()))}; did you mean 'minicity'?",
    ),
}
OUT_OF_RANGE = {
    "prune.m": (1.0, "1.0 is out of range; allowed: 0 to 0.9999"),
    "segmentation.k": (0, "0 is out of range; allowed: 1 to 100000"),
    "segmentation.knn.temperature": (0.0, "0.0 is out of range; allowed: 0.001 to 1000"),
    "segmentation.linear.folds": (1, "1 is out of range; allowed: 2 to 100"),
    "uncertainty.resamples": (99, "99 is out of range; allowed: 100 to 1000000"),
    "models.random.seed": (-1, "-1 is out of range; allowed: 0 to 4294967295"),
    "datasets.minicity.stills": (65, "65 is out of range; allowed: 0 to 64"),
}
WRONG_TYPES = {
    "features.layer": ("last", "'last' (str) is invalid; allowed: a valid integer"),
    "features.norm": (1, "1 (int) is invalid; allowed: a valid boolean"),
    "features.batch_size": (8.0, "8.0 (float) is invalid; allowed: a valid integer"),
    "prune.m": ("0.26", "'0.26' (str) is invalid; allowed: a valid number"),
    "segmentation.datasets": ("minicity", "'minicity' (str) is invalid; allowed: a valid list"),
    "segmentation.knn": (None, "None (NoneType) is invalid; allowed: a section with keys"),
    "models.pixels": ("pixels", "'pixels' (str) is invalid; allowed: a section with keys"),
    "models.random.arch": (3, "3 (int) is invalid; allowed: a valid string"),
    "uncertainty.seed": (True, "True (bool) is invalid; allowed: a valid integer"),
}


def test_a_hash_of_the_wrong_length(complaints: Complaints) -> None:
    assert complaints({"models.own.sha256": "abc"}) == [
        "models.own.sha256: 'abc' is not allowed; a sha256 is 64 digits of 0-9 and a-f"
    ]


@pytest.mark.parametrize(("place", "rest"), UNKNOWN_KEYS.items())
def test_unknown_key_names_its_place_and_the_nearest_key(
    complaints: Complaints, place: str, rest: str
) -> None:
    assert complaints({place: 1}) == [f"{place}: unknown key; {rest}"]


@pytest.mark.parametrize("place", UNKNOWN_NAMES)
def test_unknown_name_lists_what_is_allowed(complaints: Complaints, place: str) -> None:
    value, rest = UNKNOWN_NAMES[place]
    assert complaints({place: value}) == [f"{place}: '{value}' is unknown; {rest}"]


@pytest.mark.parametrize("place", OUT_OF_RANGE)
def test_value_out_of_range_shows_the_bound(complaints: Complaints, place: str) -> None:
    value, message = OUT_OF_RANGE[place]
    assert complaints({place: value}) == [f"{place}: {message}"]


@pytest.mark.parametrize("place", WRONG_TYPES)
def test_wrong_type_is_never_converted(complaints: Complaints, place: str) -> None:
    value, message = WRONG_TYPES[place]
    assert complaints({place: value}) == [f"{place}: {message}"]


def test_places_in_lists_carry_their_position(complaints: Complaints) -> None:
    assert complaints({"segmentation.variants": ["raw", "zscor"]}) == [
        f"segmentation.variants[1]: 'zscor' is unknown; allowed: {VARIANTS}; did you mean 'zscore'?"
    ]
    assert complaints({"datasets.own.view.pixels": [224, 0]}) == [
        "datasets.own.view.pixels[1]: 0 is out of range; allowed: 1 to 8192"
    ]


@pytest.mark.parametrize("place", ["prune", "prune.m", "models.random.arch", "models.own.source",
                                   "datasets.scenes.support", "fetch.downloaded"])  # fmt: skip
def test_missing_key(complaints: Complaints, gone: object, place: str) -> None:
    assert complaints({place: gone}) == [f"{place}: this key is missing"]


@pytest.mark.parametrize("name", ["Mini-City", "mini city", "minicity/a", "", "städte"])
def test_names_are_what_dvc_can_use_in_stages_and_paths(complaints: Complaints, name: str) -> None:
    model = {"source": "pixels", "patch_size": 8}
    assert complaints({f"models.{name}": model}) == [
        f"models.{name}: '{name}' is not allowed; use a-z, 0-9 and _ only"
    ]


@pytest.mark.parametrize("value", [0, -3, 1.5, "al", None, True, [1]])
def test_query_images_is_all_or_a_count(complaints: Complaints, value: object) -> None:
    assert complaints({"datasets.minicity.query.images": value}) == [
        f"datasets.minicity.query.images: {value!r} is invalid; "
        "allowed: all, or a count of 1 to 10000000"
    ]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("segmentation.heads", [], "0 entries; allowed: at least 1"),
        ("models", {}, "0 entries; allowed: at least 1"),
        ("datasets.minicity.view.patches", [16], "1 entries; allowed: at least 2"),
        ("datasets.minicity.view.patches", [16, 16, 16], "3 entries; allowed: at most 2"),
        ("models.dino.mean", [0.5, 0.5], "2 entries; allowed: at least 3"),
    ],
)
def test_lists_of_a_wrong_length(
    complaints: Complaints, place: str, value: object, message: str
) -> None:
    assert complaints({place: value}) == [f"{place}: {message}"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(complaints: Complaints, value: float) -> None:
    assert complaints({"segmentation.linear.default_c": value}) == [
        f"segmentation.linear.default_c: {value} (float) is invalid; allowed: a finite number"
    ]


def test_a_std_of_zero_cannot_divide(complaints: Complaints) -> None:
    assert complaints({"models.dino.std": [0.2, 0, 0.2]}) == [
        "models.dino.std[1]: 0.0 is out of range; allowed: 0.001 to 1 (of images in 0…1; where the "
        "source has 0…255, divide mean and std by 255)"
    ]


def test_every_mistake_is_reported_at_once(complaints: Complaints) -> None:
    changes = {"device": "tpu", "prune.m": 2.0, "models.pixels.patch_size": "8", "prnue": 1}
    assert sorted(complaints(changes)) == [
        "device: 'tpu' is unknown; allowed: auto, cpu, cuda, mps; did you mean 'cpu'?",
        "models.pixels.patch_size: '8' (str) is invalid; allowed: a valid integer",
        "prnue: unknown key; allowed: datasets, device, extract, features, fetch, identification, "
        "limits, models, prune, retrieval, segmentation, selection, sources, sweep, tracking, "
        "uncertainty; did you mean 'prune'?",
        "prune.m: 2.0 is out of range; allowed: 0 to 0.9999",
    ]


def test_a_key_that_stands_twice_is_not_silently_dropped(tmp_path: Path, valid: Any) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(valid) + "device: cuda\n", encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"not valid YAML: 'device' is defined twice at line \d+"
    ):
        load(path, known())
