"""Settings of the models: a name in `models:` is a slot; what fills it is said here."""

from typing import Annotated, Any, Literal

from pydantic import Field

from patchlens.settings.base import Positive, Strict

# How an absolute position embedding is resampled to another grid (see backbones/position.py).
PositionMode = Literal["timm", "dino", "mae"]
Interpolation = Literal["bicubic", "bilinear"]
Colour = Annotated[list[float], Field(min_length=3, max_length=3)]
Spread = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)]


class _Vit(Strict):
    arch_args: dict[str, Any] = Field(default={})
    mean: Colour | None = None
    std: Spread | None = None
    interpolation: Interpolation | None = None
    position: PositionMode = "timm"


class TimmModel(_Vit):
    """A timm model with pretrained weights: `tag` is `<architecture>.<pretrained tag>`."""

    source: Literal["timm"]
    tag: str


class FileModel(_Vit):
    """A local `.safetensors` or `.pth` file with the name of the timm architecture it fits.

    `key` names the entry of a nested file that holds the weights, `prefix` what every wanted
    name starts with (others are dropped), `drop` the patterns of names that are known surplus.
    `sha256` pins the file, which lies outside DVC: another file under the same name is an error
    and never an old score under a new one.
    """

    source: Literal["file"]
    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    arch: str
    key: str | None = None
    prefix: str = ""
    drop: list[str] = Field(default=[])


class UntrainedModel(_Vit):
    """A timm architecture with weights drawn from `seed`, the same on every machine."""

    source: Literal["untrained"]
    arch: str
    seed: Annotated[int, Field(ge=0)]


class PixelsModel(Strict):
    """The floor without a network: mean RGB of the patch, its row and its column."""

    source: Literal["pixels"]
    patch_size: Positive


Model = Annotated[
    TimmModel | FileModel | UntrainedModel | PixelsModel, Field(discriminator="source")
]
