"""Files of settings as users break them: one line each, at once, and nothing hangs."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml.error import YAMLError

from patchlens import given
from patchlens.datasets import catalogue
from patchlens.datasets.folder_yaml import describe
from patchlens.datasets.reading import json_of, lines
from patchlens.datasets.tracks import read_tracks
from patchlens.errors import PatchlensError
from patchlens.features.variants import VARIANTS
from patchlens.plan.graph import read_graph
from patchlens.pretrain.settings import load as load_pretrain
from patchlens.report.measures import KNOWN
from patchlens.settings.claims import load as load_claims
from patchlens.settings.load import load
from patchlens.settings.yaml_text import dumped, read
from patchlens.tasks.known import known

pytestmark = pytest.mark.usefixtures("soon")

READERS: dict[str, Callable[[Path], object]] = {
    "params": lambda path: load(path, known()),
    "claims": lambda path: load_claims(path, KNOWN, VARIANTS),
    "dataset": describe,
    "pretrain": load_pretrain,
    "graph": read_graph,
    "catalogue": catalogue._read,
    "json": json_of,
    "list": lambda path: list(lines(path)),
    "tracks": read_tracks,
}
YAML = ("params", "claims", "dataset", "pretrain", "graph", "catalogue")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    os.chdir(path.parent)  # the name of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_loop_of_two(path: Path) -> None:
    path.symlink_to("b")
    path.with_name("b").symlink_to(path.name)


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nothing")


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(10**13)


def other_bytes(path: Path) -> None:
    path.write_bytes(b"a: \xff\xfe\n")


NO_FILES = {
    a_folder: "is a folder, not a file",
    a_fifo: "is a FIFO, not a file",
    a_socket: "is a socket, not a file",
    a_loop: "too many levels of symbolic links",
    a_loop_of_two: "too many levels of symbolic links",
    a_dangling_link: "is a link to nothing",
    a_device: "is a device, not a file",
    other_bytes: "line 1 is not UTF-8",
}


@pytest.mark.parametrize("make", NO_FILES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_text_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    make(path)
    with pytest.raises(PatchlensError) as caught:
        READERS[reader](path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert NO_FILES[make] in line
    assert caught.value.exit_code


@pytest.mark.parametrize("reader", YAML)
def test_a_huge_file_of_settings_is_not_read(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "params.yaml"
    huge(path)
    with pytest.raises(PatchlensError, match="is larger than 10 MB, the most that is read"):
        READERS[reader](path)


def test_annotations_have_a_limit_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("x" * 100, encoding="utf-8")
    assert given.text(path, limit=100) == "x" * 100
    with pytest.raises(given.Unreadable, match=r"is larger than 9\.9e-05 MB"):
        given.text(path, limit=99)


@pytest.mark.parametrize("reader", ["params", "dataset", "pretrain", "graph"])
@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "~"])
def test_an_empty_file(tmp_path: Path, reader: str, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PatchlensError) as caught:
        READERS[reader](path)
    assert len(str(caught.value).splitlines()) == 1


CHAIN = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
MERGES = "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
HOSTILE = {
    "recursive list": ("a: &a [*a]", "this anchor contains itself"),
    "recursive section": ("&a {a: *a}", "this anchor contains itself"),
    "recursive merge": ("a: &a {<<: *a}", "this anchor contains itself"),
    "exploding lists": (f"a0: &a0 [x, x]\n{CHAIN}", "expand to more than"),
    "exploding merges": (f"a0: &a0 {{b: 1, c: 2}}\n{MERGES}", "expand to more than"),
    "deep lists": ("a: " + "[" * 100_000, "levels of nesting"),
    "deep sections": ("a: " + "{a: " * 100_000, "levels of nesting"),
    "deep blocks": ("\n".join(" " * i + "a:" for i in range(2000)), "levels of nesting"),
    "deep anchors": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000)),
        "levels of nesting",
    ),
    "a list as key": ("? [a, b]\n: 1", "a key must be a name"),
    "an unknown anchor": ("a: *b", "undefined alias"),
    "two documents": ("a: 1\n---\nb: 1", "single document"),
    "a control character": ("a: \x01", "not allowed"),
    "python": ("a: !!python/object/apply:os.system [true]", "is not read; write the plain value"),
    "a tag": ("a: !!int x", "is not read; write the plain value"),
    "many digits": ("a: " + "9" * 5000, "more than 100 digits"),
    "twice": ("a: 1\na: 2", "'a' is defined twice"),
    "an octal": ("a: 0100", "write 100, or '0100' in quotes if it is a text"),
    "a word": ("a: {b: on}", "write true, or 'on' in quotes if it is a text"),
    "a key": ("1e-3: a", "write 0.001, or '1e-3' in quotes if it is a text"),
}


@pytest.mark.parametrize("reader", YAML)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(tmp_path: Path, reader: str, name: str) -> None:
    text, why = HOSTILE[name]
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PatchlensError) as caught:
        READERS[reader](path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: not valid YAML: ")
    assert why in line


# Literal -> the spelling to write.
TWO_WAYS = {
    "0100": "100",
    "010": "10",
    "08": "8",
    "1_000": "1000",
    "yes": "true",
    "No": "false",
    "on": "true",
    "OFF": "false",
    "1e3": "1000.0",
    "1e-3": "0.001",
    "1.0e3": "1000.0",
    "1e-7": "1.0e-07",
    "0o17": "15",
    "0b11": "3",
    "-0x1F": "-31",
    "1:30": "90",
    "12:30:45": "45045",
    "1:30.5": "90.5",
    "00": "0",
    "1_000.5": "1000.5",
    "12:30:00": "45000",
    "-1:30": "-90",
    "-.5": "-0.5",
    ".5e3": "500.0",
    "+0x1F": "31",
}


@pytest.mark.parametrize("literal", TWO_WAYS)
@pytest.mark.parametrize("place", ["a: {}", "a: [x, {}]", "{}: x", "a:\n- b: {} # c"])
def test_what_two_versions_of_yaml_read_differently(
    tmp_path: Path, place: str, literal: str
) -> None:
    write = TWO_WAYS[literal]
    path = tmp_path / "a.yaml"
    path.write_text(place.replace("{}", literal), encoding="utf-8")
    with pytest.raises(YAMLError) as caught:
        read(path)
    told = " ".join(str(caught.value).split())
    assert told.startswith(
        # The parser in C, which DVC uses too, reads no colon inside [].
        "while scanning a plain scalar"
        if ":" in literal and "[" in place
        else f"'{literal}' is not the same value in YAML 1.1 and YAML 1.2; write {write}, or "
        f"'{literal}' in quotes if it is a text at line "
    )
    assert "in quotes" in told
    path.write_text(place.replace("{}", write), encoding="utf-8")
    assert read(path)
    path.write_text(place.replace("{}", f"'{literal}'"), encoding="utf-8")
    assert literal in str(read(path))


@pytest.mark.parametrize("literal", ["2021-05-01", "2021-13-45", "=", "<<", "0b_", "._", "-_"])
def test_dates_and_special_words_are_written_in_quotes(tmp_path: Path, literal: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"a: [{literal}]", encoding="utf-8")
    with pytest.raises(YAMLError, match=f"write '{literal}' in quotes"):
        read(path)
    path.write_text(f'a: ["{literal}"]', encoding="utf-8")
    assert read(path) == {"a": [literal]}


SAME: dict[str, Any] = {
    "0": 0,
    "-3": -3,
    "+12": 12,
    "100": 100,
    "1.5": 1.5,
    ".5": 0.5,
    "1.": 1.0,
    "1.5e+3": 1500.0,
    "1.0e-7": 1e-7,
    "0x1F": 31,
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    ".inf": float("inf"),
    "y": "y",
    "3d": "3d",
    "e3": "e3",
    "16:9:x": "16:9:x",
    "infinity": "infinity",
    "1.2.3": "1.2.3",
    "a_1": "a_1",
    "'yes'": "yes",
    '"0100"': "0100",
}


@pytest.mark.parametrize("literal", SAME)
def test_what_both_read_alike_is_read(tmp_path: Path, literal: str) -> None:
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "a.yaml"
    path.write_text(f"a: {literal}\n", encoding="utf-8")
    assert read(path) == {"a": SAME[literal]}
    assert load_yaml(str(path)) == {"a": SAME[literal]}


def test_anchors_and_merges_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: [2]}\nb: *a\nc: {<<: *a, x: 3}\n", encoding="utf-8")
    assert read(path) == {"a": {"x": 1, "y": [2]}, "b": {"x": 1, "y": [2]}, "c": {"x": 3, "y": [2]}}


@pytest.mark.parametrize("value", [1e-7, 1e300, -0.5, float("inf"), 0, True, None, "é" * 99,
                                   *TWO_WAYS, "2021-05-01", "a: b", "", "null", "1.5"])  # fmt: skip
def test_what_is_written_is_read_back(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.yaml").write_text(dumped({"b": [value], "a": {}}), encoding="utf-8")
    assert list(read(tmp_path / "a.yaml").items()) == [("b", [value]), ("a", {})]
