"""Untrained weights are the same bits on every machine."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch

from patchlens.backbones.checkpoint import tensor_hash
from patchlens.backbones.untrained import draw_weights, standard_draws

ARGS = {"embed_dim": 48, "depth": 2, "num_heads": 3, "patch_size": 4, "img_size": 16}
ARCH = "vit_small_patch14_reg4_dinov2"
# Equal on every machine; it changes only if a published number changes with it.
GOLDEN = "320651fa1029ca0ec0ff463ecc347fe6dbf629f842a4bc5d65620218cfc224d0"
SCRIPT = f"""
import timm
from patchlens.backbones.checkpoint import tensor_hash
from patchlens.backbones.untrained import draw_weights
model = timm.create_model({ARCH!r}, num_classes=0, **{ARGS!r})
print(tensor_hash(draw_weights(model, 0)))
"""


def model(arch: str = ARCH) -> Any:
    return timm.create_model(arch, num_classes=0, **ARGS)


def test_the_hash_is_the_committed_one() -> None:
    assert tensor_hash(draw_weights(model(), 0)) == GOLDEN


@pytest.mark.slow  # a new process imports timm
def test_another_processor_draws_the_same_bits() -> None:
    from numpy._core import _multiarray_umath as core

    dispatched = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    environment = dict(
        os.environ,
        ATEN_CPU_CAPABILITY="default",
        ONEDNN_MAX_CPU_ISA="SSE41",
        NPY_DISABLE_CPU_FEATURES=" ".join(dispatched),
    )
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == GOLDEN


def test_timms_own_init_does_not_matter() -> None:
    hashes = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        hashes.add(tensor_hash(draw_weights(model(), 5)))
    assert len(hashes) == 1


def test_seeds_differ_in_every_drawn_tensor() -> None:
    first, second = (draw_weights(model(), seed) for seed in (0, 1))
    drawn = [name for name, value in first.items() if len(value.unique()) > 1]
    assert "pos_embed" in drawn
    assert "blocks.1.attn.qkv.weight" in drawn
    assert not any(torch.equal(first[name], second[name]) for name in drawn)


def test_tensors_of_one_shape_differ() -> None:
    weights = draw_weights(model(), 0)
    first, second = (weights[f"blocks.{i}.mlp.fc1.weight"] for i in (0, 1))
    assert not torch.equal(first, second)


def test_constants_stay_and_the_rest_has_its_spread() -> None:
    untouched = model()
    weights = draw_weights(untouched, 0)
    assert weights.keys() == untouched.state_dict().keys()
    constants = {
        "norm.weight": 1.0,
        "norm.bias": 0.0,
        "blocks.0.norm1.weight": 1.0,
        "blocks.0.attn.qkv.bias": 0.0,
        "blocks.0.mlp.fc2.bias": 0.0,
        "blocks.1.ls1.gamma": 1e-5,
        "patch_embed.proj.bias": 0.0,
    }
    for name, value in constants.items():
        assert torch.equal(weights[name], torch.full_like(weights[name], value)), name
    spreads = {
        "blocks.0.attn.qkv.weight": 0.02,
        "blocks.1.mlp.fc1.weight": 0.02,
        "pos_embed": 0.02,
        "reg_token": 0.02,
        "patch_embed.proj.weight": 1 / (3 * 3 * 4 * 4) ** 0.5,
    }
    for name, std in spreads.items():
        values = weights[name]
        # 4 standard errors of a standard deviation of n normal draws
        assert values.std().item() == pytest.approx(std, rel=4 / (2 * values.numel()) ** 0.5), name
        assert values.dtype == torch.float32


def test_draws_are_twelve_integers_of_the_raw_stream() -> None:
    draws = standard_draws(50_000, "0|x")
    assert np.array_equal(draws[:10], standard_draws(10, "0|x"))
    assert np.array_equal(draws * 65536, np.round(draws * 65536))
    assert abs(draws.mean()) < 4 / 50_000**0.5
    assert draws.std() == pytest.approx(1, abs=4 / 100_000**0.5)
    assert abs(draws).max() < 6


def test_the_global_random_state_is_left_alone(convert: Callable[..., Any]) -> None:
    torch.manual_seed(3)
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    convert({"source": "untrained", "arch": ARCH, "arch_args": ARGS, "seed": 0})
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
