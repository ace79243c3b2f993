"""The compute device and its precision.

torch takes seconds to import, so that it is asked only where a driver of a GPU is installed.
"""

import ctypes
import platform
from pathlib import Path
from typing import Literal, TypeAlias

from patchlens.errors import SettingsError
from patchlens.settings.features import Device

Where: TypeAlias = Literal["cpu", "cuda", "mps"]  # as torch names them
DRIVERS = ("libcuda.so.1", "libamdhip64.so", "nvcuda.dll")  # what torch's builds for GPUs load


def resolve(device: Device) -> Where:
    """Where tasks compute; `auto` is a CUDA GPU if there is one. TF32, less precise, is disabled.

    With `mps` they compute on the CPU, since an Apple GPU has no float64.

    Raises:
        SettingsError: `cuda` is requested, but there is no GPU.
    """
    if device in ("cpu", "mps") or not _gpu():
        if device == "cuda":
            raise SettingsError(
                "params.yaml: device: cuda is requested, but no GPU is available; use auto"
            )
        return "cpu"
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def of_backbone(device: Device) -> Where:
    """Where a backbone computes: as `resolve`, or for `mps` on the Apple GPU.

    Raises:
        SettingsError: the GPU that is requested is not available.
    """
    if device != "mps":
        return resolve(device)
    import torch

    if not torch.backends.mps.is_available():
        raise SettingsError(
            "params.yaml: device: mps is requested, but torch finds no Apple GPU; use auto"
        )
    return "mps"


def _gpu() -> bool:
    if not any(map(_loads, DRIVERS)):
        return False
    import torch

    return torch.cuda.is_available()


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def describe(device: Where) -> str:
    """The device in words; for a stage that has imported torch."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name(device)
    beside = "its GPU" if device == "mps" else f"{torch.get_num_threads()} threads"
    return f"{cpu_name()}, {beside}"


def machine(device: Where) -> dict[str, str | int]:
    """What numbers depend on in their last bits: the device, the CPU type and the threads."""
    import torch

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
