"""Where a system lacks what Linux has, such as macOS: another way, or one clear line."""

import ast
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import environment
from patchlens import processes
from patchlens.backbones.contract import Backbone
from patchlens.backbones.load import backbone
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.errors import SettingsError
from patchlens.features import device
from patchlens.pipeline import apart, workers

LINUX = {"pidfd_open", "memfd_create", "posix_fallocate", "posix_fadvise", "eventfd", "splice"}
LINUX |= {"sched_getaffinity", "sched_setaffinity", "copy_file_range", "prctl", "epoll", "O_DIRECT"}
ANOTHER_WAY = {"features/device.py: /proc/cpuinfo"}  # which it reads if it is there


def only_on_linux(path: Path) -> list[str]:
    """Calls and files that a module takes for granted, and that Linux alone has."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in LINUX:
            found.append(node.attr)
        elif isinstance(node, ast.Constant) and str(node.value).startswith(("/proc/", "/dev/shm")):
            found.append(str(node.value))
    return found


def test_nothing_that_linux_alone_has_is_taken_for_granted(root: Path) -> None:
    package = root / "src/patchlens"
    found = {
        f"{path.relative_to(package)}: {name}"
        for path in package.rglob("*.py")
        for name in only_on_linux(path)
    }
    assert found == ANOTHER_WAY


def test_the_cores_are_those_of_the_affinity_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5})
    assert processes.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processes.cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes.cores() == 1


def ends_with(of_parent: str) -> None:
    """What a parent starts says that it is ready, and ends when the parent is killed."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", of_parent], stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.read() == b""  # the end of the last process that holds it


def test_a_process_ends_with_its_parent_without_the_kernel() -> None:
    """And so does a program that it started: it leads a group."""
    of_child = (
        "import os, subprocess, sys; from patchlens import processes; processes._PRCTL = None; "
        "processes.GLANCE = 0.01; os.setpgid(0, 0); processes.end_with_parent(15); "
        "sys.exit(subprocess.call(['sh', '-c', 'echo ready; exec sleep 60']))"
    )
    of_parent = (
        "import subprocess, sys; "
        f"subprocess.Popen([sys.executable, '-c', {of_child!r}]); sys.stdin.read()"
    )
    ends_with(of_parent)


@pytest.mark.parametrize(("system", "forks"), [("linux", True), ("darwin", False)])
def test_a_stage_is_forked_on_linux_alone(
    monkeypatch: pytest.MonkeyPatch, system: str, forks: bool
) -> None:
    monkeypatch.setattr(multiprocessing.context.BaseContext, "set_forkserver_preload", print)
    monkeypatch.setattr(sys, "platform", system)
    assert (workers.Local(1)._warm is not None) == forks


# Both ways of `apart`: the kernel of Linux ends a process with its parent, elsewhere it watches.
WITHOUT = "import ctypes, sys; sys.path.insert(0, {folder!r}); import apart; "
WITHOUT += "apart.ctypes.CDLL = lambda _: None; apart.main(int(sys.argv[1]), sys.argv[2:])"
FOLDER = str(Path(apart.__file__).parent)
WAYS = [[apart.__file__], ["-B", "-c", WITHOUT.format(folder=FOLDER)]]


@pytest.mark.parametrize("way", WAYS, ids=["kernel", "watched"])
@pytest.mark.parametrize(
    ("line", "code"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -PIPE $$", -13), ("true", 0)]
)
def test_a_program_apart_has_its_own_exit_code(way: list[str], line: str, code: int) -> None:
    command = [sys.executable, "-I", "-S", *way, str(os.getpid()), "/bin/sh", "-c", line]
    assert subprocess.run(command, check=False, process_group=0).returncode == code


@pytest.mark.parametrize("way", WAYS, ids=["kernel", "watched"])
def test_a_program_apart_ends_with_who_called(way: list[str]) -> None:
    program = ["/bin/sh", "-c", "echo ready; exec sleep 60"]
    of_parent = (
        "import os, subprocess, sys; "
        f"command = [sys.executable, '-I', '-S', *{way!r}, str(os.getpid()), *{program!r}]; "
        "subprocess.Popen(command, process_group=0); sys.stdin.read()"
    )
    ends_with(of_parent)


@pytest.mark.parametrize("way", WAYS, ids=["kernel", "watched"])
def test_a_program_apart_does_not_start_without_who_called(way: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", *way, "1", "/bin/sh", "-c", f"touch {tmp_path}/ran"]
    done = subprocess.run(command, check=False, process_group=0)
    assert done.returncode == -signal.SIGTERM
    assert not (tmp_path / "ran").exists()


def test_an_apple_gpu_is_for_the_backbone_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.resolve("mps") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.of_backbone("mps") == "mps"
    assert device.describe("mps").endswith(", its GPU")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SettingsError) as refused:
        device.of_backbone("mps")
    assert str(refused.value) == (
        "params.yaml: device: mps is requested, but torch finds no Apple GPU; use auto"
    )


def tiny() -> Backbone:
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, patch_size=8, embed_dim=24, depth=1, num_heads=3
    )
    half = [0.5] * 3
    return backbone(model, mean=half, std=half, interpolation="bilinear", position="timm")


class NoFloat64(TorchDispatchMode):
    """Refuses what an Apple GPU refuses, on torch's device `meta` in its place."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        parts = out if isinstance(out, (list, tuple)) else [out]
        for one in parts:
            if isinstance(one, torch.Tensor) and one.device.type == "meta":
                assert one.dtype != torch.float64, func
        return out


@pytest.mark.parametrize(
    "made", [tiny, lambda: PixelsBackbone(8), lambda: PixelsBackbone(8, colour=False)]
)
def test_a_forward_pass_is_without_float64_on_the_device(made: Callable[[], Backbone]) -> None:
    images = torch.zeros(2, 3, 32, 48, dtype=torch.uint8, device="meta")
    with NoFloat64():
        [tokens] = made().to(torch.device("meta"))(images, layers=[-1], norm=True)
    assert tokens.patches.shape[:3] == (2, 4, 6)
    assert tokens.patches.dtype == torch.float32


@pytest.mark.parametrize(
    ("system", "driver", "index", "says"),
    [
        ("Linux", True, "", "the CUDA build"),
        ("Linux", False, environment.CPU, "the CPU build"),
        ("Darwin", False, "", "the build for macOS"),
    ],
)
def test_make_chooses_the_build_of_torch_that_fits(
    system: str, driver: bool, index: str, says: str
) -> None:
    found, why = environment.fitting(system, driver)
    assert (found, why[: len(says)]) == (index, says)


def test_a_build_without_cuda_brings_no_library_of_it(root: Path) -> None:
    lock = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    [(pair, index), (rest, default)] = environment.parts(lock, environment.CPU)
    assert (index, default) == (environment.CPU, "")
    assert [re.sub(r"==[0-9.]+", "", line) for line in pair] == ["torch+cpu", "torchvision+cpu"]
    left = set(lock) - set(rest)
    assert len(left) > 15
    assert all("sys_platform == 'linux'" in line or "torch" in line for line in left)
    assert not [line for line in rest if line.startswith(("nvidia-cu", "triton", "torch=="))]
    assert environment.parts(lock, "") == [(lock, "")]
    assert environment.parts(lock, "https://other")[0][0] == [p.removesuffix("+cpu") for p in pair]


@pytest.mark.parametrize(
    ("asked", "reached", "says", "first"),
    [
        ("", True, "the CPU build: this machine has no NVIDIA driver", "torch=="),
        ("", False, f"the CUDA build, 5.5 GB: .* {environment.CPU} cannot be reached", "aio"),
        ("https://other", False, "from https://other", "torch=="),
    ],
)
def test_make_says_which_build_of_torch_it_takes(
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: str,
    reached: bool,
    says: str,
    first: str,
) -> None:
    asks: list[tuple[object, ...]] = []

    def uv(*command: object, quiet: bool = False, **env: str) -> int:
        if not quiet:
            asks.append((*command, (tmp_path / "wanted.txt").read_text(encoding="utf-8")))
        return 0 if reached or not quiet else 2

    monkeypatch.chdir(root)
    monkeypatch.setattr(environment, "_code", uv)
    monkeypatch.setattr(environment, "_run", lambda *command: None)
    monkeypatch.setattr(environment.subprocess, "run", lambda *a, **k: SimpleNamespace(stdout=b""))
    monkeypatch.setattr(environment, "DRIVER", tmp_path / "none")
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    monkeypatch.setattr(environment.platform, "system", lambda: "Linux")
    environment.main(tmp_path, asked)
    assert re.fullmatch(f"torch: {says}\n", capsys.readouterr().out)
    assert str(asks[0][-1]).startswith(first)
    index = asked or (environment.CPU if reached else "")
    assert ("--default-index" in asks[0]) == bool(index)
    assert not index or index in asks[0]
