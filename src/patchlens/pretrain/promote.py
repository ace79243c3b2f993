"""From a finished run to a committed model: checked, with its card, written atomically."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from patchlens.backbones.architecture import create
from patchlens.backbones.checkpoint import contents, load_strictly
from patchlens.errors import DataError, SettingsError
from patchlens.files import file_hash, whole_file
from patchlens.names import nearest
from patchlens.pretrain import readme
from patchlens.pretrain.card import KEPT, card_of, card_of_random
from patchlens.pretrain.model import ARCH, arch_args, build
from patchlens.pretrain.objectives import RANDOM
from patchlens.pretrain.run import TRIED
from patchlens.pretrain.run import result as folder_of
from patchlens.pretrain.settings import Pretrain, Recipe
from patchlens.stored import read_json, reading

LARGEST = 12_000_000  # bytes of a model: weights/ is plain Git
NEEDED = {*KEPT, "objective", "recipe", "loss", "dirty"}  # of a result.json
WEIGHTS = Path("weights")


def run(objective: str, settings: Pretrain, seed: int | None = None) -> Path:
    """Copy the result of an objective and its card to `weights/`; returns the weight file.

    Args:
        objective: a name in `pretrain/params.yaml`, or `random`: the untrained ViT of the same
            architecture and seed, which needs no run.
        settings: of `pretrain/params.yaml`.
        seed: of the run, where it is another than that of the settings: `dino-seed1`.

    Raises:
        SettingsError: the objective is unknown.
        DataError: the run is unfinished or of another recipe, its code was not committed, or its
            file does not fit.
    """
    if objective not in readme.ORDER:
        raise SettingsError(f"unknown objective '{objective}'; {nearest(objective, readme.ORDER)}")
    drawn, folder = settings.seed if seed is None else seed, folder_of(objective, seed=seed)
    if objective == RANDOM:
        shared = getattr(settings.sizes, settings.size)
        model = build(shared, drawn)
        tensors = {name: value.half() for name, value in model.state_dict().items()}
        card = card_of_random(shared, settings.size, drawn)
    else:
        result = finished(folder)
        wanted = {"objective": objective, "size": settings.size, "seed": drawn}
        recipe = recipe_of(result, folder, wanted)
        tensors = checked(folder / "weights.safetensors", recipe)
        card = card_of(result, recipe, tried(objective))
    return place(folder.name, tensors, card)


def finished(folder: Path) -> dict[str, Any]:
    """`result.json` of a finished run of committed code.

    Raises:
        DataError: the run is unfinished, or its code was not committed.
    """
    again = f"run `patchlens pretrain {folder.name.replace('-seed', ' --seed ')}`"
    result: dict[str, Any] = read_json(folder / "result.json", f"{again} until it finishes")
    if not result.get("finished"):
        raise DataError(f"{folder}: this run is not finished; {again} again to resume it")
    if missing := sorted(NEEDED - result.keys()):
        raise DataError(f"{folder}: result.json has no {', '.join(missing)}; {again} anew")
    if not result["commit"]:
        raise DataError(
            f"{folder}: the commit of this run is unknown; train in a Git checkout, or set "
            "PATCHLENS_COMMIT"
        )
    if result["dirty"]:
        raise DataError(
            f"{folder}: the code or recipes of this run were not committed; commit them, "
            f"remove {folder} and {again} again"
        )
    return result


def recipe_of(result: dict[str, Any], folder: Path, wanted: dict[str, Any]) -> Recipe:
    """The recipe of a run.

    Raises:
        DataError: the recipe is invalid, or its objective, size or seed is not the `wanted` one.
    """
    try:
        recipe = Recipe.model_validate(result["recipe"])
    except ValueError as error:
        lines = " ".join(str(error).split())
        raise DataError(f"{folder}: result.json has an invalid recipe: {lines}") from None
    for what, value in wanted.items():
        if (found := getattr(recipe, what)) != value:
            raise DataError(
                f"{folder}: this run has {what} {found} instead of {value}; run `patchlens "
                "pretrain` again, or set pretrain/params.yaml to the settings of the run"
            )
    return recipe


def checked(path: Path, recipe: Recipe) -> dict[str, Tensor]:
    """The tensors of a run in half precision, each one a parameter of the architecture.

    Raises:
        DataError: a name or shape does not fit, or a value is not finite in half precision.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; run `patchlens pretrain {recipe.objective}` again")
    tensors = {name: value.half() for name, value in contents(path).items()}
    load_strictly(create(str(path), ARCH, arch_args(recipe.shared)), tensors, str(path))
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise DataError(
            f"{path}: NaN or infinite values in {broken[0]} (half precision); train again"
        )
    return tensors


def tried(objective: str) -> list[dict[str, Any]]:
    """All ended runs of an objective in order, with recipe, probe and the reason of the end."""
    path = TRIED / f"{objective}.jsonl"
    if not path.is_file():
        return []
    with reading(path, "remove the line, or the file: it lists the runs that were tried"):
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def place(name: str, tensors: dict[str, Tensor], card: dict[str, Any]) -> Path:
    """Write weights, card and README; the old files stay until the two renames at the end.

    Raises:
        DataError: the file would be larger than `LARGEST`.
    """
    path = WEIGHTS / f"{name}.safetensors"
    # One entry: safetensors writes several in random order, and the file's hash would change.
    about = {key: card[key] for key in ("objective", "arch", "arch_args", "commit")}
    content = save(
        {key: value.contiguous() for key, value in tensors.items()},
        metadata={"about": json.dumps(about, sort_keys=True)},
    )
    if len(content) > LARGEST:
        raise DataError(
            f"{path}: {len(content) / 1e6:.1f} MB exceed the limit of {LARGEST / 1e6:.0f} MB, and "
            "Git keeps every version; use a smaller depth or width in pretrain/params.yaml"
        )
    with whole_file(path.with_suffix(".json")) as card_file, whole_file(path) as weight_file:
        weight_file.write_bytes(content)
        card |= {"bytes": len(content), "sha256": file_hash(weight_file, "sha256")}
        card_file.write_text(json.dumps(card, indent=1, sort_keys=True, allow_nan=False) + "\n")
    readme.write(WEIGHTS)
    return path
