"""Make the environment of requirements.lock in a folder, with the build of torch that fits.

`python scripts/environment.py .venv [INDEX]`, as `make env` does; it needs nothing but Python.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path("requirements.lock")
CPU = "https://download.pytorch.org/whl/cpu"
TORCH = re.compile(r"(torch|torchvision)==")
CUDA = re.compile(r"(nvidia-(?!ml-py)|cuda-|triton)")  # what torch needs for a GPU
DRIVER = Path("/proc/driver/nvidia/version")


def fitting(system: str, driver: bool) -> tuple[str, str]:
    """The index that torch comes from, empty for that of all packages; and why, in words."""
    if system != "Linux":
        return "", f"the build for {'macOS' if system == 'Darwin' else system}"
    if driver:
        return "", "the CUDA build: this machine has an NVIDIA driver"
    return CPU, "the CPU build: this machine has no NVIDIA driver"


def parts(lock: list[str], index: str) -> list[tuple[list[str], str]]:
    """What is installed, in this order, and from which index."""
    if not index:
        return [(lock, "")]
    # Of another index, which has the CPU build or brings the CUDA libraries that torch names.
    build = "+cpu" if index == CPU else ""
    pair = [line.partition(" ")[0] + build for line in lock if TORCH.match(line)]
    rest = [line for line in lock if not TORCH.match(line) and not CUDA.match(line)]
    return [(pair, index), (rest, "")]


def main(folder: Path, asked: str) -> None:
    """Make it, and say which build of torch was chosen; with one line more where that fails."""
    python, lock = folder / "bin/python", LOCK.read_text(encoding="utf-8").splitlines()
    if not os.access(python, os.X_OK):
        _run(sys.executable, "-m", "venv", folder)
    pip = [python, "-m", "pip"]
    _run(*pip, "install", "--quiet", *(line for line in lock if line.startswith("uv==")))
    found = subprocess.run([*pip, "config", "get", "global.index-url"], capture_output=True)
    default = os.environ.get("PIP_INDEX_URL") or found.stdout.decode().strip()
    uv = [folder / "bin/uv", "pip", "install", "--quiet", "--python", python]
    if "PYTHONDONTWRITEBYTECODE" in os.environ:
        uv.append("--compile-bytecode")
    driver = DRIVER.exists() or shutil.which("nvidia-smi") is not None
    index, why = (asked, f"from {asked}") if asked else fitting(platform.system(), driver)
    if index and not asked:
        once = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"}
        pair = parts(lock, index)[0][0]
        if _code(*uv, "--dry-run", "--no-deps", *_from(index), *pair, quiet=True, **once):
            why = f"the CUDA build, 5.5 GB: the CPU build would do, but {index} cannot be reached"
            index = ""
    print(f"torch: {why}", flush=True)
    for lines, source in parts(lock, index):
        file = folder / "wanted.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if _code(*uv, *_from(source or default), "-r", file):
            print("uv cannot install the environment (see above): pip does it, in minutes")
            more = ["--index-url", source] if source else []
            _run(*pip, "install", "--quiet", *more, "-r", file)
    _run(*pip, "install", "--quiet", "--no-deps", "--editable", ".")


def _from(index: str) -> list[str]:
    return ["--default-index", index] if index else []


def _code(*command: str | Path, quiet: bool = False, **env: str) -> int:
    """The exit code of uv, which trusts the certificates of the system, as pip does."""
    whole = os.environ | {"UV_SYSTEM_CERTS": "1"} | env
    return subprocess.run(command, env=whole, capture_output=quiet).returncode


def _run(*command: str | Path) -> None:
    code = subprocess.run(command).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
