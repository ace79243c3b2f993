"""The converted file: what its header says, what it refuses, and that it opens again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from patchlens.backbones.checkpoint import tensor_hash
from patchlens.backbones.load import load, provenance
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.errors import DataError, SettingsError, SourceError

ARCH = "vit_tiny_patch16_224"
ARGS = {"embed_dim": 24, "depth": 2, "num_heads": 2, "patch_size": 4, "img_size": 16}
UNTRAINED = {"source": "untrained", "arch": ARCH, "arch_args": ARGS, "seed": 3}
Convert = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> dict[str, Any]:
    """Settings of a fp16 weight file that fits."""
    model = timm.create_model(ARCH, num_classes=0, **ARGS)
    halves = {name: value.half() for name, value in model.state_dict().items()}
    save_file(halves, tmp_path / "own.safetensors")
    path = str(tmp_path / "own.safetensors")
    return {"source": "file", "file": path, "arch": ARCH, "arch_args": ARGS}


def test_header_says_all_that_is_needed(convert: Convert, file: dict[str, Any]) -> None:
    about = provenance(convert(file | {"position": "mae", "mean": [0, 0, 0], "std": [1, 1, 1]}))
    origin = about.pop("origin")
    assert origin.startswith("file own.safetensors, sha256 ")
    assert len(origin) == len("file own.safetensors, sha256 ") + 64
    assert len(about.pop("sha256")) == 64
    assert json.loads(about.pop("arch_args")) == ARGS
    assert [json.loads(about.pop(key)) for key in ("mean", "std")] == [[0, 0, 0], [1, 1, 1]]
    assert about == {
        "source": "file",
        "arch": ARCH,
        "interpolation": "bicubic",
        "position": "mae",
        "timm": timm.__version__,
        "torch": torch.__version__,
    }


def test_a_file_is_pinned_by_its_hash(convert: Convert, file: dict[str, Any]) -> None:
    digest = hashlib.sha256(Path(file["file"]).read_bytes()).hexdigest()
    with pytest.raises(SettingsError) as missing:
        convert(file | {"sha256": None})
    assert str(missing.value) == (
        f"params.yaml: models.m.sha256: missing; if this is the right file, set it to {digest}"
    )
    with pytest.raises(SourceError) as other:  # exit code 3, as of a file of the registry
        convert(file | {"sha256": "0" * 64})
    assert str(other.value) == (
        f"{file['file']}: its sha256 is {digest}, but models.m.sha256 in params.yaml is "
        f"{'0' * 64}: change the setting if this is the right file"
    )
    convert(file | {"sha256": digest})


def test_defaults_are_imagenets(convert: Convert, file: dict[str, Any]) -> None:
    about = provenance(convert(file))
    assert json.loads(about["mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(about["std"]) == [0.229, 0.224, 0.225]
    assert about["position"] == "timm"


def test_two_conversions_have_one_hash(convert: Convert) -> None:
    first, second = (convert(UNTRAINED, f"{n}.safetensors") for n in "ab")
    assert provenance(first) == provenance(second)
    assert first.read_bytes() == second.read_bytes()
    other = provenance(convert(UNTRAINED | {"seed": 4}))
    assert other["sha256"] != provenance(first)["sha256"]
    assert other["origin"] == "seed 4"


def test_hash_is_of_the_tensors_in_the_file(convert: Convert, file: dict[str, Any]) -> None:
    from safetensors.torch import load_file

    path = convert(file)
    assert provenance(path)["sha256"] == tensor_hash(load_file(path))
    assert load_file(path)["norm.weight"].dtype == torch.float16


def test_loaded_again_it_is_the_model(convert: Convert, tiny: Any, tmp_path: Path) -> None:
    model = tiny()
    torch.save({"model": {f"m.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "w.pth")
    args = {"embed_dim": 24, "depth": 3, "num_heads": 2, "patch_size": 4, "img_size": 16}
    settings = {"source": "file", "file": str(tmp_path / "w.pth"), "arch": ARCH,
                "mapping": {"key": ["model"], "prefix": ["m."]}, 
                "arch_args": args, "mean": [0, 0, 0], "std": [1, 1, 1]}  # fmt: skip
    bone = load(convert(settings))
    images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model.forward_features(images / 255)[:, 1:]
    found = bone(images, layers=[-1], norm=True)[0].patches.flatten(1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("source", ["pixels", "place"])
def test_a_floor_without_weights_carries_its_patch_size(convert: Convert, source: str) -> None:
    path = convert({"source": source, "patch_size": 6})
    bone = load(path)
    assert isinstance(bone, PixelsBackbone)
    assert (bone.name, bone.patch_size) == (source, 6)
    assert provenance(path)["source"] == source


@pytest.mark.parametrize("source", ["untrained", "file"])
def test_an_unknown_architecture(convert: Convert, file: dict[str, Any], source: str) -> None:
    settings = file if source == "file" else UNTRAINED
    with pytest.raises(SettingsError) as caught:
        convert(settings | {"arch": "vit_tiny_patch16_225"})
    message = str(caught.value)
    assert message.startswith(
        "params.yaml: models.m.arch: timm has no model 'vit_tiny_patch16_225'; "
    )
    assert message.endswith("; did you mean 'vit_tiny_patch16_224'?")


@pytest.mark.parametrize("arch", ["vit_small_r26_s32_224", "vit_tiny_r_s16_p8_224"])
def test_an_architecture_without_one_patch_grid(convert: Convert, arch: str) -> None:
    with pytest.raises(SettingsError) as caught:
        convert({"source": "untrained", "arch": arch, "seed": 0})
    expected = (
        f"params.yaml: models.m.arch: '{arch}' is neither a ViT with a single patch grid "
        "nor a model of stages with feature maps; choose another one"
    )
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "args",
    [
        {"use_rel_pos": True},
        {"embed_dim": 25, "num_heads": 2},
        {"rope_type": ""},
    ],
)
def test_arguments_that_the_architecture_does_not_take(
    convert: Convert, args: dict[str, Any]
) -> None:
    message = rf"^params\.yaml: models\.m\.arch_args: {ARCH} does not accept them \("
    with pytest.raises(SettingsError, match=message):
        convert(UNTRAINED | {"arch_args": args})


def test_an_architecture_with_an_unknown_tag(convert: Convert) -> None:
    with pytest.raises(SettingsError, match=r"^params\.yaml: models\.m\.arch"):
        convert(UNTRAINED | {"arch": f"{ARCH}.nonsense"})


def test_weights_of_another_shape_name_the_file(convert: Convert, file: dict[str, Any]) -> None:
    wrong = ARGS | {"depth": 3}
    message = rf"^{file['file']}: does not fit VisionTransformer; 12 missing: blocks\.2\."
    with pytest.raises(DataError, match=message):
        convert(file | {"arch_args": wrong})


def test_a_broken_converted_file_is_named(convert: Convert, tmp_path: Path) -> None:
    path = convert(UNTRAINED)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=rf"^{path}: is damaged \(Safet.*; run `dvc repro`"):
        load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(DataError, match=rf"^{path}: is damaged \(KeyError: 'about'\); run"):
        load(path)
    path.unlink()
    with pytest.raises(DataError, match=rf"^{path}: missing; run `dvc repro`"):
        load(path)
