"""Which device computes, and how exactly."""

import torch

from patchlens.errors import SettingsError
from patchlens.settings.features import Device


def resolve(device: Device) -> torch.device:
    """`auto` is a GPU where there is one. TF32 is off: it costs more digits than it is worth here.

    Raises:
        SettingsError: `cuda` is asked for and there is none.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("params.yaml: device: cuda is asked for, no GPU is visible; use auto")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def describe(device: torch.device) -> str:
    """The device in words, for the cost columns."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
