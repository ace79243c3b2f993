"""Settings of the models: a name in `models:` is a slot; its settings say which model fills it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from patchlens.settings.base import Positive, Strict

# How an absolute position embedding is resampled to another grid (see backbones/position.py).
PositionMode = Literal["timm", "dino", "mae", "beit", "gsd"]
Interpolation = Literal["bicubic", "bilinear"]
Colour = Annotated[list[float], Field(min_length=3, max_length=3)]
Spread = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Role = Literal["rival", "floor", "ceiling"]
Renaming = Annotated[list[str], Field(min_length=2, max_length=2)]


class Mapping(Strict):
    """Maps the names in a weight file to those of the architecture, in this order.

    `key`: entries of a nested file that may contain the weights; the first existing one is used. An
    empty list means a flat file, and a name "." in the list means that the file may be flat.
    `prefix`: the prefix of the wanted names, which is removed; of several, the first that occurs.
    `beside`: patterns of the names without the prefix, which are dropped.
    `drop`: patterns of names that are not needed (`optional_drop`: may be absent).
    `rename`: [pattern, replacement] pairs, regular expressions over whole names; each must match.
    `rules`: conversions in code (backbones/rules.py) for what renaming cannot express.
    `pickled`: classes that the file pickles beside its tensors; they are skipped, never executed.
    """

    key: list[str] = Field(default=[])
    prefix: list[str] = Field(default=[])
    beside: list[str] = Field(default=[])
    drop: list[str] = Field(default=[])
    optional_drop: list[str] = Field(default=[])
    rename: list[Renaming] = Field(default=[])
    rules: list[str] = Field(default=[])
    pickled: list[str] = Field(default=[])


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


class RegistryModel(Strict):
    """A model of the registry by its name; `patchlens models` lists all.

    The entry sets everything else, so that the same name means the same features everywhere. These
    keys may be set: `file`, the official file if the user placed it (nothing is downloaded);
    `sha256`, which pins a file without a published hash; and the two choices on which published
    evaluations differ, how the input is resized and how positions are resampled.
    """

    source: Literal["registry"]
    model: str
    file: str | None = None
    sha256: Sha256 | None = None
    interpolation: Interpolation | None = None
    position: PositionMode | None = None


class FileModel(_Vit):
    """A local `.safetensors` or `.pth` file, with the name of its timm architecture.

    `mapping` maps every name in the file, as in an entry of the registry. `sha256` pins the file,
    which is outside DVC: another file under the same name is an error, so that old scores are never
    attributed to new weights. `role`: `floor` for untrained weights, `ceiling` for weights trained
    on the classes of the evaluation, which are shown but excluded from comparisons.
    """

    source: Literal["file"]
    file: str
    sha256: Sha256 | None = None
    arch: str
    mapping: Mapping = Mapping()
    role: Role = "rival"


class UntrainedModel(_Vit):
    """A timm architecture with weights drawn from `seed`, the same on every machine."""

    source: Literal["untrained"]
    arch: str
    seed: Annotated[int, Field(ge=0)]


class PixelsModel(Strict):
    """The floor without a network: the mean RGB of the patch, its row and its column."""

    source: Literal["pixels"]
    patch_size: Positive


Model = Annotated[
    RegistryModel | TimmModel | FileModel | UntrainedModel | PixelsModel,
    Field(discriminator="source"),
]


def role(model: Model) -> Role:
    """The role of a model in comparisons: a floor is a baseline, a ceiling is excluded."""
    if isinstance(model, FileModel):
        return model.role
    return "floor" if model.source in ("untrained", "pixels") else "rival"
