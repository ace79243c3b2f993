import subprocess
import sys
import time
from pathlib import Path

from features import lab
from memory import printed
from patchlens.features import extract

ROOT = Path(lab.__file__).parents[1]


def command(folder: Path, count: int, *options: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    return [str(folder), str(count), *options]


def read(folder: Path) -> list[str]:
    return (folder / "read").read_text().split("\n")[:-1]


def test_a_killed_extraction_goes_on_where_it_was(tmp_path, monkeypatch):
    folder, out = tmp_path / "killed", tmp_path / "killed/out.safetensors"
    # Nine images in shards of two; the run stalls in the third shard and is killed there.
    line = [sys.executable, "-m", "features.lab", *command(folder, 9, "--stall", "image 005")]
    stalled = subprocess.Popen(line, cwd=ROOT)
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
    monkeypatch.setattr(extract, "SHARD", extract.SHARD)  # which `lab` changes
    lab.main(command(folder, 9))
    # Only the first image (for the tiles) and the unfinished shards are read again.
    again = ["image 000", *(f"image {i:03d}" for i in range(4, 9))]
    assert sorted(read(folder)) == again  # on several cores, in any order
    lab.main(command(tmp_path / "calm", 9))
    assert out.read_bytes() == (tmp_path / "calm/out.safetensors").read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["out.safetensors", "read", "work"]


BOTH = """
import sys
from features import lab
for count in ("16", "32"):  # an image is 1.8 MiB decoded: to hold 16 more takes 28 MiB
    lab.main([sys.argv[1] + count, count, "--side", "20", "--shard", "256"])
"""


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, monkeypatch):
    for count in (16, 32):
        command(tmp_path / f"of{count}", count)
    # glibc keeps freed pieces below a threshold that grows: 100 MiB of chance. Fixed, it is 5.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    few, many = map(int, printed(BOTH, str(tmp_path / "of")).split())
    assert many - few < 16 * 1024  # KiB
