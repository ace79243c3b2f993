"""What a file of weights must show at the stage `weights`, before anything is measured with it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from patchlens.backbones.conformance import check_forward, check_values
from patchlens.backbones.convert import convert as write_file
from patchlens.backbones.load import load, provenance
from patchlens.errors import DataError, SettingsError
from patchlens.progress import log
from patchlens.settings.models import FileModel, UntrainedModel

ARCH = "vit_tiny_patch16_224"
ARGS: dict[str, Any] = {
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 2,
    "patch_size": 4,
    "img_size": 16,
}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
Convert = Callable[..., Path]
State = dict[str, Tensor]


@pytest.fixture
def state() -> State:
    torch.manual_seed(0)
    return dict(timm.create_model(ARCH, num_classes=0, **ARGS).state_dict())


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`write(state)`: the settings of a model of this file."""

    def save(content: Any, name: str = "w.pth") -> dict[str, Any]:
        torch.save(content, tmp_path / name)
        return {"source": "file", "file": str(tmp_path / name), "arch": ARCH, "arch_args": ARGS}

    return save


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["pos_embed", "blocks.1.mlp.fc2.bias", "norm.weight"])
def test_a_value_that_is_no_number_is_found_at_weights(
    convert: Convert, write: Any, state: State, name: str, value: float
) -> None:
    state[name].view(-1)[-1] = value
    with pytest.raises(DataError, match=rf"w\.pth.*: NaN or infinite values in {name}; take "):
        convert(write(state))


@pytest.mark.parametrize("names", [r".*", r"patch_embed\..*", r"blocks\.1\.attn\.qkv\..*"])
def test_matrices_of_zeros_are_found_at_weights(
    convert: Convert, write: Any, state: State, names: str
) -> None:
    zeros = {n: t * 0 if re.fullmatch(names, n) else t for n, t in state.items()}
    with pytest.raises(DataError, match=r"w\.pth.*: nothing but zeros in \w+.*; take another"):
        convert(write(zeros))


def test_biases_and_scales_of_zeros_are_weights(state: State) -> None:
    check_values(state | {"blocks.0.mlp.fc1.bias": torch.zeros(96), "x.gamma": torch.zeros(3)}, "w")


def test_shared_tensors_are_written_apart(convert: Convert, write: Any, state: State) -> None:
    for name in list(state):
        if name.startswith("blocks.1."):
            state[name] = state[name.replace("blocks.1.", "blocks.0.")]
    big = torch.zeros(3, 24)
    big[1:] = torch.randn(2, 24)
    state["norm.weight"], state["norm.bias"] = big[1], big[2]
    found = load_file(convert(write(state)))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


class Odd:
    """A backbone whose tokens `made` computes."""

    patch_size, width, depth, layers = 4, 2, 1, [0]

    def channels(self, norm: bool) -> int:
        return self.width

    def __init__(self, made: Callable[[Tensor], Tensor]) -> None:
        self._made = made

    def __call__(self, images: Tensor, *, layers: list[int], norm: bool) -> list[Any]:
        tokens = self._made(images.float().mean(dim=1)[:, ::4, ::4])
        return [type("Tokens", (), {"patches": tokens})]


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (lambda x: x[..., None].expand(-1, -1, -1, 2), None, ""),
        (lambda x: x[..., None].expand(-1, -1, -1, 2) * torch.nan, DataError, "are NaN or inf"),
        (lambda x: torch.ones(*x.shape, 2), DataError, "layer 0 do not depend on the image"),
        (lambda x: x[..., None], SettingsError, r"tokens \[2, 3, 4, 1\] instead of \[2, 3, 4, 2\]"),
        (lambda x: x.missing, SettingsError, "'a' fails at its first forward pass .*missing"),
        (lambda x: x[9], SettingsError, "m: 'a' fails at its first forward pass .*index 9"),
    ],
)
def test_one_forward_pass_finds_what_cannot_be_measured(made: Any, kind: Any, message: str) -> None:
    bone: Any = Odd(made)
    if kind is None:
        check_forward(bone, True, "m", "a", "w")
        return
    with pytest.raises(kind, match=message) as caught:
        check_forward(bone, True, "m", "a", "w")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arch", ["vit_relpos_small_patch16_224", "vit_srelpos_small_patch16_224"])
def test_an_architecture_that_fails_is_refused_at_weights(convert: Convert, arch: str) -> None:
    args = {"embed_dim": 64, "depth": 1, "num_heads": 2, "img_size": 64}
    with pytest.raises(
        SettingsError, match=rf"^params\.yaml: models\.m: '{arch}' fails at its fir"
    ):
        convert({"source": "untrained", "arch": arch, "arch_args": args, "seed": 0})


def test_a_model_without_a_final_norm_is_refused_at_weights_if_one_is_asked_for(
    tmp_path: Path,
) -> None:
    args = {"embed_dim": 64, "depth": 1, "num_heads": 2, "img_size": 64}
    arch = "vit_pe_spatial_tiny_patch16_512"
    model = UntrainedModel(source="untrained", arch=arch, arch_args=args, seed=0)
    with pytest.raises(DataError, match=r"no final norm .*set features\.norm: false"):
        write_file("m", model, tmp_path / "m", work=tmp_path)
    write_file("m", model, tmp_path / "m", work=tmp_path, norm=False)
    assert load(tmp_path / "m").depth == 1


def test_dinov3_without_periods_takes_those_of_timm_and_says_so(
    convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arch = "vit_small_patch16_dinov3"
    args: dict[str, Any] = {"embed_dim": 64, "depth": 1, "num_heads": 2}
    state = dict(timm.create_model(arch, num_classes=0, **args).state_dict())
    assert "rope.periods" not in state
    save_file(state, tmp_path / "w.safetensors")
    said: list[str] = []
    monkeypatch.setattr(log, "warning", lambda text, *args: said.append(text % args))
    file = str(tmp_path / "w.safetensors")
    found = load(convert({"source": "file", "file": file, "arch": arch, "arch_args": args}))
    assert found.depth == 1
    assert len(said) == 1
    assert re.search(r"w\.safetensors: no rope\.periods; timm's are taken", said[0])


@pytest.fixture
def folder(tmp_path: Path, state: State) -> Path:
    """A folder as on the Hugging Face hub."""
    path = tmp_path / "tiny-vit"
    path.mkdir()
    save_file(state, path / "model.safetensors")
    return path


def in_folder(path: Path, **more: Any) -> dict[str, Any]:
    from patchlens.backbones.checkpoint import weights_hash

    digest = weights_hash(path)
    model = {"source": "file", "file": str(path), "sha256": digest, "arch": ARCH}
    return model | {"arch_args": ARGS} | HALF | more


AGREES = {"hidden_act": "gelu", "num_attention_heads": 2, "layer_norm_eps": 1e-6, "x": 1}
PROCESSOR = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@pytest.mark.parametrize(
    "processor",
    [
        {"rescale_factor": 1 / 255},
        {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3},
        {"image_mean": None, "image_std": None},
    ],
)
def test_mean_and_std_are_compared_in_one_unit(
    convert: Convert, folder: Path, processor: Any
) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | processor))
    convert(in_folder(folder))


@pytest.mark.parametrize("nested", [False, True])
def test_a_folder_that_agrees_is_measured(convert: Convert, folder: Path, nested: bool) -> None:
    config = {"vision_config": AGREES, "num_attention_heads": 8} if nested else AGREES
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    assert provenance(convert(in_folder(folder)))["origin"].startswith("file tiny-vit, sha256 ")


@pytest.mark.parametrize(
    ("config", "processor", "message"),
    [
        ({"num_attention_heads": 3}, {}, r"arch_args\.num_heads: 2, but .* states 3"),
        ({"layer_norm_eps": 1e-12}, {}, r"arch: eps 1e-06, but .* states eps 1e-12"),
        ({"hidden_act": "quick_gelu"}, {}, r"act_layer: GELU, but .* states QuickGELU"),
        ({"architecture": "vit_small_patch16_224"}, {}, r"arch: vit_tiny\w+, but .* vit_small"),
        ({}, {"image_mean": [0.4] * 3}, r"models\.m\.mean: \[0\.5, .* states \[0\.4, "),
        ({}, {"do_normalize": False}, r"models\.m\.mean: \[0\.5, .* states \[0\.0, "),
        ({}, {"do_rescale": False}, r"models\.m\.mean: \[0\.5, .* states \[0\.001961, "),
        ({}, {"rescale_factor": 1 / 127.5}, r"models\.m\.mean: \[0\.5, .* states \[0\.25, "),
        (
            {"pretrained_cfg": {"std": [0.2] * 3}},
            {"image_std": None},
            r"models\.m\.std: \[0\.5, .* states \[0\.2",
        ),
    ],
)
def test_a_folder_that_states_other_settings_is_refused(
    convert: Convert, folder: Path, config: Any, processor: Any, message: str
) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | processor))
    with pytest.raises(SettingsError, match=message):
        convert(in_folder(folder))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", [123.675, 116.28, 103.53]),
        ("std", [58.395, 57.12, 57.375]),
        ("std", [255.0] * 3),
        ("std", [0.0] * 3),
        ("mean", [-1.0, 0.0, 0.0]),
    ],
)
def test_mean_and_std_in_another_unit_are_refused_naming_the_unit(
    key: str, value: list[float]
) -> None:
    with pytest.raises(ValidationError) as caught:
        FileModel.model_validate({"source": "file", "file": "w", "arch": ARCH, key: value})
    message = caught.value.errors()[0]["msg"]
    assert f"{value[0]} is out of range; allowed: 0" in message
    assert "(of images in 0…1; where the source has 0…255, divide mean and std by 255)" in message


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_than_rgb_are_refused(channels: int) -> None:
    with pytest.raises(ValidationError, match=f"{channels} is out of range; allowed: 3 .only"):
        FileModel.model_validate(
            {"source": "file", "file": "w", "arch": ARCH, "arch_args": {"in_chans": channels}}
        )
