"""The models of `--models`: names of the registry, weight files, own code, and floors."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from patchlens.api.protocol import slot
from patchlens.backbones.contract import IMAGENET_MEAN, IMAGENET_STD
from patchlens.backbones.registry.read import entries
from patchlens.errors import SettingsError
from patchlens.names import nearest

FLOORS: dict[str, dict[str, Any]] = {
    "untrained": {"source": "untrained", "arch": "vit_small_patch16_224", "seed": 0},
    "pixels": {"source": "pixels", "patch_size": 16},
}
LAYERS = [-2, -4]  # beside the last one
SIZES = {192: "tiny", 384: "small", 768: "base", 1024: "large"}
TAKEN = ("arch", "arch_args", "mean", "std", "interpolation", "position")  # of an entry
Approve = Callable[[Path], bool]


def slots(
    written: str, folder: Path, *, patch_size: int, approve: Approve
) -> dict[str, dict[str, Any]]:
    """The section `models` of a params.yaml; the floor `pixels` is always there.

    Args:
        written: comma-separated; each is a name of the registry, `untrained`, `pixels`, a weight
            file, `FILE@ARCHITECTURE`, or `own.py:function`.
        folder: the workspace; own code is copied to its `src/`.
        patch_size: of own code, in pixels.
        approve: whether the code in a file may run on this machine.

    Raises:
        SettingsError: a model is unknown, stands there twice, or may not run.
    """
    found: dict[str, dict[str, Any]] = {}
    for one in [part.strip() for part in written.split(",")]:
        name, model = _model(one, folder, patch_size, approve)
        if name in found:
            raise SettingsError(f"--models: '{name}' stands there twice; rename one of the files")
        found[name] = model | _layer(model)
    return found | {name: model for name, model in FLOORS.items()
                    if name == "pixels" and name not in found}  # fmt: skip


def _model(one: str, folder: Path, patch_size: int, approve: Approve) -> tuple[str, dict[str, Any]]:
    if one in FLOORS:
        return one, FLOORS[one]
    if one in entries():
        return one, {"source": "registry", "model": one}
    place, colon, function = one.rpartition(":")
    if colon and place.endswith(".py"):
        return _own_code(Path(place), function, folder, patch_size, approve)
    place, _, arch = one.partition("@")
    path = Path(place).expanduser()
    if path.exists():
        return slot(path.name.partition(".")[0]), _weights(path.resolve(), arch)
    known = nearest(one, [*entries(), *FLOORS])
    raise SettingsError(
        f"--models: '{one}' is no model of the registry, no weight file and no own.py:function; "
        f"{known} (`patchlens models` lists all)"
    )


def _layer(model: Mapping[str, Any]) -> dict[str, int]:
    """The one layer of a model whose `LAYERS` have other grids, as stages of a CNN, or are none."""
    of = entries()[model["model"]] if model["source"] == "registry" else None
    arch = of.arch if of else model.get("arch")
    if arch is None:
        return {}
    import torch

    from patchlens.backbones.architecture import Undrawn, create, is_vit

    with torch.device("meta"), Undrawn():
        built = create("--models", arch, of.arch_args if of else model.get("arch_args", {}))
    return {} if is_vit(built) and len(built.blocks) >= -min(LAYERS) else {"layer": -1}


def _own_code(
    path: Path, function: str, folder: Path, patch_size: int, approve: Approve
) -> tuple[str, dict[str, Any]]:
    if not path.is_file():
        raise SettingsError(f"--models: {path}: no such file; name it as in own.py:build")
    if not approve(path):
        raise SettingsError(
            f"--models: {path}: its code would run on this machine; read it, then give --trust-code"
        )
    (folder / "src").mkdir(exist_ok=True)
    shutil.copy2(path, folder / "src" / path.name)
    return slot(path.stem), {
        "source": "python",
        "target": f"src/{path.name}:{function}",
        "trust_code": True,
        "patch_size": patch_size,
        "layer": -1,  # its last output: it may have no other
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
    }


def _weights(path: Path, arch: str) -> dict[str, Any]:
    """The slot of a weight file: as the registry has it, or of an architecture of timm."""
    from patchlens.backbones.checkpoint import weights_hash

    digest = weights_hash(path)
    entry = entries().get(slot(path.name.partition(".")[0]))
    if entry is not None and entry.source.sha256 == digest:
        name = slot(path.name.partition(".")[0])
        return {"source": "registry", "model": name, "file": str(path)}
    model: dict[str, Any] = {"source": "file", "file": str(path), "sha256": digest}
    if entry is not None and not arch:
        model |= {key: getattr(entry, key) for key in TAKEN}
        if not _fits(path, entry.arch, entry.arch_args):
            model["mapping"] = entry.mapping.model_dump(exclude_defaults=True)
        return model
    mean, std = list(IMAGENET_MEAN), list(IMAGENET_STD)
    return model | {"arch": arch or _guessed(path), "mean": mean, "std": std}


def _fits(path: Path, arch: str, arch_args: dict[str, Any]) -> bool:
    """Whether the names in a file are those of the architecture."""
    import torch

    from patchlens.backbones.architecture import Undrawn, create
    from patchlens.backbones.checkpoint import contents

    with torch.device("meta"), Undrawn():
        wanted = create(f"--models: {path}", arch, arch_args).state_dict().keys()
    return bool(contents(path).keys() == wanted)


def _guessed(path: Path) -> str:
    """The ViT of timm that a weight file fits, by the shapes in it."""
    import timm

    from patchlens.backbones.checkpoint import contents

    tensors = contents(path)
    kernel = tensors.get("patch_embed.proj.weight")
    if kernel is not None and getattr(kernel, "ndim", 0) == 4:
        end = "dinov2" if "blocks.0.ls1.gamma" in tensors else "224"
        name = f"vit_{SIZES.get(kernel.shape[0])}_patch{kernel.shape[-1]}_{end}"
        if timm.is_model(name):
            return name
    raise SettingsError(
        f"--models: {path}: its architecture is not clear; write {path.name}@ARCHITECTURE with the "
        "name of a model of timm, such as vit_small_patch16_224"
    )
