"""The user's own images: pairing, splits, and what is wrong with them."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from patchlens.datasets import readers
from patchlens.errors import DataError, SourceError

UNDRAWN = "; draw it, or take the image out of splits"

read = partial(readers.read, "folder")


def complaint(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    return str(caught.value)


def test_images_and_masks_pair_by_stem_whatever_the_suffix(own: Path) -> None:
    assert [(i.image_id, i.split, i.path, i.mask) for i in read(own).images] == [
        ("a", "support", "images/a.png", "masks/a.png"),
        ("b", "support", "images/b.jpg", "masks/b.png"),
        ("c", "support", "images/c.png", "masks/c.png"),
        ("d", "query", "images/d.jpg", "masks/d.png"),
        ("e", "query", "images/e.png", "masks/e.png"),
    ]


def test_classes_and_ignored_values(own: Path, describe: Callable[..., None]) -> None:
    describe(ignore=[2, 254])
    layout = read(own)
    assert layout.classes == ("road", "car")
    assert layout.labels == {0: 0, 1: 1, 2: 255, 254: 255}


def test_a_split_may_be_a_file(own: Path, describe: Callable[..., None], picture: Any) -> None:
    picture(own / "images" / "my car.png")
    picture(own / "masks" / "my car.png")
    (own / "lists").mkdir()
    (own / "lists" / "support.txt").write_text("b\n\n  my car \na\n", encoding="utf-8")
    describe(splits={"support": "lists/support.txt", "query": ["d"]})
    splits = {i.image_id: i.split for i in read(own).images}
    assert splits == {"b": "support", "my car": "support", "a": "support", "d": "query"}


def test_unlisted_images_are_left_out(own: Path, describe: Callable[..., None]) -> None:
    describe(splits={"query": ["e"]})
    assert [i.image_id for i in read(own).images] == ["e"]


def test_hidden_files_are_no_images(own: Path) -> None:
    (own / "images" / ".a.png.swp").write_bytes(b"")
    assert len(read(own).images) == 5


def test_two_files_of_one_stem(own: Path, picture: Any) -> None:
    picture(own / "images" / "a.jpg")
    expected = f"{own}/images/a.png: shares its stem with {own}/images/a.jpg; keep one of the two"
    assert complaint(own) == expected


@pytest.mark.parametrize("name", ["{}_mask", "{}.jpg", "{}_gtFine_labelTrainIds"])
def test_a_mask_of_another_name_is_shown(own: Path, name: str) -> None:
    for path in list((own / "masks").iterdir()):
        path.rename(path.with_name(f"{name.format(path.stem)}.png"))
    assert f"no mask 'a.*' in masks/; rename '{name.format('a')}.*', or " in complaint(own)


def test_missing_image_and_missing_mask(own: Path) -> None:
    (own / "masks" / "d.png").unlink()
    assert complaint(own) == f"{own}/images/d.jpg: no mask 'd.*' in masks/{UNDRAWN}"
    (own / "images" / "d.jpg").unlink()
    assert complaint(own) == (
        f"{own}/images: no image 'd.*' (split query); write one name per entry or line; allowed: "
        "a, b, c, e"
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"ignore": [255, 1]},
            "ignore contains 1, which is also a class; if classes do not count from 0, write "
            "{1: road, 2: car}",
        ),
        ({"ignore": [65536]}, "ignore[0]: 65536 is out of range; allowed: 0 to 65535"),
        ({"classes": None}, "classes: this key is missing"),
        (
            {"split": {"a": ["a"]}},
            "split: unknown key; allowed: background, classes, colours, ignore, ignore_colours, "
            "instance_scope, instances, objects, partial, range, sequences, splits, tracks, "
            "tracks_format; did you mean 'splits'?",
        ),
        ({"splits": {"a": ["a"], "b": ["b", "a"]}}, "'a' is in a and in b"),
        ({"splits": {"a": ["a", "a"]}}, "'a' is in a and in a"),
        (
            {"splits": {"query": [1]}},
            "splits.query[0]: 1 (int) is invalid; allowed: a valid string",
        ),
        ({"classes": "road"}, "classes: 'road' (str) is invalid; allowed: a valid list"),
        ({"splits": {"a": 1}}, "splits.a: 1 (int) is invalid; allowed: a valid list"),
    ],
)
def test_description_mistakes(
    own: Path, describe: Callable[..., None], keys: dict[str, Any], message: str
) -> None:
    describe(**keys)
    assert complaint(own) == f"{own}/dataset.yaml: {message}"


def test_every_mistake_of_a_description_is_a_line(own: Path, describe: Callable[..., None]) -> None:
    describe(classes=None, ignore=[65536])
    assert [line.rpartition("dataset.yaml: ")[2] for line in complaint(own).splitlines()] == [
        "classes: this key is missing",
        "ignore[0]: 65536 is out of range; allowed: 0 to 65535",
    ]


@pytest.mark.parametrize("file", ["dataset.yaml", "support.txt"])
def test_files_in_another_encoding(own: Path, describe: Callable[..., None], file: str) -> None:
    describe(splits={"support": "support.txt"})
    (own / "support.txt").write_text("a\n", encoding="utf-8")
    (own / file).write_bytes((own / file).read_bytes() + b"# stra\xdfe\n")
    assert re.search(
        rf"^{own / file}: line \d+ is not UTF-8; save the file as UTF-8$", complaint(own)
    )


def test_a_byte_order_mark_is_no_part_of_a_name(own: Path, describe: Callable[..., None]) -> None:
    describe(splits={"query": "query.txt"})
    (own / "query.txt").write_text("d\n", encoding="utf-8-sig")
    text = (own / "dataset.yaml").read_text(encoding="utf-8")
    (own / "dataset.yaml").write_text(text, encoding="utf-8-sig")
    assert [i.image_id for i in read(own).images] == ["d"]


def test_missing_split_file(own: Path, describe: Callable[..., None]) -> None:
    describe(splits={"query": "query.txt"})
    expected = f"{own}/dataset.yaml: splits.query: no such file {own}/query.txt"
    assert complaint(own) == expected


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "this file is empty; restore it, or write {} for none"),
        ("- road\n", "(whole file): ['road'] (list) is invalid; allowed: a section with keys"),
        ("42\n", "(whole file): 42 (int) is invalid; allowed: a section with keys"),
    ],
)
def test_a_description_that_is_no_section(own: Path, content: str, fault: str) -> None:
    (own / "dataset.yaml").write_text(content, encoding="utf-8")
    assert complaint(own) == f"{own / 'dataset.yaml'}: {fault}"


def test_a_description_that_is_no_yaml(own: Path) -> None:
    (own / "dataset.yaml").write_text("classes: [road\n", encoding="utf-8")
    message = complaint(own)
    assert message.startswith(f"{own}/dataset.yaml: not valid YAML: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("dataset.yaml", "no such file; write it as in docs/own-data.md"),
        ("images", "no such folder"),
        ("masks", "no such folder"),
    ],
)
def test_missing_sources(own: Path, tmp_path: Path, gone: str, message: str) -> None:
    (own / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError) as caught:
        read(own)
    assert str(caught.value) == f"{own / gone}: {message}"
