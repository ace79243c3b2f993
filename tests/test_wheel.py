"""The wheel works without the repository: its command, its data files and an example."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from photographs import photographs

COPIED = ("src", "weights", "dvc.yaml", "pyproject.toml", "README.md", "LICENSE")


@pytest.mark.slow
def test_the_wheel_works_without_the_repository(root: Path, tmp_path: Path) -> None:
    def done(*command: object, **more: str) -> str:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | more
        words = [str(word) for word in command]
        ran = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    pip = [sys.executable, "-m", "pip", "--quiet"]
    wheels = tmp_path / "wheels"
    copy = tmp_path / "copy"  # setuptools builds beside the sources
    copy.mkdir()
    done("cp", "-r", *(root / n for n in COPIED), copy)
    done(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, copy)
    [wheel] = wheels.glob("patchlens-*.whl")
    done(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    done(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    # The packages of this environment, without the editable patchlens that its own .pth adds.
    place = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(done(python, "-c", place).strip())
    (packages / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = done(python, "-c", "import patchlens; print(patchlens.__file__)")
    assert Path(where.strip()).is_relative_to(packages)
    assert "segmentation" in done(tmp_path / "venv/bin/patchlens", "--help")
    assert "dinov2_vits14" in done(tmp_path / "venv/bin/patchlens", "models")
    shown = done(tmp_path / "venv/bin/patchlens", "demo", "--degrade", HF_HUB_OFFLINE="1")
    assert all(f"| {name} " in shown for name in ("supervised", "mae", "pixels"))
    assert (tmp_path / "patchlens-demo.html").stat().st_size > 50_000
    for example in ("own_module", "explore_image"):
        assert done(python, root / f"examples/{example}.py", HF_HUB_OFFLINE="1")
    photographs(tmp_path)
    trying = ["try", "photos", "--masks", "masks", "--models", "pixels", "--yes", "--out", "out"]
    assert "Use pixels: layer 0" in done(tmp_path / "venv/bin/patchlens", *trying)
    assert (tmp_path / "out/reports/site/index.html").is_file()
    graph = packages / "patchlens/own/graph.yaml"  # a link in the repository
    assert graph.read_bytes() == (root / "dvc.yaml").read_bytes()
    assert not graph.is_symlink()
    assert (packages / "patchlens/__init__.pyi").is_file()
    assert (packages / "patchlens/py.typed").is_file()
