"""Architectures as their authors run them, where timm's own differs."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from patchlens.backbones.architecture import build, create
from patchlens.backbones.load import backbone, load
from patchlens.backbones.registry.read import entries
from patchlens.backbones.vit import SamBackbone, VitBackbone
from patchlens.errors import DataError, SettingsError
from patchlens.settings.models import ARCH_ARGS

SAM = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 64, "window_size": 3}
DINO = {"embed_dim": 64, "depth": 1, "num_heads": 2, "img_size": 64}
ABOUT = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "position": "timm"}


def test_sam_has_the_eps_of_its_authors() -> None:
    model = create("here", "samvit_base_patch16", SAM)
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 6
    assert {m.eps for m in norms} == {1e-6}


def test_sam_is_opened_by_its_own_class() -> None:
    bone = backbone(build("samvit_base_patch16", SAM), **ABOUT)
    assert isinstance(bone, SamBackbone)
    images = torch.zeros(1, 3, 32, 80, dtype=torch.uint8)
    assert bone(images, layers=[0], norm=True)[0].patches.shape == (1, 2, 5, 256)
    assert not isinstance(backbone(build("vit_tiny_patch16_224", {}), **ABOUT), SamBackbone)


def test_dinov3_has_its_periods_among_its_weights() -> None:
    model = create("here", "vit_small_patch16_dinov3_qkvb", DINO)
    assert model.state_dict()["rope.periods"].shape == (8,)
    state = model.state_dict() | {"rope.periods": torch.full((8,), 3.0)}
    model.load_state_dict(state, strict=True)
    other = build("vit_small_patch16_dinov3_qkvb", DINO)
    other.load_state_dict(state | {"rope.periods": other.rope.periods}, strict=True)
    images = torch.arange(3 * 64 * 64).reshape(1, 3, 64, 64).remainder(251).to(torch.uint8)
    found = [
        VitBackbone(m, **ABOUT)(images, layers=[0], norm=True)[0].patches for m in (model, other)
    ]
    assert (found[0] - found[1]).abs().max() > 0


@pytest.mark.parametrize(
    "key", ["checkpoint_path", "pretrained_cfg", "cache_dir", "block_fn", "norm_lay", "num_classes"]
)
def test_no_argument_outside_the_allow_list_reaches_timm(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("it reached timm"))
    with pytest.raises(ValueError, match=f"^{key}: allowed: "):
        build("vit_tiny_patch16_224", SAM | {key: "x"})
    with pytest.raises(SettingsError, match=rf"^here\.arch_args: .* not accept them \({key}: "):
        create("here", "vit_tiny_patch16_224", {key: "x"})


@pytest.mark.parametrize("arch", ["hf-hub:someone/x", "local-dir:/tmp/x", "/etc/passwd", "nope"])
def test_no_name_reaches_timm_that_is_not_of_timm(
    monkeypatch: pytest.MonkeyPatch, arch: str
) -> None:
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("it reached timm"))
    with pytest.raises(ValueError, match="timm has no model"):
        build(arch, {})
    with pytest.raises(SettingsError, match="timm has no model"):
        create("here", arch, {})


def test_a_header_of_weights_cannot_name_a_checkpoint(tmp_path: Path) -> None:
    args = json.dumps(SAM | {"checkpoint_path": "evil.pth"})
    about = {"arch": "vit_tiny_patch16_224", "arch_args": args, "source": "file", "sha256": "0"}
    path = tmp_path / "m.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"about": json.dumps(about)})
    with pytest.raises(DataError, match=r"m\.safetensors: is damaged \(\w+: check"):
        load(path)


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), KeyError("x"), AttributeError("x\ny")])
def test_whatever_timm_raises_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def raises(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", raises)
    with pytest.raises(SettingsError, match=r"^here\.arch_args: .* does not accept them") as caught:
        create("here", "vit_tiny_patch16_224", {})
    assert len(str(caught.value).splitlines()) == 1


def test_the_registry_needs_no_other_argument() -> None:
    assert entries()
    for entry in entries().values():
        assert entry.arch_args.keys() <= ARCH_ARGS


def test_an_architecture_without_one_grid_is_still_refused() -> None:
    with pytest.raises(SettingsError, match="is neither a ViT with a single patch grid nor"):
        create("here", "vit_small_r26_s32_224", {})
