"""A killed or failing write leaves the old file whole and nothing beside it."""

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from patchlens.files import (
    whole_file,
    whole_folder,
    write_csv,
    write_json,
    write_parquet,
    write_text,
)


def listed(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        assert partial.parent == path.parent  # a rename within one file system
    assert path.read_text() == "half"
    assert listed(tmp_path) == ["new", "new/a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failing_write_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert listed(tmp_path) == ["a.txt"]


def test_a_killed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    script = (
        "import os, signal, sys; from pathlib import Path; from patchlens.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.mkdir()
    (path / "old").write_text("old")
    with whole_folder(path) as partial:
        (partial / "new").write_text("new")
        assert listed(path) == ["old"]
    assert listed(tmp_path) == ["d", "d/new"]


def test_a_failing_folder_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.mkdir()
    (path / "old").write_text("old")

    def fail() -> None:
        with whole_folder(path) as partial:
            (partial / "new").write_text("new")
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert listed(tmp_path) == ["d", "d/old"]


def test_a_failing_swap_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d"
    path.mkdir()
    (path / "old").write_text("old")
    rename = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name == ".d.partial":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no"), whole_folder(path) as partial:
        (partial / "new").write_text("new")
    assert listed(tmp_path) == ["d", "d/old"]


def test_a_kill_at_the_swap_leaves_no_half(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.mkdir()
    for name in ("1", "2"):
        (path / name).write_text("old")
    # It dies in the middle of whatever it removes first.
    script = (
        "import os, shutil, signal, sys; from pathlib import Path; from patchlens import files\n"
        "def die(folder, **_):\n"
        "    if Path(folder).exists():\n"
        "        (Path(folder) / '1').unlink(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "with files.whole_folder(Path(sys.argv[1])) as partial:\n"
        "    (partial / '1').write_text('new'); (partial / '2').write_text('new')\n"
        "    shutil.rmtree = die\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p.read_text() for p in sorted(path.iterdir())] == ["new", "new"]
    with whole_folder(path) as partial:
        (partial / "3").write_text("new")
    assert listed(tmp_path) == ["d", "d/3"]


@pytest.mark.parametrize("left", [".d.partial", ".d.old.partial"])
def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path, left: str) -> None:
    (tmp_path / left).mkdir()
    (tmp_path / left / "half").write_text("half")
    with whole_folder(tmp_path / "d") as partial:
        (partial / "new").write_text("new")
    assert listed(tmp_path) == ["d", "d/new"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_holds_finite_numbers_only(tmp_path: Path, value: float) -> None:
    path = tmp_path / "m.json"
    write_json({"b": 1.5, "a": "é"}, path)
    before = path.read_bytes()
    assert before == '{\n "a": "é",\n "b": 1.5\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"knn": {"miou": value}}, path)
    assert path.read_bytes() == before
    assert listed(tmp_path) == ["m.json"]


def test_tables_and_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"k": [1, 3], "miou": [0.25, None]}, index=[7, 8])
    write_csv(table, tmp_path / "t.csv")
    write_parquet(table, tmp_path / "t.parquet")
    write_text("# ±\n", tmp_path / "t.md")
    assert (tmp_path / "t.csv").read_bytes() == b"k,miou\n1,0.25\n3,\n"
    assert pd.read_parquet(tmp_path / "t.parquet").equals(table.reset_index(drop=True))
    assert (tmp_path / "t.md").read_text(encoding="utf-8") == "# ±\n"
    assert listed(tmp_path) == ["t.csv", "t.md", "t.parquet"]
