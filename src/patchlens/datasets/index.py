"""The common index: all facts about a dataset that other packages use.

A folder with images.parquet (one row per image), objects.parquet (one row per object), dataset.json
(reader, class names, the meaning of values in mask files, pixels of each class) and, if they
apply, support.parquet (the few-shot choice, one per seed), query.parquet (the scored images with
their bootstrap unit) and relevance.parquet (the grades of pairs in a retrieval benchmark).
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from patchlens import paths
from patchlens.datasets import tables
from patchlens.datasets.images import open_image as read_image
from patchlens.datasets.layout import Terms
from patchlens.datasets.masks import Ids, Mask, open_ids
from patchlens.datasets.masks import open_mask as read_mask
from patchlens.errors import DataError
from patchlens.files import file_hash
from patchlens.names import DatasetName
from patchlens.settings.datasets import Dataset
from patchlens.stored import read_json, reading


class Index:
    """A dataset as its index describes it; pixels are read from `root` on demand.

    Attributes:
        reader: the name of the reader, and so of the dataset's layout.
        classes: class names; a class id is a position in it.
        palette: RGB of each class, or empty.
        labels: each allowed value of a mask file -> its class id, or `IGNORE`.
        terms: what the files cannot say about their pixels.
        partial: whether images without masks are unlabelled, and not all of them are labelled.
        official: whether its files are those that the catalogue lists, or the user's own.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no index; run `dvc repro index` first")
        with reading(folder / "dataset.json") as path:
            about = read_json(path)
            self.folder, self.root = folder, root
            self.reader = str(about["reader"])
            self.classes: list[str] = [str(name) for name in about["classes"]]
            self.palette: list[list[int]] = about["palette"]
            self.labels = {int(value): int(label) for value, label in about["labels"].items()}
            self.terms = Terms(**about.get("terms", {}))
            self.partial = bool(about.get("partial", False))
            self.official = bool(about.get("official", True))

    @classmethod
    def of(cls, dataset: DatasetName, settings: Dataset) -> "Index":
        """The index of a dataset, with the image folder of the settings."""
        return cls(paths.index(dataset), paths.images(dataset, settings))

    @cached_property
    def pixels(self) -> dict[str, list[int]]:
        """Split -> pixels of each class in its masks; the last count is that of ignored ones."""
        with reading(self.folder / "dataset.json") as path:
            return {str(k): [int(n) for n in v] for k, v in read_json(path)["pixels"].items()}

    @cached_property
    def copies(self) -> list[list[str]]:
        """Groups of images whose files have equal bytes."""
        with reading(self.folder / "dataset.json") as path:
            return [[str(image_id) for image_id in group] for group in read_json(path)["twins"]]

    @cached_property
    def palettes(self) -> list[str]:
        """How the palettes of two masks differ in ids that occur, which only published data may."""
        with reading(self.folder / "dataset.json") as path:
            return [str(fault) for fault in read_json(path).get("palettes", [])]

    @cached_property
    def images(self) -> pd.DataFrame:
        """image_id -> split, path, mask, instances, sequence, frame, group, and what the gate saw.

        That is height and width when upright, mode (Pillow's), orientation (EXIF's, 1 to 8),
        profile (of colours, not applied), mask_mode, labelled (pixels of the mask with a class),
        window (the part of its picture that it is, if not all).
        """
        return tables.read(self.folder / "images.parquet").set_index("image_id")

    @cached_property
    def objects(self) -> pd.DataFrame:
        """The objects of all images, in the order of the images.

        Columns: image_id; instance (its number in the whole dataset); track (its number
        in its sequence, if any); class_id; fine_class; x0, y0, x1, y1 (pixels; x1, y1 exclusive;
        as annotated, so a box may leave its image); area (pixels of the mask, or of the box inside
        the image); evaluated; mask_value (its value in the instance mask, if any); polygon.
        """
        return tables.read(self.folder / "objects.parquet")

    @property
    def has_support(self) -> bool:
        """Whether support images were chosen."""
        return (self.folder / "support.parquet").is_file()

    @cached_property
    def support(self) -> pd.DataFrame:
        """Columns seed, pool, rank, image_id; with folds also repetition."""
        return self._optional("support", "datasets.<name>.support is null in params.yaml")

    @cached_property
    def query(self) -> pd.DataFrame:
        """Columns image_id, unit."""
        return self._optional("query", "datasets.<name>.query is null in params.yaml")

    @property
    def has_relevance(self) -> bool:
        """Whether the dataset grades pairs of images, as retrieval benchmarks do."""
        return (self.folder / "relevance.parquet").is_file()

    @cached_property
    def relevance(self) -> pd.DataFrame:
        """Columns query_id, image_id, grade (easy, hard, junk, positive)."""
        return self._optional("relevance", "the dataset does not grade pairs of images")

    def _optional(self, table: str, why: str) -> pd.DataFrame:
        path = self.folder / f"{table}.parquet"
        if not path.is_file():
            raise DataError(f"{path}: this dataset has no such table, because {why}")
        return tables.read(path)

    @property
    def seeds(self) -> list[int]:
        """The support seeds in the order of the settings."""
        return [int(seed) for seed in self.support["seed"].unique()]

    @cached_property
    def repetitions(self) -> dict[int, int]:
        """Number of a support set -> the seed of the settings; they differ with folds only."""
        if "repetition" not in self.support:
            return {seed: seed for seed in self.seeds}
        pairs = self.support.drop_duplicates("seed")
        return dict(zip(pairs["seed"].astype(int), pairs["repetition"].astype(int), strict=True))

    def held_out(self, seed: int) -> list[str]:
        """The query images on which the support set `seed` is scored, in the order of the query.

        That is all of them; with folds, those that are not in the support set.
        """
        ids = list(self.query["image_id"])
        if "repetition" not in self.support:
            return ids
        known = set(self.support.loc[self.support["seed"] == seed, "image_id"])
        return [image_id for image_id in ids if image_id not in known]

    def support_ids(self, seed: int, shots: int) -> list[str]:
        """Image ids of the first `shots` of each pool, without repeats, in order of the choice."""
        chosen = self.support[(self.support["seed"] == seed) & (self.support["rank"] < shots)]
        return list(dict.fromkeys(chosen["image_id"]))

    def image(self, image_id: str) -> Image.Image:
        """The image in RGB, upright."""
        picture = read_image(self.root / str(self.images.at[image_id, "path"]), self.terms)
        window = self._window(image_id)
        return picture if window is None else picture.crop(window)

    def content(self, image_id: str) -> str:
        """The md5 of the file of the image, in hex, and which part of it."""
        digest = file_hash(self.root / str(self.images.at[image_id, "path"]), "md5")
        window = self._window(image_id)
        return digest if window is None else f"{digest} {window}"

    def _window(self, image_id: str) -> tuple[int, int, int, int] | None:
        found: Any = self.images.at[image_id, "window"] if "window" in self.images else None
        if found is None:
            return None
        left, top, right, bottom = map(int, found)
        return left, top, right, bottom

    def mask(self, image_id: str) -> Mask:
        """Class ids [H, W] at the original resolution, `IGNORE` (255) for ignored pixels."""
        path: Any = self.images.at[image_id, "mask"]
        if pd.isna(path):
            raise DataError(f"{self.root}: image '{image_id}' has no mask")
        return read_mask(self.root / str(path), self.labels, self.terms)

    def instance_mask(self, image_id: str) -> Ids:
        """Values [H, W] of the instance mask, which are those of `mask_value`; 0 elsewhere."""
        return open_ids(self.root / str(self.images.at[image_id, "instances"]), self.terms)
