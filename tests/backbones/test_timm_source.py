"""Pretrained tags load strictly (trap 1), and an unreachable hub is one clear message."""

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file, save_file

from patchlens.backbones import pretrained
from patchlens.backbones.checkpoint import load_strictly
from patchlens.backbones.load import load, provenance
from patchlens.backbones.obtain import Obtained
from patchlens.backbones.record import Record
from patchlens.errors import DataError, SettingsError, SourceError
from patchlens.settings.models import TimmModel

TAG = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
ARGS = {"embed_dim": 24, "depth": 2, "num_heads": 2}
SETTINGS = {"source": "timm", "tag": TAG, "arch_args": ARGS}
Convert = Callable[..., Path]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Any]], None]:
    """`served(tensors)`: the file behind the tag holds these; how it comes is tested elsewhere."""

    def serve(tensors: dict[str, Any]) -> None:
        path = tmp_path / "model.safetensors"
        save_file(tensors, path)
        file = Obtained(path, "5ha", "the hub", Record("the hub", "c0", "5ha", 7))
        monkeypatch.setattr(pretrained, "obtain", lambda *_, **__: file)

    return serve


SIGLIP = "vit_base_patch16_siglip_gap_224.v2_webli"
SIGLIP_ARGS = ARGS | {"act_layer": "gelu_tanh"}


def with_head(tag: str = TAG) -> Any:
    return timm.create_model(
        tag.partition(".")[0], num_classes=0 if tag == SIGLIP else 1000, **ARGS
    )


@pytest.mark.parametrize(("tag", "classes"), [(TAG, 0), (SIGLIP, None)])
def test_the_trap_is_real(tag: str, classes: int | None, tmp_path: Path) -> None:
    save_file({"nonsense": torch.zeros(1)}, tmp_path / "n.safetensors")
    overlay = {"file": str(tmp_path / "n.safetensors")}
    head = {} if classes is None else {"num_classes": classes}
    model = timm.create_model(tag, pretrained=True, pretrained_cfg_overlay=overlay, **head, **ARGS)
    # No error, and norms as they are before any training: a random model.
    assert torch.equal(model.norm.weight, torch.ones(24))


def spoilt(change: str, tag: str) -> dict[str, Any]:
    tensors = dict(with_head(tag).state_dict())
    if change == "nonsense":
        return {"nonsense": torch.zeros(1)}
    if change == "missing":
        del tensors["blocks.1.attn.qkv.weight"]
    elif change == "unexpected":
        tensors["blocks.2.attn.qkv.weight"] = torch.zeros(1)
    elif change == "misshapen":
        tensors["blocks.1.attn.qkv.weight"] = torch.zeros(1, 1)
    elif change == "headless":
        tensors = {k: v for k, v in tensors.items() if not k.startswith("head.")}
    return tensors


CHANGES = ["nonsense", "missing", "unexpected", "misshapen"]


@pytest.mark.parametrize(("change", "tag"), [*product(CHANGES, (TAG, SIGLIP)), ("headless", TAG)])
def test_a_wrong_file_never_becomes_a_random_model(
    change: str, tag: str, served: Callable[..., None], convert: Convert, tmp_path: Path
) -> None:
    served(spoilt(change, tag))
    settings = {"source": "timm", "tag": tag, "arch_args": SIGLIP_ARGS if tag == SIGLIP else ARGS}
    message = rf"^params\.yaml: models\.m\.tag: {tag}: does not fit VisionTransformer; "
    with pytest.raises(DataError, match=message):
        convert(settings)
    assert not (tmp_path / "m.safetensors").exists()


MODULES = ("beit", "deit", "eva", "vision_transformer", "vision_transformer_relpos",
           "vision_transformer_sam")  # fmt: skip


def tags_of_vits() -> list[tuple[str, str]]:
    """All tags whose architectures may be taken, each with the module of its constructor."""
    of = {tag: timm.models.model_entrypoint(tag.partition(".")[0]).__module__.rpartition(".")[2]
          for tag in timm.list_models(pretrained=True)}  # fmt: skip
    return [(tag, module) for tag, module in of.items() if module in MODULES]


def test_files_are_converted_by_what_the_constructors_of_timm_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[Any] = []

    def note(*_: Any, pretrained_filter_fn: Any, **__: Any) -> None:
        chosen.append(functools.partial(pretrained_filter_fn))  # which a partial stays as it is

    for name in MODULES:
        monkeypatch.setattr(getattr(timm.models, name), "build_model_with_cfg", note)
    tags, kinds = tags_of_vits(), set()
    assert {module for _, module in tags} == set(MODULES)
    for tag, module in tags:
        timm.models.model_entrypoint(tag.partition(".")[0])(pretrained=False)
        ours, theirs = pretrained.conversion(tag), chosen.pop()
        assert (ours.func, ours.keywords) == (theirs.func, theirs.keywords), tag
        kinds.add((module, tuple(ours.keywords.items())))
    assert len(kinds) == len(MODULES) + 3  # flexi, and radio with corners aligned or not


def test_files_in_the_layout_of_jax_are_taken_as_the_hub_has_them_converted() -> None:
    """timm would read .npz by its own loader, which is not strict; no tag leads us to one."""
    custom = [tag for tag, _ in tags_of_vits() if timm.models.get_pretrained_cfg(tag).custom_load]
    assert {TAG, "flexivit_small.1200ep_in1k", "vit_base_patch32_224.sam_in1k"} <= set(custom)
    assert {pretrained.source_of(tag)[0].file for tag in custom} == {"model.safetensors"}


@pytest.mark.parametrize(
    ("tag", "rename"),
    [
        (TAG, {}),
        ("flexivit_small.1200ep_in1k", {}),
        ("vit_base_patch16_radio_v3.c_radio", {}),
        ("vit_base_patch32_clip_224.laion2b", {"": "visual.trunk."}),
        ("vit_small_patch14_dinov2.lvd142m", {}),
        ("deit3_small_patch16_224.fb_in1k", {"ls1.gamma": "gamma_1", "ls2.gamma": "gamma_2"}),
        ("deit_tiny_distilled_patch16_224.fb_in1k", {}),
        ("beit_base_patch16_224.in22k_ft_in22k", {}),
        ("eva02_tiny_patch14_224.mim_in22k", {"mlp.fc2": "mlp.w3"}),
        ("vit_relpos_small_patch16_224.sw_in1k", {}),
    ],
)
def test_a_file_becomes_what_timm_makes_of_it(
    tag: str, rename: dict[str, str], tmp_path: Path
) -> None:
    """From a larger image, so that positions are resampled where the architecture has them."""
    size = 14 if "patch14" in tag else 16
    args = ARGS | {"patch_size": size, "img_size": 4 * size}
    source = timm.create_model(tag, pretrained=False, **args | {"img_size": 6 * size})
    tensors = {}
    for name, tensor in source.state_dict().items():
        for theirs, original in rename.items():
            name = name.replace(theirs, original, 1)
        tensors[name] = torch.rand_like(tensor) if tensor.is_floating_point() else tensor
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    overlay = {"file": str(path)}
    expected = timm.create_model(tag, pretrained=True, pretrained_cfg_overlay=overlay, **args)
    settings = TimmModel(source="timm", tag=tag, arch_args=args)
    model, found = pretrained._translated("here", settings, path)
    load_strictly(model, found, tag)
    assert found.keys() == expected.state_dict().keys()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_the_pool_of_siglip_is_known_surplus(served: Callable[..., None], convert: Convert) -> None:
    reference = with_head(SIGLIP)
    served(dict(reference.state_dict()) | {"attn_pool.latent": torch.zeros(1, 1, 24)})
    path = convert({"source": "timm", "tag": SIGLIP, "arch_args": SIGLIP_ARGS})
    assert torch.equal(
        load_file(path)["blocks.1.attn.qkv.weight"], reference.blocks[1].attn.qkv.weight
    )


@pytest.mark.parametrize(
    ("tag", "instead"),
    [
        ("vit_base_patch16_clip_224.openai", "vit_base_patch16_clip_quickgelu_224.openai, or use"),
        ("vit_base_patch16_siglip_224.v2_webli", "arch_args: {act_layer: gelu_tanh}"),
    ],
)
def test_a_tag_that_timm_computes_with_another_activation_is_refused(
    tag: str, instead: str, convert: Convert
) -> None:
    with pytest.raises(SettingsError, match=re.escape(instead)) as caught:
        convert({"source": "timm", "tag": tag, "arch_args": ARGS})
    assert str(caught.value).startswith(f"params.yaml: models.m.tag: '{tag}'")
    assert "of the registry" in str(caught.value)


def test_a_right_file_gives_the_features_of_a_model_loaded_by_hand(
    served: Callable[..., None], convert: Convert
) -> None:
    reference = with_head().eval()
    served(reference.state_dict())
    path = convert(SETTINGS)
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        # augreg tags want mean and std 0.5, which the tag brings along
        expected = reference.forward_features((images / 255 - 0.5) / 0.5)
    found = load(path)(images, layers=[-1], norm=True)[0]
    torch.testing.assert_close(found.patches.flatten(1, 2), expected[:, 1:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.cls, expected[:, 0], rtol=1e-4, atol=1e-5)
    about = provenance(path)
    assert (about["source"], about["arch"]) == ("timm", TAG)
    assert about["origin"] == f"timm {TAG}: the hub, sha256 5ha"
    assert about["mean"] == about["std"] == "[0.5, 0.5, 0.5]"


def test_an_unknown_tag_names_the_nearest(convert: Convert) -> None:
    with pytest.raises(SettingsError) as caught:
        convert({"source": "timm", "tag": "vit_tiny_patch16_224.augreg_in21"})
    message = str(caught.value)
    assert message.startswith(
        "params.yaml: models.m.tag: timm has no pretrained 'vit_tiny_patch16_224.augreg_in21'; "
    )
    assert message.endswith("; did you mean 'vit_tiny_patch16_224.augreg_in21k'?")


def test_a_bare_name_is_no_pinned_checkpoint(convert: Convert) -> None:
    with pytest.raises(SettingsError) as caught:
        convert({"source": "timm", "tag": "vit_tiny_patch16_224"})
    assert str(caught.value) == (
        "params.yaml: models.m.tag: 'vit_tiny_patch16_224' does not name weights; append .<tag>"
    )


def test_a_tag_of_another_kind_of_model(convert: Convert) -> None:
    with pytest.raises(SettingsError) as caught:
        convert({"source": "timm", "tag": "vit_tiny_r_s16_p8_224.augreg_in21k"})
    assert str(caught.value) == (
        "params.yaml: models.m.tag: 'vit_tiny_r_s16_p8_224.augreg_in21k' is neither a ViT with a "
        "single patch grid nor a model of stages with feature maps; choose another one"
    )


def test_wrong_arguments_are_seen_before_any_download(
    convert: Convert, served: Callable[..., None]
) -> None:
    served(with_head().state_dict())
    message = r"^params\.yaml: models\.m\.arch_args: .* does not accept them \("
    with pytest.raises(SettingsError, match=message):
        convert(SETTINGS | {"arch_args": {"use_rel_pos": True}})


@pytest.mark.parametrize(
    ("tag", "source", "licence", "commercial"),
    [
        (
            "vit_base_patch16_224.mae",
            {"repo": "timm/vit_base_patch16_224.mae", "file": "model.safetensors"},
            "cc-by-nc-4.0",
            False,
        ),
        (
            "vit_huge_patch14_gap_224.in1k_ijepa",
            {"url": "https://dl.fbaipublicfiles.com/ijepa/IN1K-vit.h.14-300e.pth.tar"},
            "cc-by-nc-4.0",
            False,
        ),
        (
            "vit_base_patch16_dinov3_qkvb.eupe_lvd1689m",
            {"repo": "timm/vit_base_patch16_dinov3_qkvb.eupe_lvd1689m"},
            "fair-noncommercial-research-license",
            False,
        ),
        (
            "vit_large_patch14_clip_224.apple_mclip2_dfndr2b",
            {"repo": "timm/vit_large_patch14_clip_224.apple_mclip2_dfndr2b"},
            "apple-amlr",
            False,
        ),
        (TAG, {"repo": f"timm/{TAG}", "revision": None}, "apache-2.0", True),
    ],
)
def test_a_tag_says_where_its_file_is_and_whether_commerce_may_use_it(
    tag: str,
    source: dict[str, Any],
    licence: str,
    commercial: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def stop(*args: Any, **_: Any) -> None:
        asked.extend(args)
        raise SourceError("enough")

    monkeypatch.setattr(pretrained, "obtain", stop)
    monkeypatch.setattr(pretrained, "create", lambda *_: None)
    monkeypatch.setattr(pretrained, "check_activation", lambda *_: None)
    settings = TimmModel(source="timm", tag=tag)
    with pytest.raises(SourceError, match="enough"):
        pretrained.pretrained("m", settings, work=Path("w"), record=None)
    name, found, stated, non_commercial = asked
    assert (name, stated, non_commercial) == ("m", licence, not commercial)
    assert found.model_dump().items() >= source.items()


@pytest.mark.slow  # a new process, as the variable of the hub must be there from the start
def test_an_unreachable_hub_is_exit_code_3_and_leaves_nothing(tmp_path: Path) -> None:
    content = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    content["models"]["dino"] = {"source": "timm", "tag": "vit_small_patch16_224.dino"}
    work = tmp_path / "work"
    work.mkdir()
    (work / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    environment = dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    environment |= {"HF_HUB_CACHE": str(tmp_path / "hub" / "hub"), "TORCH_HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from patchlens.cli import app; app()", "weights", "dino"]
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: https://huggingface.co/timm/vit_small_patch16_224.dino/resolve/")
    assert "HF_HUB_OFFLINE is set, and this file is not in the hub's cache on this" in last
    assert done.stdout == ""
    assert [p for p in work.rglob("*") if p.is_file()] == [work / "params.yaml"]
