"""Weights of an untrained ViT, bit-identical on every machine.

torch's own normal draws go through vectorised log and cos, whose last bits depend on the CPU. Here
a draw is a sum of twelve 16-bit integers of PCG64's raw stream (Irwin–Hall: mean 0, variance 1
after scaling), so only integers and one exact scaling decide.
"""

import hashlib
from math import prod, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

STD = 0.02  # timm's ViT init for linear weights and position embeddings


def draw_weights(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """A state dict for `model`: timm's constants are kept, everything else is drawn.

    Norms, biases of linear layers and layer scales are constants after timm's init. Linear weights,
    position embeddings and tokens get std 0.02; convolution weights std 1/√(3·fan-in), the std of
    torch's default; convolution biases 0. Buffers keep their values.
    """
    state = dict(model.state_dict())
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            is_constant = bool((parameter == parameter.flatten()[0]).all())
            state[name] = parameter.detach() if is_constant else torch.zeros_like(parameter)
            continue
        if bool((parameter == parameter.flatten()[0]).all()):
            continue
        shape = tuple(parameter.shape)
        std = 1 / sqrt(3 * prod(shape[1:])) if len(shape) == 4 and shape[0] > 1 else STD
        drawn = standard_draws(prod(shape), f"{seed}|{name}") * std
        state[name] = torch.from_numpy(drawn.astype(np.float32)).reshape(shape)
    return state


def standard_draws(count: int, key: str) -> NDArray[np.float64]:
    """`count` draws of mean 0 and variance 1 from the stream that `key` names."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    raw = np.random.PCG64(seed).random_raw(3 * count)
    parts = raw.astype("<u8").view("<u2").reshape(count, 12).astype(np.int64)
    total: NDArray[np.int64] = parts.sum(axis=1)
    return (total - 6 * 65535) / 65536.0
