"""Models of transformers behind the contract: families are data, their classes stay as they are.

What a class gives is read where its blocks or stages end, since its own outputs differ from family
to family: the last of them may be normed or not, and that of Swin is already reduced.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from patchlens.backbones.checkpoint import load_strictly
from patchlens.backbones.contract import ModelBackbone, PatchTokens, absolute_layers
from patchlens.backbones.wrap import LAYOUTS
from patchlens.errors import SettingsError, said
from patchlens.names import nearest
from patchlens.settings.base import brief

# Of a config.json: what is about training, heads and loading, and might make transformers load code
# or other files. Names with a leading underscore are left out too.
LEFT_OUT = (
    *("model_type", "auto_map", "custom_pipelines", "quantization_config", "use_kernels"),
    *("attn_implementation", "experts_implementation", "output_attentions", "torch_dtype"),
    *("out_features", "out_indices", "stage_names", "backbone", "backbone_config"),
    *("use_pretrained_backbone", "pruned_heads"),
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Where the tokens of a class of transformers are.

    Attributes:
        model: the class.
        blocks: its blocks or stages; with `last`, the list in a stage whose last entry is meant.
        norm: the final norm of its patches, applied to the last stage only; "" if there is none.
        prefix: tokens that come before the patches, without registers.
        registers: the key of the config that counts these; they follow the prefix.
        patch: pixels of a patch, or of a position of the first stage; or the key that says it.
        stages: whether each of `blocks` halves the map of the one before.
        layout: of the output of a block: see `wrap.LAYOUTS`.
        part: the entry of config.json that describes the image tower.
        config: values that replace those of config.json.
        build: arguments of the class.
    """

    model: str
    blocks: str
    last: str = ""
    norm: str = "layernorm"
    prefix: int = 1
    registers: str = ""
    patch: str | int = "patch_size"
    stages: bool = False
    layout: str = "[B, N, D]"
    part: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)


NO_POOL: Mapping[str, Any] = {"add_pooling_layer": False}
NO_HEAD: Mapping[str, Any] = {"vision_use_head": False}
STAGES: dict[str, Any] = {"stages": True, "prefix": 0}
MAPS: dict[str, Any] = STAGES | {"blocks": "encoder.stages", "layout": "[B, D, h, w]"}
SWIN: dict[str, Any] = STAGES | {"blocks": "encoder.layers", "last": "blocks", "build": NO_POOL}
CLIP: dict[str, Any] = {"blocks": "encoder.layers", "norm": "post_layernorm"}
SIGLIP: dict[str, Any] = CLIP | {"prefix": 0, "config": NO_HEAD}
# `model_type` of config.json -> the family. Each is compared with its class by a test.
FAMILIES: dict[str, Family] = {
    "beit": Family(model="BeitModel", blocks="layers", build=NO_POOL),
    "clip": Family(model="CLIPVisionModel", part="vision_config", **CLIP),
    "clip_vision_model": Family(model="CLIPVisionModel", **CLIP),
    "convnext": Family(model="ConvNextModel", **MAPS),
    "convnextv2": Family(model="ConvNextV2Model", **MAPS),
    "data2vec-vision": Family(model="Data2VecVisionModel", blocks="encoder.layer", build=NO_POOL),
    "deit": Family(model="DeiTModel", blocks="layers", prefix=2, build=NO_POOL),
    "dinov2": Family(model="Dinov2Model", blocks="encoder.layer"),
    "dinov2_with_registers": Family(
        model="Dinov2WithRegistersModel", blocks="encoder.layer", registers="num_register_tokens"
    ),
    "dinov3_convnext": Family(
        model="DINOv3ConvNextModel",
        norm="layer_norm",
        patch=4,
        **(MAPS | {"blocks": "model.stages"}),
    ),
    "dinov3_vit": Family(
        model="DINOv3ViTModel", blocks="model.layer", norm="norm", registers="num_register_tokens"
    ),
    "hiera": Family(
        model="HieraModel",
        norm="",
        patch="patch_stride",
        blocks="encoder.stages",
        layout="[B, h, w, D]",
        build=NO_POOL,
        **STAGES,
    ),
    "ijepa": Family(model="IJepaModel", blocks="layers", prefix=0, build=NO_POOL),
    "resnet": Family(model="ResNetModel", norm="", patch=4, **MAPS),
    "siglip": Family(model="SiglipVisionModel", part="vision_config", **SIGLIP),
    "siglip2": Family(model="Siglip2VisionModel", part="vision_config", **SIGLIP),
    "siglip2_vision_model": Family(model="Siglip2VisionModel", **SIGLIP),
    "siglip_vision_model": Family(model="SiglipVisionModel", **SIGLIP),
    "swin": Family(model="SwinModel", **SWIN),
    "swinv2": Family(model="Swinv2Model", **SWIN),
    "vit": Family(model="ViTModel", blocks="layers", build=NO_POOL),
    # Without masks; the order of the patches is kept by the argument `noise`.
    "vit_mae": Family(model="ViTMAEModel", blocks="layers", config={"mask_ratio": 0.0}),
    "vit_msn": Family(model="ViTMSNModel", blocks="layers"),
}


def kind_of(config: Mapping[str, Any], where: str) -> str:
    """The key of the table for a config.json.

    Raises:
        SettingsError: it is of code in its repository, of timm, or of no family of the table.
    """
    kind = config.get("model_type")
    own = "bring it in by a function of yours with source: python"
    if "auto_map" in config:
        raise SettingsError(f"{where}: its repository brings its own code, which is not run; {own}")
    if kind is None and "architecture" in config:
        raise SettingsError(
            f"{where}: is a repository of timm; set source: timm and the tag, as in "
            f"{brief(config['architecture'])}.<tag>"
        )
    if kind not in FAMILIES:
        raise SettingsError(
            f"{where}: model_type '{brief(kind)}' is none of the families that are compared with "
            f"their class; {nearest(str(kind), FAMILIES)}; otherwise, {own}"
        )
    return str(kind)


def check_library(where: str) -> None:
    """Refuse `source: hub` where transformers is not installed."""
    if find_spec("transformers") is None:
        raise SettingsError(
            f"{where}: source: hub needs transformers; run pip install 'patchlens[hub]'"
        )


def library(where: str) -> Any:
    """The package transformers, quiet; errors as in `check_library`."""
    check_library(where)
    transformers: Any = import_module("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def arguments(family: Family, content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Of a config.json, what says how the image tower is built."""
    common = {one.name for one in fields(library(where).PreTrainedConfig)} | set(LEFT_OUT)
    part = content.get(family.part, {}) if family.part else content
    kept = {k: v for k, v in dict(part).items() if k not in common and not k.startswith("_")}
    return kept | dict(family.config)


def configured(family: Family, given: Mapping[str, Any], where: str) -> Any:
    """The config of the class, from its arguments.

    Raises:
        SettingsError: a value is of another type than the class expects.
    """
    try:
        return getattr(library(where), family.model).config_class(**given)
    except Exception as error:  # whatever transformers makes of it
        raise SettingsError(f"{where}: config.json: {brief(said(error))}") from None


def attention(kind: Any) -> dict[str, Any]:
    """How a class is built: in float32, with the attention of torch where it knows that."""
    plain = "sdpa" if kind._supports_sdpa else "eager"
    return {"dtype": torch.float32, "attn_implementation": plain}


def build(family: Family, given: Mapping[str, Any], where: str) -> Any:
    """The model of a family without its weights, from the arguments of its config."""
    config = configured(family, given, where)
    kind = getattr(library(where), family.model)
    with torch.random.fork_rng(devices=[]):
        return kind._from_config(config, **attention(kind), **family.build).eval()


class FamilyBackbone(ModelBackbone):
    """A model of transformers. Of stages, those like `layer` are opened, as in `maps`."""

    def __init__(
        self,
        family: Family,
        model: Any,
        *,
        layer: int,
        mean: list[float],
        std: list[float],
        interpolation: str,
        name: str,
    ) -> None:
        super().__init__(model, name=name, mean=mean, std=std, interpolation=interpolation)
        self._family = family
        config = model.config
        patch = getattr(config, family.patch) if isinstance(family.patch, str) else family.patch
        first = int(patch if isinstance(patch, int) else patch[0])
        self._ends = [_last(block, family.last) for block in model.get_submodule(family.blocks)]
        self.depth = len(self._ends)
        widths = _widths(config, self.depth)
        strides = [first * 2**i if family.stages else first for i in range(self.depth)]
        self.shapes = list(zip(strides, widths, strict=True))
        [opened] = absolute_layers([layer], self.depth)
        self.patch_size, self.width = self.shapes[opened]
        self.layers = [i for i, shape in enumerate(self.shapes) if shape == self.shapes[opened]]
        self._registers = int(getattr(config, family.registers)) if family.registers else 0
        self._takes = set(inspect.signature(model.forward).parameters)
        # Swin forgets its windows when it meets a small map.
        self._windows = [
            (part, part.window_size, part.shift_size)
            for part in model.modules()
            if hasattr(part, "set_shift_and_window_size")
        ]
        whole = strides[-1]
        self._multiple = whole if _is_hiera(model) else self.patch_size
        self._least = whole * (config.window_size if self._windows else 1)
        self.trial_size: tuple[int, int] | None = None
        if family.stages:
            self.trial_size = self._least, self._least + whole

    @torch.inference_mode()
    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[PatchTokens]:
        """See `contract.Backbone`; all of `layers` are among `self.layers`."""
        grid, wanted = self._asked(images, layers)
        self._fit((images.shape[-2], images.shape[-1]))
        with _outputs({i: self._ends[i] for i in set(wanted)}) as found:
            self._model(**self._inputs(self._normalise(images), grid))
        return [self._tokens(found[layer], layer, grid, norm) for layer in wanted]

    def _fit(self, size: tuple[int, int]) -> None:
        for part, window, shift in self._windows:
            part.window_size, part.shift_size = window, shift
        height, width = size
        if min(size) < self._least or height % self._multiple or width % self._multiple:
            raise SettingsError(
                f"{self.name}: takes at least {self._least} pixels a side, and multiples of "
                f"{self._multiple}, not {height}×{width}; set view.pixels or view.patches"
            )
        if _is_hiera(self._model):  # what is made of the size in its config
            config = type(self._model.config)(
                **self._model.config.to_dict() | {"image_size": [height, width]}
            )
            with torch.device("meta"):
                self._model.encoder.schedule = type(self._model.encoder)(config).schedule

    def _inputs(self, pixels: Tensor, grid: tuple[int, int]) -> dict[str, Any]:
        batch, count = len(pixels), grid[0] * grid[1]
        given: dict[str, Any] = {"pixel_values": pixels}
        if "interpolate_pos_encoding" in self._takes:
            given["interpolate_pos_encoding"] = True
        if "mask_ratio" in self._family.config:  # what is sorted by it stays as it is
            given["noise"] = torch.arange(count, device=pixels.device).expand(batch, -1)
        if "spatial_shapes" in self._takes:  # it takes patches, each a row of pixels
            side = self.patch_size
            cut = pixels.reshape(batch, 3, grid[0], side, grid[1], side)
            given["pixel_values"] = cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, count, -1)
            given["spatial_shapes"] = torch.tensor([grid], device=pixels.device).expand(batch, -1)
            given["pixel_attention_mask"] = torch.ones(batch, count, device=pixels.device).long()
        return given

    def _tokens(self, found: Any, layer: int, grid: tuple[int, int], norm: bool) -> PatchTokens:
        output = found[0] if isinstance(found, tuple) else found
        if _is_hiera(self._model):
            output = self._model.encoder.reroll(output, stage_idx=layer)
        family = self._family
        before = family.prefix + self._registers
        patches = LAYOUTS[family.layout](output, grid, before)
        if patches is None:
            raise ValueError(
                f"{self.name}: layer {layer} gives {list(output.shape)}, which are not {grid[0]}×"
                f"{grid[1]} patches of {self.patch_size} pixels after {before} other tokens"
            )
        prefix = output[:, :before] if before else None
        if norm and family.norm and (layer == self.depth - 1 or not family.stages):
            final = self._model.get_submodule(family.norm)
            patches, prefix = final(patches), None if prefix is None else final(prefix)
        cls = None if prefix is None else prefix[:, 0]
        rest = None if prefix is None or before == 1 else prefix[:, 1:]
        return PatchTokens(patches.contiguous(), cls, rest)


def opened(
    about: Mapping[str, str], tensors: Mapping[str, Tensor], layer: int, name: str
) -> FamilyBackbone:
    """The backbone of a converted weight file of `source: hub`; see `load`."""
    family = FAMILIES[about["family"]]
    model = build(family, json.loads(about["config"]), name)
    load_strictly(model, tensors, name)
    return FamilyBackbone(
        family,
        model,
        layer=layer,
        mean=json.loads(about["mean"]),
        std=json.loads(about["std"]),
        interpolation=about["interpolation"],
        name=name,
    )


def _is_hiera(model: Any) -> bool:
    return hasattr(getattr(model, "encoder", None), "reroll")


def _last(block: Any, inner: str) -> nn.Module:
    found: nn.Module = block.get_submodule(inner)[-1] if inner else block
    return found


def _widths(config: Any, depth: int) -> list[int]:
    if (sizes := getattr(config, "hidden_sizes", None)) is not None:
        return [int(size) for size in sizes]
    if (first := getattr(config, "embed_dim", None)) is not None:
        growth = getattr(config, "embed_dim_multiplier", 2)
        return [int(first * growth**i) for i in range(depth)]
    return [int(config.hidden_size)] * depth


@contextmanager
def _outputs(modules: Mapping[int, nn.Module]) -> Iterator[dict[int, Any]]:
    """What modules return while the block runs, by their key."""
    found: dict[int, Any] = {}

    def keep(key: int) -> Any:
        return lambda _module, _inputs, output: found.__setitem__(key, output)

    hooks = [module.register_forward_hook(keep(key)) for key, module in modules.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
