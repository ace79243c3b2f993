"""Registry entries of stages, from small files under the official names, equal a reference."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu, layer_norm
from torchvision.models.resnet import Bottleneck, ResNet

from backbones.official import IMAGENET, written
from patchlens.backbones.checkpoint import contents, load_strictly
from patchlens.backbones.mapping import mapped
from patchlens.backbones.maps import MapsBackbone
from patchlens.backbones.registry.read import entries
from patchlens.errors import DataError

CONVNEXT = [f"dinov3_convnext_{size}" for size in ("tiny", "small", "base", "large")]
SWIN = ["simmim_swinb", "simmim_swinb_100e"]
ENTRIES = [*CONVNEXT, *SWIN, "dino_resnet50"]
DEPTHS, DIMS = (1, 2, 1, 1), (8, 12, 16, 24)
HEADS = (1, 2, 2, 4)
Weights = dict[str, Tensor]


def drawn(shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Random weights; norms near one."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        scale = name.endswith("weight") and ("norm" in name or len(shape) == 1)
        found[name] = 1 + 0.2 * noise if scale else 0.2 * noise
    return found


def convnext() -> Weights:
    """The names of the authors' ConvNeXt: its final norm is there twice."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    layer("downsample_layers.0.0", DIMS[0], 3, 4, 4)
    layer("downsample_layers.0.1", DIMS[0])
    for i, width in enumerate(DIMS):
        if i:
            layer(f"downsample_layers.{i}.0", DIMS[i - 1])
            layer(f"downsample_layers.{i}.1", width, DIMS[i - 1], 2, 2)
        for j in range(DEPTHS[i]):
            name = f"stages.{i}.{j}"
            shapes[f"{name}.gamma"] = (width,)
            layer(f"{name}.dwconv", width, 1, 7, 7)
            layer(f"{name}.norm", width)
            layer(f"{name}.pwconv1", 4 * width, width)
            layer(f"{name}.pwconv2", width, 4 * width)
    layer("norm", DIMS[-1])
    found = drawn(shapes)
    return found | {f"norms.3.{part}": found[f"norm.{part}"] for part in ("weight", "bias")}


def convnext_maps(w: Weights, pixels: Tensor) -> list[Tensor]:
    """Liu et al. 2022, figure 4; with the final norm as the last of the list."""

    def normed(x: Tensor, name: str) -> Tensor:
        weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        return layer_norm(x, weight.shape, weight, bias, 1e-6)

    def conv(x: Tensor, name: str, **how: int) -> Tensor:
        weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        return conv2d(x.movedim(-1, 1), weight, bias, **how).movedim(1, -1)

    x, found = pixels.movedim(1, -1), []
    for i, width in enumerate(DIMS):
        name = f"downsample_layers.{i}"
        if i == 0:
            x = normed(conv(x, f"{name}.0", stride=4), f"{name}.1")
        else:
            x = conv(normed(x, f"{name}.0"), f"{name}.1", stride=2)
        for j in range(DEPTHS[i]):
            block = f"stages.{i}.{j}"
            y = normed(conv(x, f"{block}.dwconv", padding=3, groups=width), f"{block}.norm")
            y = gelu(y @ w[f"{block}.pwconv1.weight"].T + w[f"{block}.pwconv1.bias"])
            y = y @ w[f"{block}.pwconv2.weight"].T + w[f"{block}.pwconv2.bias"]
            x = x + w[f"{block}.gamma"] * y
        found.append(x)
    return [*found, normed(x, "norm")]


def swin() -> tuple[Weights, Any]:
    """The names of SimMIM's Swin, and the same model as transformers has it."""
    from transformers import SwinConfig, SwinModel  # slow to import, in each process

    torch.manual_seed(0)
    config = SwinConfig(
        image_size=96, embed_dim=8, depths=[2, 2, 2, 2], num_heads=[*HEADS], window_size=3
    )
    model = SwinModel(config, add_pooling_layer=False).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.2)
    state, found = model.state_dict(), dict[str, Tensor]()
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "embeddings":
            new = name.replace("embeddings.patch_embeddings.projection", "patch_embed.proj")
            found[new.replace("embeddings.norm", "patch_embed.norm")] = value
        elif parts[0] == "layernorm":
            found[name.replace("layernorm", "norm")] = value
        elif "downsample" in name:
            found[name.removeprefix("encoder.")] = value
    for i, stage in enumerate(model.encoder.layers):
        for j, block in enumerate(stage.blocks):
            start = f"layers.{i}.blocks.{j}"
            own = dict(block.named_parameters())
            qkv = [[p for n, p in own.items() if f"{part}_proj" in n] for part in "qkv"]
            for kind, at in (("weight", 0), ("bias", 1)):
                found[f"{start}.attn.qkv.{kind}"] = torch.cat([part[at] for part in qkv]).detach()
            for n, p in own.items():
                kind = n.rpartition(".")[2]
                for old, new in (
                    ("layernorm_before", "norm1"), ("layernorm_after", "norm2"),
                    ("o_proj", "attn.proj"), ("fc1", "mlp.fc1"), ("fc2", "mlp.fc2"),
                ):  # fmt: skip
                    if old in n:
                        found[f"{start}.{new}.{kind}"] = p.detach()
                if "bias_table" in n:
                    found[f"{start}.attn.{kind}"] = p.detach()
            found[f"{start}.attn.relative_position_index"] = torch.zeros(9, 9, dtype=torch.long)
            if j % 2 and i < 3:
                found[f"{start}.attn_mask"] = torch.zeros(4, 9, 9)
    return found, model


def backbone(name: str, content: dict[str, Any], folder: Path, layer: int, **small: Any) -> Any:
    entry = entries()[name]
    path = written(content, folder, "official.pth")
    model = timm.create_model(entry.arch, num_classes=0, **small).eval()
    load_strictly(model, mapped(contents(path, entry.mapping.pickled), entry.mapping, name), name)
    return MapsBackbone(
        model,
        layer=layer,
        mean=entry.mean,
        std=entry.std,
        interpolation=entry.interpolation,
        rebuild=lambda size: None,
        name=name,
    )


def images(*size: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randint(256, (2, 3, *size), dtype=torch.uint8, generator=generator)


def normed(batch: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)
    return (batch / 255 - mean) / std


def check(bone: Any, batch: Tensor, layer: int, norm: bool, wanted: Tensor) -> None:
    [found] = bone(batch, layers=[layer], norm=norm)
    torch.testing.assert_close(found.patches, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", [CONVNEXT, SWIN], ids=["convnext", "swin"])
def test_sizes_differ_in_size_only(sizes: list[str]) -> None:
    first, *others = [entries()[name] for name in sizes]
    for key in ("mapping", "mean", "std", "interpolation", "depth", "patch_size", "arch_args"):
        assert all(getattr(other, key) == getattr(first, key) for other in others), key
    assert len({entry.source.address for entry in (first, *others)}) == len(sizes)


def test_dinov3_convnext(tmp_path: Path) -> None:
    name = CONVNEXT[0]
    weights, batch = convnext(), images(64, 96)
    maps = convnext_maps(weights, normed(batch))
    for layer in (-1, -2):
        bone = backbone(name, weights, tmp_path, layer, depths=DEPTHS, dims=DIMS)
        check(bone, batch, layer, False, maps[layer - 1])
    bone = backbone(name, weights, tmp_path, -1, depths=DEPTHS, dims=DIMS)
    check(bone, batch, -1, True, maps[-1])
    with pytest.raises(DataError, match="drop pattern"):  # of another ConvNeXt
        backbone(name, {n: w for n, w in weights.items() if "norms" not in n}, tmp_path, -1)


def test_simmim_swin(tmp_path: Path) -> None:
    name = SWIN[0]
    weights, model = swin()
    content = {"model": {f"encoder.{n}": w for n, w in weights.items()}}
    content["model"] |= {
        "encoder.mask_token": torch.zeros(1, 1, 8),
        "decoder.0.weight": torch.zeros(3072, 64, 1, 1),
        "decoder.0.bias": torch.zeros(3072),
    }
    small = {"img_size": 96, "window_size": 3, "embed_dim": 8, "depths": (2,) * 4}
    more = {"output_hidden_states": True, "output_hidden_states_before_downsampling": True}
    for size in ((96, 96), (192, 288)):
        batch = images(*size)
        _, fresh = swin()  # transformers' Swin keeps the windows of the last size
        with torch.no_grad():
            tokens, grid = fresh.embeddings(normed(batch))
            states = fresh.encoder(tokens, grid, **more).reshaped_hidden_states
        for layer in (-1, -2):
            bone = backbone(name, content, tmp_path, layer, num_heads=HEADS, **small)
            wanted = states[layer].permute(0, 2, 3, 1)
            check(bone, batch, layer, False, wanted)
        last = model.layernorm(states[-1].permute(0, 2, 3, 1)).detach()
        bone = backbone(name, content, tmp_path, -1, num_heads=HEADS, **small)
        check(bone, batch, -1, True, last)


def test_dino_resnet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ResNet(Bottleneck, [1, 1, 1, 1]).eval()  # the class that hubconf.py takes
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    state = {n: w for n, w in model.state_dict().items() if not n.startswith("fc.")}
    batch = images(64, 96)
    with torch.no_grad():
        x = model.maxpool(model.relu(model.bn1(model.conv1(normed(batch)))))
        for stage in (model.layer1, model.layer2, model.layer3):
            x = stage(x)
        maps = [x, model.layer4(x)]
    for layer in (-1, -2):
        bone = backbone("dino_resnet50", state, tmp_path, layer, layers=(1, 1, 1, 1))
        check(bone, batch, layer, True, maps[layer].permute(0, 2, 3, 1))
