"""Settings of the pre-training: `pretrain/params.yaml`, one recipe per objective and size."""

from importlib.util import find_spec
from math import ceil, lcm
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

from pydantic import ValidationError

from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.pretrain.recipes import Dino, Ibot, Mae, Own, Simmim, Supervised
from patchlens.pretrain.shared import Shared
from patchlens.settings.base import Seed, Strict
from patchlens.settings.messages import explain
from patchlens.settings.validated import refuse, validated

PARAMS = Path("pretrain/params.yaml")
Size = Literal["cpu", "gpu"]
Where = Literal["auto", "cpu", "cuda"]  # an Apple GPU is for the features alone
T = TypeVar("T")


class BySize(Strict, Generic[T]):
    """The same section for each size."""

    cpu: T
    gpu: T


class Objectives(Strict):
    """The recipes, objective by objective."""

    dino: BySize[Dino]
    mae: BySize[Mae]
    ibot: BySize[Ibot]
    simmim: BySize[Simmim]
    supervised: BySize[Supervised]


class Recipe(Strict):
    """All settings of one run."""

    objective: str
    size: Size
    seed: Seed
    device: Where
    shared: Shared
    own: Dino | Mae | Ibot | Simmim | Supervised


class Pretrain(Strict):
    """All of `pretrain/params.yaml`."""

    size: Size
    seed: Seed
    device: Where
    sizes: BySize[Shared]
    objectives: Objectives

    def recipe(self, objective: str, size: str | None = None, seed: int | None = None) -> Recipe:
        """The recipe of an objective; `size` and `seed` replace those of the file if given.

        Raises:
            SettingsError: the objective or size is unknown, or the seed is negative.
        """
        chosen: Any = size or self.size
        for what, name, known in (
            ("objective", objective, tuple(Objectives.model_fields)),
            ("size", chosen, get_args(Size)),
        ):
            if name not in known:
                raise SettingsError(f"unknown {what} '{name}'; {nearest(name, known)}")
        try:
            return Recipe(
                objective=objective,
                size=chosen,
                seed=self.seed if seed is None else seed,
                device=self.device,
                shared=getattr(self.sizes, chosen),
                own=getattr(getattr(self.objectives, objective), chosen),
            )
        except ValidationError as fault:
            found = [explain(item, Recipe) for item in fault.errors()]
            raise SettingsError("\n".join(found)) from None


def check_extra() -> None:
    """Raise an error if the extra `pretrain` is not installed."""
    for name in ("lightly", "dvclive"):
        if find_spec(name) is None:
            raise SettingsError(f"pre-training needs {name}; run pip install -e '.[pretrain]'")


def load(path: Path = PARAMS) -> Pretrain:
    """Read and validate `path`; every mistake in it is one line of a `SettingsError`."""
    settings: Pretrain = validated(path, Pretrain, missing="run this in the repository")
    refuse(path, _crops_that_do_not_fit(settings))
    return settings


def _crops_per_step(objectives: Objectives, size: str) -> int:
    """The least number of crops that is a whole number of steps of every objective."""
    recipes: list[Own] = [getattr(getattr(objectives, o), size) for o in Objectives.model_fields]
    return lcm(*(own.batch * own.crops_per_window for own in recipes))


def _crops_that_do_not_fit(settings: Pretrain) -> list[str]:
    """Budgets, local crops, masked cells and blocks that do not divide evenly."""
    found = []
    for size in get_args(Size):
        shared: Shared = getattr(settings.sizes, size)
        patch = shared.arch.patch_size
        side = shared.crop // patch
        if shared.crops % (step := _crops_per_step(settings.objectives, size)):
            even = step * ceil(shared.crops / step)
            found.append(
                f"sizes.{size}.crops: {shared.crops} is not a whole number of steps for every "
                f"objective; use a multiple of {step}, such as {even}"
            )
        for objective in Objectives.model_fields:
            own: Own = getattr(getattr(settings.objectives, objective), size)
            where = f"objectives.{objective}.{size}"
            if isinstance(own, Dino) and own.local_crop % patch:
                found.append(
                    f"{where}.local_crop: {own.local_crop} is not a multiple of the patch size "
                    f"{patch}"
                )
            if isinstance(own, Simmim) and side % own.mask_patch:
                found.append(
                    f"{where}.mask_patch: {own.mask_patch} does not divide the {side} patches per "
                    "side of a crop"
                )
            if isinstance(own, Ibot) and own.mask_ratio[0] * side**2 < 1:
                found.append(
                    f"{where}.mask_ratio: {own.mask_ratio[0]} is less than one of the {side**2} "
                    "patches of a crop"
                )
    return found
