"""From a finished run to a committed model: checked, with its card, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from patchlens.backbones.architecture import create
from patchlens.backbones.checkpoint import contents, load_strictly
from patchlens.errors import DataError, SettingsError
from patchlens.files import file_hash, read_json, whole_file
from patchlens.names import nearest
from patchlens.pretrain import readme
from patchlens.pretrain.card import KEPT, card_of, card_of_random
from patchlens.pretrain.model import ARCH, arch_args, build
from patchlens.pretrain.objectives import RANDOM
from patchlens.pretrain.run import TRIED
from patchlens.pretrain.run import result as folder_of
from patchlens.pretrain.settings import Pretrain, Recipe

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
        SettingsError: there is no such objective.
        DataError: the run is unfinished or another one's, its code was not committed, or its file
            does not fit.
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
    """`result.json` of a run that came to its end, of code that a commit holds.

    Raises:
        DataError: it did not, or no commit tells what ran.
    """
    again = f"run `patchlens pretrain {folder.name.replace('-seed', ' --seed ')}`"
    result: dict[str, Any] = read_json(folder / "result.json", f"{again} to its end first")
    if not result.get("finished"):
        raise DataError(f"{folder}: this run is not finished; {again} once more, it goes on")
    if missing := sorted(NEEDED - result.keys()):
        raise DataError(f"{folder}: result.json has no {', '.join(missing)}; {again} anew")
    if not result["commit"]:
        raise DataError(
            f"{folder}: no commit is known of this run; train in a Git checkout, or set "
            "PATCHLENS_COMMIT where there is none"
        )
    if result["dirty"]:
        raise DataError(
            f"{folder}: this run was made by code or recipes that were not committed; commit them, "
            f"remove {folder} and {again} again"
        )
    return result


def recipe_of(result: dict[str, Any], folder: Path, wanted: dict[str, Any]) -> Recipe:
    """The recipe that a run was made by.

    Raises:
        DataError: it is no recipe, or of another objective, size or seed than is `wanted`.
    """
    try:
        recipe = Recipe.model_validate(result["recipe"])
    except ValueError as error:
        lines = " ".join(str(error).split())
        raise DataError(f"{folder}: the recipe in result.json is none of ours: {lines}") from None
    for what, value in wanted.items():
        if (found := getattr(recipe, what)) != value:
            raise DataError(
                f"{folder}: this run was of {what} {found}, not {value}; run `patchlens pretrain` "
                "anew, or set pretrain/params.yaml to what was trained"
            )
    return recipe


def checked(path: Path, recipe: Recipe) -> dict[str, Tensor]:
    """The tensors of a run in half precision, each one a parameter of the architecture.

    Raises:
        DataError: a name or shape does not fit, or a value is not finite in half precision.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; run `patchlens pretrain {recipe.objective}` once more")
    tensors = {name: value.half() for name, value in contents(path).items()}
    load_strictly(create(str(path), ARCH, arch_args(recipe.shared)), tensors, str(path))
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise DataError(f"{path}: NaN or infinite values in {broken[0]} (half precision)")
    return tensors


def tried(objective: str) -> list[dict[str, Any]]:
    """Every run of an objective that ended, in order: recipe, probe, what stopped it."""
    path = TRIED / f"{objective}.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def place(name: str, tensors: dict[str, Tensor], card: dict[str, Any]) -> Path:
    """Write weights, card and README; until the two renames at the end the old ones stand.

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
            f"{path}: {len(content) / 1e6:.1f} MB are more than {LARGEST / 1e6:.0f} MB, and Git "
            "keeps every version; take a smaller depth or width in pretrain/params.yaml"
        )
    with whole_file(path.with_suffix(".json")) as card_file, whole_file(path) as weight_file:
        weight_file.write_bytes(content)
        card |= {"bytes": len(content), "sha256": file_hash(weight_file, "sha256")}
        card_file.write_text(json.dumps(card, indent=1, sort_keys=True, allow_nan=False) + "\n")
    readme.write(WEIGHTS)
    return path
