import os
import subprocess
import sys
import time
from pathlib import Path

from features import lab

ROOT = Path(lab.__file__).parents[1]


def command(folder: Path, count: int, *options: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    return [sys.executable, "-m", "features.lab", str(folder), str(count), *options]


def finish(folder: Path, count: int, *options: str) -> str:
    # glibc keeps freed pieces below a threshold that grows: 100 MiB of chance. Fixed, it is 5.
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    line = command(folder, count, *options)
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def read(folder: Path) -> list[str]:
    return (folder / "read").read_text().split("\n")[:-1]


def test_a_killed_extraction_goes_on_where_it_was(tmp_path):
    folder, out = tmp_path / "killed", tmp_path / "killed/out.safetensors"
    # Nine images in shards of two; the run stalls in the third shard and is killed there.
    stalled = subprocess.Popen(command(folder, 9, "--stall", "image 005"), cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (folder / "read").exists() or "image 005" not in read(folder):
        assert stalled.poll() is None
        assert time.monotonic() < deadline
        assert not out.exists()
        time.sleep(0.02)
    stalled.kill()
    stalled.wait()
    assert not out.exists()
    finished = sorted(p.name for p in (folder / "work").glob("*/[0-9]*"))
    assert finished == ["00000", "00001"]
    before = {p: p.stat().st_mtime_ns for p in (folder / "work").glob("*/[0-9]*/*")}
    assert len(before) == 4  # of each shard its one layer, and the hash of that

    (folder / "read").unlink()
    finish(folder, 9)
    # Only the first image (for the tiles) and the unfinished shards are read again.
    assert read(folder) == ["image 000", *[f"image {i:03d}" for i in range(4, 9)]]
    finish(tmp_path / "calm", 9)
    assert out.read_bytes() == (tmp_path / "calm/out.safetensors").read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["out.safetensors", "read", "work"]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    # An image is 1.8 MiB decoded: to hold 32 more takes 56 MiB.
    options = ("--side", "20", "--shard", "256")
    few = int(finish(tmp_path / "few", 32, *options))
    many = int(finish(tmp_path / "many", 64, *options))
    assert many - few < 32 * 1024  # KiB
