"""The compute device and its precision."""

import platform
from pathlib import Path

import torch

from patchlens.errors import SettingsError
from patchlens.settings.features import Device


def resolve(device: Device) -> torch.device:
    """The device; `auto` is a GPU if there is one. TF32 is disabled, since it loses precision.

    Raises:
        SettingsError: `cuda` is requested, but there is no GPU.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "params.yaml: device: cuda is requested, but no GPU is available; use auto"
        )
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {torch.get_num_threads()} threads"


def machine(device: torch.device) -> dict[str, str | int]:
    """What numbers depend on in their last bits: the device, the CPU type and the threads."""
    return {
        "cpu": cpu_name(),
        "device": describe(device),
        "threads": torch.get_num_threads(),
    }


def cpu_name() -> str:
    """The processor in words, as the operating system names it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
