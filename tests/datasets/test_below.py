"""Nothing that a dataset contains leads out of its root, hangs, or breaks with a traceback."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patchlens.datasets import catalogue
from patchlens.datasets import indexing as index
from patchlens.datasets import manifest as stage
from patchlens.datasets.below import check_inside, check_links, files_below
from patchlens.datasets.build import build
from patchlens.datasets.folder import read
from patchlens.datasets.images import UNSTATED, check_image, image_size, open_image
from patchlens.datasets.index import Index
from patchlens.datasets.layout import ImageEntry, Layout
from patchlens.datasets.manifest import manifest
from patchlens.datasets.masks import open_ids
from patchlens.datasets.reading import by_stem, frames
from patchlens.errors import DataError, PatchlensError, SourceError
from patchlens.settings.datasets import Collected

pytestmark = pytest.mark.usefixtures("soon")

FOLDER = catalogue.find("folder")
READS = (image_size, lambda path: check_image(path, UNSTATED), open_image, open_ids)
OUT = "leads out of the dataset's root, to"


ESCAPES = ["/etc", "/etc/passwd", "../out", "images/../../out", "..", "~/x", "a/..", "\\\\srv\\x",
           "..\\out"]  # fmt: skip
KEYS: dict[str, Callable[[str], Any]] = {
    "sequences": lambda path: {"sequences": [path]},
    "objects": lambda path: {"objects": path},
    "instances": lambda path: {"instances": path},
    "splits.query": lambda path: {"splits": {"support": ["a"], "query": path}},
    "splits.support": lambda path: {"splits": {"support": [path], "query": ["b"]}},
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("key", KEYS)
def test_a_path_in_dataset_yaml_stays_below_the_root(
    own: Path, describe: Callable[..., None], key: str, escape: str
) -> None:
    describe(**KEYS[key](escape))
    with pytest.raises(DataError) as caught:
        read(own, FOLDER)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(
        f"{own / 'dataset.yaml'}: {key}: '{escape}' may leave the dataset's root"
    )


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_line_of_a_list_stays_below_the_root(
    own: Path, describe: Callable[..., None], escape: str
) -> None:
    describe(splits={"support": ["a"], "query": "query.txt"})
    (own / "query.txt").write_text(f"b\n{escape}\n", encoding="utf-8")
    with pytest.raises(DataError, match="may leave the dataset's root") as caught:
        read(own, FOLDER)
    assert str(caught.value).startswith(f"{own / 'query.txt'}, line 2: ")


@pytest.mark.parametrize("name", ["a", "images/a.png", "..a", "a..b", "...", "a/b/c", "-x", "~a~"])
def test_other_names_are_only_names(name: str) -> None:
    if not name.startswith("~"):
        check_inside(name, "here")
    check_inside(f"x{name}", "here")


@pytest.mark.parametrize("part", ["path", "mask", "instances"])
def test_no_reader_can_name_a_file_outside(tmp_path: Path, own: Path, part: str) -> None:
    (tmp_path / "out.png").write_bytes((own / "masks/a.png").read_bytes())
    paths = {"path": "images/a.png", "mask": "masks/a.png"} | {part: "../out.png"}
    layout = Layout(("road", "car"), {0: 0, 1: 1, 255: 255}, [ImageEntry("a", "s", **paths)])
    (tmp_path / "index").mkdir()
    with pytest.raises(DataError, match=r"image 'a': '\.\./out\.png' may leave"):
        build("own", layout, own, None, None, tmp_path / "index")


LINKS = {
    "a file": lambda own, out: (own / "images/z.png").symlink_to(out / "m.png"),
    "a relative file": lambda own, out: (own / "images/z.png").symlink_to("../../out/m.png"),
    "a folder": lambda own, out: (own / "z").symlink_to(out),
    "a folder of images": lambda own, out: (own / "images/z").symlink_to(out),
    "the parent": lambda own, out: (own / "z").symlink_to(".."),
    "the root of the disk": lambda own, out: (own / "z").symlink_to("/"),
    "nothing, outside": lambda own, out: (own / "z").symlink_to("/nothing/at/all"),
    "by way of a link": lambda own, out: [
        (own / "y").symlink_to(out),
        (own / "z").symlink_to("y/m.png"),
    ],
    "a device": lambda own, out: (own / "images/z").symlink_to("/dev/zero"),
}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/m.png").write_bytes(b"m")
    return tmp_path / "out"


@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_leads_out_is_an_error_that_names_it(own: Path, out: Path, name: str) -> None:
    LINKS[name](own, out)
    for check in (check_links, lambda root: manifest(root, {})):
        with pytest.raises(DataError, match=OUT) as caught:
            check(own)
        (line,) = str(caught.value).splitlines()
        link = next(p for p in sorted(own.rglob("*")) if p.is_symlink())
        assert line.startswith(f"{link}: this link {OUT} {os.path.realpath(link)}; ")
        assert "set follow_links: true for this dataset in params.yaml" in line


def test_follow_links_follows_them(own: Path, out: Path) -> None:
    before = set(manifest(own, {}))
    (own / "z").symlink_to(out)
    (own / "images/x.png").symlink_to(out / "m.png")
    assert set(manifest(own, {}, follow_links=True)) == before | {"z/m.png", "images/x.png"}


@pytest.mark.parametrize("stages", ["index", "manifest"])
def test_both_stages_refuse_and_follow(
    own: Path, out: Path, monkeypatch: pytest.MonkeyPatch, stages: str
) -> None:
    monkeypatch.chdir(own.parent)
    (own / "images/m.png").unlink(missing_ok=True)
    (own / "z").symlink_to(out)
    part = {"split": "support", "images": 1, "per": "total", "seeds": [0]}
    content = {
        "kind": "folder",
        "root": str(own),
        "view": {"mode": "whole", "grid": "equal", "patches": [1, 1]},
        "support": part,
        "query": {"split": "query", "images": "all", "per": "total", "unit": "image"},
    }
    for follow in (False, True):
        settings = Collected.model_validate(content | {"follow_links": follow})
        run = (
            (lambda s: index.run("own", s))
            if stages == "index"
            else (lambda s: stage.run("own", Path(s.root), follow_links=s.follow_links))
        )
        if follow:
            run(settings)
            assert Path("data", "index" if stages == "index" else "raw", "own").is_dir()
        else:
            with pytest.raises(DataError, match=OUT):
                run(settings)


def test_links_within_the_root_are_followed_and_each_folder_is_visited_once(own: Path) -> None:
    before = set(manifest(own, {}))
    (own / "latest").symlink_to(".")
    (own / "images/again").symlink_to("../images")
    (own / "images/both").symlink_to(own)
    (own / "copy.png").symlink_to("images/a.png")
    assert set(manifest(own, {})) == before | {"copy.png"}
    assert set(manifest(own, {}, follow_links=True)) == before | {"copy.png"}
    (own.parent / "link").symlink_to(own)  # the root itself may be one
    assert set(manifest(own.parent / "link", {})) == before | {"copy.png"}


def test_a_folder_is_listed_under_its_own_name(own: Path) -> None:
    before = set(manifest(own, {}))
    (own / "aaa").symlink_to("images")
    assert set(manifest(own, {})) == before


def odd(folder: Path, kind: str) -> Path:
    path = folder / "odd.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to("odd.png")
    elif kind == "loop of two":
        path.symlink_to("even.png")
        path.with_name("even.png").symlink_to("odd.png")
    elif kind == "dangling":
        path.symlink_to("nothing.png")
    elif kind == "socket":
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    else:
        path = Path(os.fsdecode(os.fsencode(folder / "odd") + b"\xff.png"))
        path.write_bytes(b"x")
    return path


ODD = ["fifo", "loop", "loop of two", "dangling", "socket", "name"]


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_skipped_with_a_note(
    own: Path, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    before = manifest(own, {})
    odd(own / "images", kind)
    odd(own, kind)
    with caplog.at_level("WARNING"):
        assert manifest(own, {}) == before
        stage.run("own", own)
    assert f"{own}: skipped odd" in caplog.text or f"{own}: skipped even" in caplog.text
    written = json.loads(Path("data/raw/own/manifest.json").read_text(encoding="utf-8"))
    assert set(written) == set(before)


@pytest.mark.parametrize("kind", ODD)
def test_no_reader_of_pictures_waits_or_breaks(
    own: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    path = odd(own / "images", kind)
    for reads in READS:
        with pytest.raises(DataError) as caught:
            reads(path)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ODD)
def test_a_folder_of_images_with_it_is_read_or_refused_in_one_line(
    own: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    before = by_stem(own, own / "images")
    odd(own / "images", kind)
    if kind == "name":
        with pytest.raises(DataError, match=r"odd\\udcff\.png: its name is not UTF-8; rename"):
            by_stem(own, own / "images")
    else:
        assert by_stem(own, own / "images") == before
    for stem in "abcde":
        for file in (own / "images").glob(f"{stem}.*"):
            file.rename(file.with_stem(str(ord(stem))))
    if kind == "name":
        with pytest.raises(DataError, match="its name is not UTF-8"):
            frames(own / "images")
    else:
        assert len(frames(own / "images")) == 5


def test_an_unreadable_folder_is_one_line(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path) -> None:  # the tests may run as root, who may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(SourceError, match="permission denied; correct root in params"):
        manifest(own, {})


def test_a_vanished_file_is_one_line(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Path, algorithm: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("patchlens.datasets.manifest.file_hash", gone)
    with pytest.raises(SourceError, match="cannot be read \\(permission denied\\)"):
        manifest(own, {})


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "{", "1" * 5000, "null"])
def test_odd_json_is_one_line(own: Path, describe: Callable[..., None], content: str) -> None:
    describe(objects="objects.json")
    (own / "objects.json").write_text(content, encoding="utf-8")
    with pytest.raises(PatchlensError) as caught:
        read(own, FOLDER)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{own / 'objects.json'}: ")
    assert len(line) < 500


@pytest.mark.parametrize(
    "content", ["instance,class\n1," + "x" * 200_000, 'instance,class\n"1', "\0\n\0", ","]
)
def test_odd_tables_are_one_line(own: Path, describe: Callable[..., None], content: str) -> None:
    describe(instances="i.csv")
    (own / "instances").symlink_to("masks")
    (own / "i.csv").write_text(content, encoding="utf-8")
    with pytest.raises(PatchlensError) as caught:
        read(own, FOLDER)
    (line,) = str(caught.value).splitlines()
    assert str(own / "i.csv") in line


@pytest.mark.parametrize("field", ["1e300", "1e400", "nan", "9007199254740993", "x"])
def test_odd_numbers_of_tracks_are_one_line(own: Path, field: str) -> None:
    from patchlens.datasets.tracks import read_tracks

    path = own / "t.txt"
    for line in (f"{field},1,1,1,2,2,1,1,1", f"1,{field},1,1,2,2,1,1,1"):
        path.write_text(line, encoding="utf-8")
        with pytest.raises(DataError, match=r"t\.txt, line 1: "):
            read_tracks(path)


def test_the_walk_is_sorted_and_does_not_recurse(tmp_path: Path) -> None:
    deep = tmp_path / "root"
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "a").write_bytes(b"a")
    (tmp_path / "root/a").write_bytes(b"a")
    assert len(list(files_below(tmp_path / "root", follow_links=False))) == 2


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "flipped": lambda content: bytes(255 - byte for byte in content),
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["dataset.json", "images.parquet", "query.parquet"])
def test_a_damaged_index_is_one_line_that_names_the_file(
    own: Path, indexed: Callable[..., Index], file: str, damage: str
) -> None:
    folder = indexed(read(own, FOLDER), own).folder
    path = folder / file
    path.write_bytes(DAMAGE[damage](path.read_bytes()))

    def use() -> int:
        opened = Index(folder, own)
        return len(opened.images) + len(opened.query) + len(opened.pixels)

    with pytest.raises(DataError) as caught:
        use()
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert "; run `dvc repro`" in line


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b"null"])
def test_a_damaged_memory_of_the_manifest_is_forgotten(
    own: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(own.parent)
    stage.run("own", own)
    before = Path("data/raw/own/manifest.json").read_bytes()
    (memory,) = Path(".work/manifest").glob("*.json")
    memory.write_bytes(content)
    stage.run("own", own)
    assert Path("data/raw/own/manifest.json").read_bytes() == before
