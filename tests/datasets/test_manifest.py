"""The manifest of a placed dataset: changes are seen, unchanged files are not read again."""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from patchlens.datasets import manifest as stage
from patchlens.datasets.manifest import manifest
from patchlens.errors import SourceError
from patchlens.files import file_hash

WRITTEN = Path("data/raw/own/manifest.json")


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two placed files."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "own"
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.png").write_bytes(b"a")
    (root / "b.txt").write_bytes(b"bb")
    return root


def test_manifest_lists_size_and_md5_without_time(placed: Path) -> None:
    stage.run("own", placed)
    assert json.loads(WRITTEN.read_text(encoding="utf-8")) == {
        "b.txt": {"size": 2, "md5": hashlib.md5(b"bb").hexdigest()},
        "images/a.png": {"size": 1, "md5": hashlib.md5(b"a").hexdigest()},
    }


def test_datasets_of_one_root_are_listed_at_once(
    placed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def slowly(path: Path, kind: str) -> str:
        read.append(path.name)
        time.sleep(0.05)
        return file_hash(path, kind)

    monkeypatch.setattr(stage, "file_hash", slowly)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: stage.run(name, placed), ["own", "other"]))
    assert sorted(read) == ["a.png", "a.png", "b.txt", "b.txt"]
    assert len(list(Path(".work/manifest").iterdir())) == 2  # each remembers for itself
    assert WRITTEN.read_bytes() == Path("data/raw/other/manifest.json").read_bytes()


def test_a_touched_file_gives_the_same_bytes(placed: Path) -> None:
    stage.run("own", placed)
    before = WRITTEN.read_bytes()
    os.utime(placed / "b.txt", ns=(1, 1))
    stage.run("own", placed)
    assert WRITTEN.read_bytes() == before


def test_only_changed_files_are_read(placed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def spy(path: Path, algorithm: str) -> str:
        read.append(path.name)
        return file_hash(path, algorithm)

    monkeypatch.setattr(stage, "file_hash", spy)
    stage.run("own", placed)
    assert read == ["b.txt", "a.png"]
    stage.run("own", placed)
    assert read == ["b.txt", "a.png"]
    (placed / "b.txt").write_bytes(b"cc")
    os.utime(placed / "b.txt", ns=(1, 1))
    stage.run("own", placed)
    assert read == ["b.txt", "a.png", "b.txt"]
    assert json.loads(WRITTEN.read_text())["b.txt"]["md5"] == hashlib.md5(b"cc").hexdigest()


def test_a_removed_and_a_new_file_are_seen(placed: Path) -> None:
    stage.run("own", placed)
    (placed / "b.txt").rename(placed / "c.txt")
    stage.run("own", placed)
    assert list(json.loads(WRITTEN.read_text())) == ["c.txt", "images/a.png"]


def test_folders_behind_links_are_listed(placed: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "m.png").write_bytes(b"m")
    (placed / "masks").symlink_to(tmp_path / "disk")
    assert list(manifest(placed, {}, follow_links=True)) == ["b.txt", "images/a.png", "masks/m.png"]


def test_a_missing_or_empty_root_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        manifest(tmp_path / "own", {})
    expected = f"{tmp_path}/own: no such folder; place the dataset there or correct its root"
    assert str(caught.value) == expected
    with pytest.raises(SourceError) as caught:
        manifest(tmp_path, {})
    assert str(caught.value) == f"{tmp_path}: this folder is empty; place the dataset there"


@pytest.mark.parametrize("text", [b"", b'{"b.txt": [2, ', b"\xff\x00", b"[]", b'{"b.txt": [2]}'])
def test_a_damaged_memory_of_an_earlier_run_is_discarded(
    placed: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    stage.run("own", placed)
    before = WRITTEN.read_bytes()
    [remembered] = Path(".work/manifest").glob("*.json")
    remembered.write_bytes(text)
    stage.run("own", placed)
    assert WRITTEN.read_bytes() == before
    assert f"{remembered}: damaged; discarded, and every file is read again" in caplog.text
    caplog.clear()
    stage.run("own", placed)
    assert "damaged; discarded" not in caplog.text
