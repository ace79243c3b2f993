"""The size of an image from its header; a file that is not whole is found without decoding it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from patchlens.datasets import images
from patchlens.datasets.images import UNSTATED, check_image
from patchlens.datasets.layout import Terms
from patchlens.errors import DataError


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """`saved("a.jpg")`: noise of 40×30 pixels in that format."""

    def save(name: str, **options: Any) -> Path:
        noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded whole."""
    seen: list[Path] = []
    whole = images.open_image

    def spy(path: Path, terms: Terms) -> Image.Image:
        seen.append(path)
        return whole(path, terms)

    monkeypatch.setattr(images, "open_image", spy)
    return seen


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_usual_formats_are_not_decoded(saved: Any, decoded: list[Path], name: str) -> None:
    assert check_image(saved(name), UNSTATED).size == (40, 30)
    assert decoded == []


@pytest.mark.parametrize("name", ["a.bmp", "a.webp", "a.gif"])
def test_other_formats_are_decoded(saved: Any, decoded: list[Path], name: str) -> None:
    path = saved(name)
    assert check_image(path, UNSTATED).size == (40, 30)
    assert decoded == [path]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp", "a.webp"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_an_error(saved: Any, name: str, share: float) -> None:
    path = saved(name)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=rf"a\.{path.suffix[1:]}: cannot be read as an image \("):
        check_image(path, UNSTATED)


@pytest.mark.parametrize(
    ("name", "surplus", "doubted"),
    [
        ("a.jpg", 10, False),
        ("a.png", 10, False),
        ("a.tif", 10, False),
        ("a.jpg", 5000, True),
        ("a.png", 5000, True),
        ("a.tif", 5000, False),
    ],
)
def test_what_follows_the_end_does_no_harm(
    saved: Any, decoded: list[Path], name: str, surplus: int, doubted: bool
) -> None:
    path = saved(name)
    path.write_bytes(path.read_bytes() + bytes(surplus))
    assert check_image(path, UNSTATED).size == (40, 30)
    assert decoded == ([path] if doubted else [])


def test_a_page_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image \(it is "):
        check_image(tmp_path / "a.jpg", UNSTATED)
    with pytest.raises(DataError, match=r"b\.jpg: cannot be read as an image \(no such file\)"):
        check_image(tmp_path / "b.jpg", UNSTATED)
