"""What a rehearsal changes: sizes and amounts, never the protocol, the models, tasks or variants.

A preset keeps its datasets, models, heads, variants and claims. Images, the number of images and
of support seeds shrink, and so do width and depth of the models, whose official names and nesting
stay: the registry is copied with the shapes of the weight files that `weights_file` writes.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

PIXELS = [112, 112]  # 7×7 patches of 16 pixels, 8×8 of 14
MOST = 12  # support images of a seed, and query images: a verdict needs 10
FEW = 4  # images of each group or class
SEEDS = 2
TINY = {"embed_dim": 48, "depth": 2}
Params = dict[str, Any]


def shrink(preset: Params) -> Params:
    """The settings of a preset with small and few images, and small untrained models."""
    params = yaml.safe_load(yaml.safe_dump(preset))
    for dataset in params["datasets"].values():
        view, support, query = (dataset.get(key) for key in ("view", "support", "query"))
        if "pixels" in view:
            view["pixels"] = PIXELS
        if "patches" in view:
            view["patches"] = [6, 6] if view["mode"] == "tiles" else [6, 8]
        if "tile" in view:
            view["tile"] = 32
        for part in (support, query):
            if part is not None and part["images"] != "all":
                part["images"] = min(part["images"], MOST if part["per"] == "total" else FEW)
        if support is not None:
            support["seeds"] = support["seeds"][:SEEDS]
    segmentation = params["segmentation"]
    if (shots := segmentation["shots"]) > MOST:
        scaled = [max(1, count * MOST // shots) for count in segmentation["shots_sweep"]]
        segmentation |= {"shots": MOST, "shots_sweep": sorted(set(scaled))}
    identification = params["identification"]
    identification |= {"images": 10, "patches": 8}
    params["features"]["batch_size"] = 16
    params["uncertainty"]["resamples"] = 200
    for model in params["models"].values():
        if model["source"] == "untrained":
            model["arch_args"] = TINY
    return params  # type: ignore[no-any-return]


def small_registry(source: Path, target: Path, shapes: Mapping[str, Params]) -> None:
    """Copy the package `source` to `target`, with these shapes of models in its registry.

    Args:
        source: the folder `src`.
        target: does not exist.
        shapes: entry of the registry -> what `shape_of` says.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    left = set(shapes)
    for path in sorted((target / "patchlens/backbones/registry").glob("*.yaml")):
        family = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name in left & set(family):
            shape = dict(shapes[name])
            family[name]["arch_args"] = family[name].get("arch_args", {}) | shape.pop("arch_args")
            family[name] |= shape
        left -= set(family)
        path.write_text(yaml.safe_dump(family, sort_keys=False), encoding="utf-8")
    if left:
        raise KeyError(f"not in the registry: {', '.join(sorted(left))}")


def shape_of(name: str) -> Params:
    """Width, depth and grid of the weight file that `weights_file` writes for a model."""
    from backbones.official import DEPTH, SIDE
    from patchlens.backbones.registry.read import entries

    width = _module_of(name)[1]
    native = SIDE * entries()[name].patch_size
    arch_args = {"embed_dim": width, "depth": DEPTH, "img_size": native}
    return {"arch_args": arch_args, "width": width, "depth": DEPTH, "native": native}


def weights_file(name: str, folder: Path) -> Path:
    """A small file of a model, with the names and the nesting of its authors."""
    path: Path = _module_of(name)[0].file_of(name, folder)
    return path


def _module_of(name: str) -> tuple[Any, int]:
    """The module of the tests that writes the official file of a model, and its width there."""
    from backbones import test_equality_plain as plain
    from backbones import test_equality_relative as relative
    from backbones import test_equality_torchvision as torchvision

    if name in plain.CASES:
        return plain, plain.CASES[name].width
    for module in (relative, torchvision):
        if name in module.HEADS:
            return module, 4 * module.HEADS[name]
    raise KeyError(f"{name}: no test writes its official file; see tests/backbones")


def as_own(claims: Params, groups: Iterable[str], params: Params) -> Params:
    """The claims of these groups as the user's own, which are judged on other files too.

    A shipped claim is judged on another view of its dataset where its task runs on that; a user's
    own names it.
    """
    return {
        name: {key: value for key, value in claim.items() if key not in ("group", "slots")}
        | {"datasets": [_view(dataset, claim, params) for dataset in claim["datasets"]]}
        for name, claim in claims.items()
        if claim.get("group", "own") in groups
    }


def _view(dataset: str, claim: Params, params: Params) -> str:
    ran: list[str] = params.get(claim["metric"].split(".")[0], {}).get("datasets", [dataset])
    others = [name for name in ran if params["datasets"][name]["kind"] == dataset]
    return others[0] if dataset not in ran and others else dataset
