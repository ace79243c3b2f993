"""Settings of the models: a name in `models:` is a slot; its settings say which model fills it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, WrapValidator

from patchlens.settings.base import Layer, Line, PathLine, Seed, Several, Strict, Within, brief
from patchlens.settings.sources import Sha256

# How an absolute position embedding is resampled to another grid (see backbones/position.py).
PositionMode = Literal["timm", "dino", "mae", "beit", "gsd"]
Interpolation = Literal["bicubic", "bilinear"]
# Of red, green, blue, as shares of the largest pixel value.
SHARES = "of images in 0…1; where the source has 0…255, divide mean and std by 255"
Colour = Annotated[list[Annotated[float, Within(0, 1, SHARES)]], Field(min_length=3, max_length=3)]
Spread = Annotated[
    list[Annotated[float, Within(0.001, 1, SHARES)]], Field(min_length=3, max_length=3)
]
REPO, COMMIT = r"^[\w-][\w.-]*/[\w-][\w.-]*$", r"^[0-9a-f]{40}$"  # of the hub
Role = Literal["rival", "floor", "ceiling"]
Renaming = Annotated[list[str], Field(min_length=2, max_length=2)]


class Mapping(Strict):
    """Maps the names in a weight file to those of the architecture, in this order.

    `key`: entries of a nested file that may contain the weights; the first existing one is used. An
    empty list means a flat file, and a name "." in the list means that the file may be flat;
    `a.b` is the entry b in a.
    `prefix`: the prefix of the wanted names, which is removed; of several, the first that occurs.
    `beside`: patterns of the names without the prefix, which are dropped.
    `drop`: patterns of names that are not needed (`optional_drop`: may be absent).
    `rename`: [pattern, replacement] pairs, regular expressions over whole names; each must match.
    `rules`: conversions in code (backbones/rules.py) for what renaming cannot express.
    `pickled`: classes, or patterns of them, that the file pickles beside its tensors and that are
    no data of a common library (backbones/pickles.py); they are skipped, never executed.
    """

    key: list[str] = Field(default=[])
    prefix: list[str] = Field(default=[])
    beside: list[str] = Field(default=[])
    drop: list[str] = Field(default=[])
    optional_drop: list[str] = Field(default=[])
    rename: list[Renaming] = Field(default=[])
    rules: list[str] = Field(default=[])
    pickled: list[str] = Field(default=[])


LARGEST = 4096  # side of an input in pixels
Patch = Annotated[int, Within(1, 256)]  # pixels
Width = Annotated[int, Within(1, 8192)]
Blocks = Annotated[int, Within(1, 256)]
Heads = Annotated[int, Within(1, 256)]
Tokens = Annotated[int, Within(0, 1024)]


def _side_or_sides(value: Any) -> Any:
    """Validate a side in pixels, or height and width: one check, so that there is one message."""
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    if all(type(side) is int and 1 <= side <= LARGEST for side in sides):
        return value
    allowed = f"a side of 1 to {LARGEST} pixels, or [height, width]"
    raise ValueError(f"{brief(value)} is invalid; allowed: {allowed}")


class _ArchArgs(Strict):
    """The arguments of timm's ViTs that may be set: shapes and choices of the architecture.

    No argument that names a file, a class or a function is among them: timm would load and run it.
    """

    in_chans: Annotated[int, Within(3, 3, "only RGB images are measured")] | None = None
    img_size: Annotated[Any, PlainValidator(_side_or_sides)] = None
    patch_size: Patch | None = None
    embed_dim: Width | None = None
    depth: Blocks | None = None
    num_heads: Heads | None = None
    num_kv_heads: Heads | None = None
    mlp_ratio: Annotated[float, Within(0.01, 100)] | None = None
    init_values: Annotated[float, Within(0, 1000)] | None = None
    reg_tokens: Tokens | None = None
    num_reg_tokens: Tokens | None = None
    window_size: Annotated[int, Within(0, 4096)] | None = None
    global_attn_indexes: Several[Annotated[int, Within(0, 255)]] = Field(default=[])
    neck_chans: Annotated[int, Within(0, 8192)] | None = None
    rope_temperature: Annotated[float, Within(0.001, 1e9)] | None = None
    rope_grid_offset: Annotated[float, Within(-1000, 1000)] | None = None
    global_pool: Literal["", "avg", "avgmax", "max", "token", "map"] | None = None
    pos_embed: Literal["", "none", "learn"] | None = None
    attn_type: Literal["eva", "rope"] | None = None
    rope_type: Literal["", "cat", "mixed", "dinov3"] | None = None
    act_layer: (
        Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "swish", "mish", "tanh"] | None
    ) = None
    norm_layer: Literal["layernorm", "layernormfp32", "rmsnorm", "simplenorm"] | None = None
    qkv_bias: bool | None = None
    qkv_fused: bool | None = None
    qk_norm: bool | None = None
    proj_bias: bool | None = None
    scale_attn_norm: bool | None = None
    scale_mlp_norm: bool | None = None
    scale_attn_inner: bool | None = None
    scale_mlp: bool | None = None
    swiglu_mlp: bool | None = None
    class_token: bool | None = None
    no_embed_class: bool | None = None
    pool_include_prefix: bool | None = None
    pre_norm: bool | None = None
    final_norm: bool | None = None
    fc_norm: bool | None = None
    use_fc_norm: bool | None = None
    use_post_norm: bool | None = None
    use_pre_transformer_norm: bool | None = None
    use_post_transformer_norm: bool | None = None
    attn_only_layer_scale: bool | None = None
    use_abs_pos_emb: bool | None = None
    use_rot_pos_emb: bool | None = None
    use_rel_pos_bias: bool | None = None
    use_shared_rel_pos_bias: bool | None = None
    use_abs_pos: bool | None = None
    use_rel_pos: bool | None = None
    use_rope: bool | None = None
    rope_rotate_half: bool | None = None
    dynamic_img_size: bool | None = None
    dynamic_img_pad: bool | None = None


def _as_written(value: Any, check: Any) -> Any:
    """The arguments as the user wrote them: their order is part of the file of weights."""
    check(value)
    return dict(value)


ARCH_ARGS = frozenset(_ArchArgs.model_fields)
if TYPE_CHECKING:
    ArchArgs: TypeAlias = dict[str, Any]
else:
    ArchArgs = Annotated[_ArchArgs, WrapValidator(_as_written)]


class _Layered(Strict):
    """A model with layers. `layer` replaces `features.layer` for this model, without a sweep."""

    layer: Layer | None = None


class _Vit(_Layered):
    arch_args: ArchArgs = Field(default={})
    mean: Colour | None = None
    std: Spread | None = None
    interpolation: Interpolation | None = None
    position: PositionMode = "timm"


class TimmModel(_Vit):
    """A timm model with pretrained weights: `tag` is `<architecture>.<pretrained tag>`."""

    source: Literal["timm"]
    tag: Line


class RegistryModel(_Layered):
    """A model of the registry by its name; `patchlens models` lists all.

    The entry sets everything else, so that the same name means the same features everywhere. These
    keys may be set: `file`, the official file if the user placed it (nothing is downloaded);
    `sha256`, which pins a file without a published hash; and the two choices on which published
    evaluations differ, how the input is resized and how positions are resampled.
    """

    source: Literal["registry"]
    model: Line
    file: PathLine | None = None
    sha256: Sha256 | None = None
    interpolation: Interpolation | None = None
    position: PositionMode | None = None


class HubModel(_Layered):
    """A model of transformers in a repository of the hub, at one commit (see `hub`).

    Its config says what it is, and its processor the mean, std and interpolation of its input,
    unless they are set here. Only safetensors are read, and no code of the repository is run.
    """

    source: Literal["hub"]
    repo: Annotated[Line, Field(pattern=REPO)]
    revision: Annotated[str, Field(pattern=COMMIT)]
    mean: Colour | None = None
    std: Spread | None = None
    interpolation: Interpolation | None = None


class FileModel(_Vit):
    """A local `.safetensors` or `.pth` file or folder of them, with its timm architecture.

    `mapping` maps every name in the file, as in an entry of the registry. `sha256` pins the file,
    which is outside DVC: another file under the same name is an error, so that old scores are never
    attributed to new weights. `role`: `floor` for untrained weights, `ceiling` for weights trained
    on the classes of the evaluation, which are shown but excluded from comparisons.
    """

    source: Literal["file"]
    file: PathLine
    sha256: Sha256 | None = None
    arch: Line
    mapping: Mapping = Mapping()
    role: Role = "rival"


class UntrainedModel(_Vit):
    """A timm architecture with weights drawn from `seed`, the same on every machine."""

    source: Literal["untrained"]
    arch: Line
    seed: Seed


def _target(value: str) -> str:
    """Check `package.module:function`, or `folder/file.py:function` below the working folder."""
    place, _, function = value.partition(":")
    path = place.removesuffix(".py").split("/") if place.endswith(".py") else place.split(".")
    names = [*path, function]
    if not all(name.isidentifier() for name in names):
        raise ValueError(
            f"'{brief(value)}' is invalid; allowed: package.module:function, or "
            "folder/file.py:function, with a path below this folder"
        )
    return value


def _trusted(value: bool) -> bool:
    """Refuse a model whose code nobody has approved."""
    if not value:
        raise ValueError(
            "must be true, as the stages weights, extract and degrade run the code of `target` on "
            "this machine; read it first"
        )
    return value


def _plain(value: Any) -> Any:
    """Check that a value consists of scalars and lists."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, list):
            _plain(one)
        elif not (one is None or isinstance(one, str | bool | int | float)):
            raise ValueError(f"{brief(one)} is invalid; allowed: scalars, and lists of them")
    return value


Scalars = Annotated[Any, PlainValidator(_plain)]
Sides = Annotated[list[Annotated[int, Within(1, LARGEST)]], Field(min_length=2, max_length=2)]


class PythonModel(_Layered):
    """An own module or function: what `target` returns for `args`; see `backbones.wrap.wrap`.

    `args` are passed by name: scalars, and lists of them. A file that they name, such as weights,
    is hashed. `layer` is an index into the list that it returns. No code is run without
    `trust_code: true`, and none while settings are read or planned.
    """

    source: Literal["python"]
    target: Annotated[Line, AfterValidator(_target)]
    trust_code: Annotated[bool, AfterValidator(_trusted)] = Field(
        default=False, validate_default=True
    )
    args: dict[str, Scalars] = Field(default={})
    patch_size: Patch
    mean: Colour
    std: Spread
    interpolation: Interpolation = "bicubic"
    prefix_tokens: Tokens = 0
    output: Line | int | None = None
    input_size: Sides | None = None
    role: Role = "rival"


class PixelsModel(Strict):
    """A floor without a network: mean RGB, row and column of a patch, or its place alone."""

    source: Literal["pixels", "place"]
    patch_size: Annotated[int, Within(1, 256)]


Model = Annotated[
    RegistryModel | TimmModel | HubModel | FileModel | PythonModel | UntrainedModel | PixelsModel,
    Field(discriminator="source"),
]


def role(model: Model) -> Role:
    """The role of a model in comparisons: a floor is a baseline, a ceiling is excluded."""
    if isinstance(model, FileModel | PythonModel):
        return model.role
    return "floor" if isinstance(model, UntrainedModel | PixelsModel) else "rival"
