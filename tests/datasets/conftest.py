"""Miniature datasets, written by the test that reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from patchlens.datasets.build import build
from patchlens.datasets.index import Index
from patchlens.datasets.layout import ImageEntry, Layout
from patchlens.settings.datasets import Query, Support
from shared import SHARED


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real samples beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared` beside the repository")
    return SHARED


@pytest.fixture
def picture() -> Callable[..., None]:
    """`picture(path, size)`: a photograph of noise."""

    def write(path: Path, size: tuple[int, int] = (8, 6)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        noise = np.random.default_rng(crc32(path.name.encode())).integers(
            0, 256, (height, width, 3)
        )
        Image.fromarray(noise.astype(np.uint8)).save(path)

    return write


@pytest.fixture
def mask() -> Callable[..., None]:
    """`mask(path, ids)`: a grey file that holds the array, or one id everywhere."""

    def write(path: Path, ids: Any = 0, size: tuple[int, int] = (8, 6)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.full(size[::-1], ids, np.uint8) if np.isscalar(ids) else ids
        Image.fromarray(array).save(path)

    return write


@pytest.fixture
def own(tmp_path: Path, picture: Callable[..., None], mask: Callable[..., None]) -> Path:
    """A dataset of kind `folder`: a, b, c for support, d, e for query, road and car."""
    root = tmp_path / "own"
    for i, stem in enumerate("abcde"):
        picture(root / "images" / f"{stem}.{'jpg' if i % 2 else 'png'}")
        ids = np.zeros((6, 8), np.uint8)
        ids[:, 4:] = 1 if stem in "abd" else 0
        ids[0] = 255
        mask(root / "masks" / f"{stem}.png", ids)
    content = {
        "classes": ["road", "car"],
        "ignore": [255],
        "splits": {"support": ["a", "b", "c"], "query": ["d", "e"]},
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return root


@pytest.fixture
def indexed(tmp_path: Path) -> Callable[..., Index]:
    """`indexed(layout, root, support={...}, query={...})`: build and open an index."""

    def make(
        layout: Layout, root: Path, support: dict[str, Any] | None = None, **query: Any
    ) -> Index:
        out = tmp_path / "index"
        out.mkdir()
        defaults = {"split": "support", "images": 1, "per": "total", "seeds": [0, 1]}
        scored = {"split": "query", "images": "all", "per": "total", "unit": "image"}
        build(
            "own",
            layout,
            root,
            Support.model_validate(defaults | (support or {})),
            Query.model_validate(scored | query),
            out,
        )
        return Index(out, root)

    return make


@pytest.fixture
def indexed_whole(tmp_path: Path) -> Callable[[Layout, Path], Index]:
    """`indexed_whole(layout, root)`: an index without support and query, as of unmasked images."""

    def make(layout: Layout, root: Path) -> Index:
        out = tmp_path / "whole"
        out.mkdir()
        build("own", layout, root, None, None, out)
        return Index(out, root)

    return make


@pytest.fixture
def plain(tmp_path: Path, picture: Callable[..., None], mask: Callable[..., None]) -> Any:
    """`plain(rows)`: a layout and its files from (image id, split, group, sequence, class)."""

    def make(rows: list[tuple[Any, ...]]) -> tuple[Layout, Path]:
        root, images = tmp_path / "plain", []
        for image_id, split, group, sequence, label in rows:
            picture(root / f"{image_id}.png", (2, 2))
            mask(root / "mask" / f"{image_id}.png", label, (2, 2))
            paths = {"path": f"{image_id}.png", "mask": f"mask/{image_id}.png"}
            images.append(ImageEntry(image_id, split, group=group, sequence=sequence, **paths))
        return Layout(("road", "car"), {0: 0, 1: 1}, images), root

    return make


@pytest.fixture
def chosen() -> Callable[[Index, int], list[str]]:
    """All support images of a seed in the order of the choice."""

    def of(index: Index, seed: int) -> list[str]:
        rows: pd.DataFrame = index.support[index.support["seed"] == seed]
        return list(rows["image_id"])

    return of


@pytest.fixture
def describe(own: Path) -> Callable[..., None]:
    """`describe(classes=[...])`: change keys of dataset.yaml; None takes one away."""

    def change(**keys: Any) -> None:
        path = own / "dataset.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8")) | keys
        content = {key: value for key, value in content.items() if value is not None}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    return change
