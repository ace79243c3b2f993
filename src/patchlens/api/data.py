"""Datasets for use from Python: any kind of the catalogue, or arrays in memory."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from patchlens.api.features import Images, picture
from patchlens.api.protocol import slot
from patchlens.arrays import Labels
from patchlens.datasets import tables
from patchlens.datasets.boxes import Frame, has_area
from patchlens.datasets.build import build, object_row
from patchlens.datasets.catalogue import find, kinds
from patchlens.datasets.gate import OWN, Gate
from patchlens.datasets.images import Seen
from patchlens.datasets.index import Index
from patchlens.datasets.indexing import layout_of
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout, ObjectEntry, Terms
from patchlens.datasets.masks import Mask
from patchlens.datasets.objects import objects_of
from patchlens.datasets.readers import read
from patchlens.datasets.render import render
from patchlens.datasets.support import query_images, support_images
from patchlens.errors import DataError, SettingsError
from patchlens.names import DatasetName
from patchlens.settings.datasets import Dataset, Minicity
from patchlens.settings.validated import conforming

# Names of splits, in the order in which the first that a dataset has is taken.
SUPPORT = ("support", "train", "training", "video_train")
QUERY = ("query", "val", "validation", "test", "video_test")
Count = int | Literal["all"]


@dataclass(frozen=True)
class Data:
    """A dataset with its choice of support and query images, ready to be evaluated.

    Attributes:
        name: of the dataset, for messages and tables.
        settings: as an entry of `datasets:` in params.yaml.
        index: the facts about its images; pixels are read on demand.
    """

    name: DatasetName
    settings: Dataset
    index: Index
    _folder: object = field(default=None, repr=False)  # a temporary one lives as long as this

    def __repr__(self) -> str:
        support = 0 if self.settings.support is None else self.index.support["image_id"].nunique()
        return (
            f"{self.name}: {support} support and {len(self.index.query)} query images, "
            f"{len(self.index.classes)} classes"
        )

    def in_memory(self) -> "Data":
        """The same with every image and mask decoded once, when it is first read, and kept."""
        index = Index.__new__(type(self.index))
        vars(index).update(vars(self.index))
        vars(index).update(image=cache(self.index.image), mask=cache(self.index.mask))
        return replace(self, index=index)


def load_dataset(
    kind: str,
    root: str | Path | None = None,
    *,
    patches: tuple[int, int] = (16, 16),
    shots: Count = 8,
    seeds: int = 5,
    support: str | Mapping[str, Any] | None = "",
    query: str | Mapping[str, Any] = "",
    unit: Literal["image", "sequence"] = "image",
    view: Mapping[str, Any] | None = None,
    name: str = "",
    cache: str | Path | None = None,
    **settings: Any,
) -> Data:
    """Check every file of a dataset once, and choose its support and query images.

    Args:
        kind: a kind of the catalogue (`patchlens datasets`); `folder` for your own images;
            `minicity` is rendered (`stills=16`, of support and of query, or `stills=0, videos=2`).
        root: where you placed it, in its official layout.
        patches: rows and columns of the grid to which images are resized, for every model.
        shots: labelled images of each support seed; `all` takes the whole split, for T2 to T4.
        seeds: the number of support seeds; with `shots="all"`, there is one.
        support: the split that support images are chosen from, by default the first of `support`,
            `train`, `training`, `video_train`; None for no support; or a whole section as in
            params.yaml.
        query: likewise the split that is scored, by default `query`, `val`, `validation`, `test`
            or `video_test`.
        unit: what intervals resample: images, or whole sequences where frames are alike.
        view: a whole section as in params.yaml, instead of `patches`.
        name: of the dataset, for messages and tables; by default, its kind.
        cache: a folder that keeps the index (and a rendered dataset); by default, they lie in a
            temporary folder, which is removed with the returned object.
        settings: further keys of the entry, such as `max_megapixels` and `follow_links`.

    Raises:
        SettingsError: the kind, a split or a value is unknown or out of range.
        SourceError: a file is missing.
        DataError: a file is damaged or contradicts another; the message names it.
    """
    facts, where = find(kind), Path("load_dataset")
    if root is None and kind != "minicity":
        raise SettingsError(f"load_dataset: '{kind}' needs its root. {facts.how}")
    temporary = None
    if cache is None:
        temporary = TemporaryDirectory(prefix="patchlens-")
        cache = temporary.name
    folder = Path(cache)
    place = folder / "minicity" if root is None else Path(root)
    entry: dict[str, Any] = {"kind": kind} | settings
    if kind == "minicity":
        entry = {"stills": 16, "videos": 0} | entry
        videos = entry["stills"] == 0
        splits: Iterable[str] = ["video_train", "video_test"] if videos else ["support", "query"]
    else:
        entry["root"] = str(root)
        splits = facts.counts or {image.split for image in read(kind, place).images}
    entry["view"] = view or {"mode": "whole", "grid": "equal", "patches": [*patches]}
    entry["support"] = _support(support, splits, shots, seeds)
    entry["query"] = dict(query) if isinstance(query, Mapping) else _query(query, splits, unit)
    own: Dataset = conforming(entry, Dataset, where, context=kinds())
    if isinstance(own, Minicity) and root is None:
        place = folder / f"minicity-{own.stills}-{own.videos}"
        if not place.is_dir():
            render(place, own, jobs=1)  # processes would run the user's script again
    layout = layout_of(place, own)
    out = folder / f"index-{md5(repr((kind, place, own)).encode()).hexdigest()[:16]}"
    out.mkdir(parents=True, exist_ok=True)
    shown = DatasetName(slot(name or kind))
    build(shown, layout, place, own.support, own.query, out)
    return Data(shown, own, Index(out, place), temporary)


def _support(
    support: str | Mapping[str, Any] | None, splits: Iterable[str], shots: Count, seeds: int
) -> dict[str, Any] | None:
    if support is None or isinstance(support, Mapping):
        return None if support is None else dict(support)
    drawn = list(range(1 if shots == "all" else seeds))
    split = support or _first(SUPPORT, splits, "support")
    return {"split": split, "images": shots, "per": "total", "seeds": drawn}


def _query(query: str, splits: Iterable[str], unit: str) -> dict[str, Any]:
    split = query or _first(QUERY, splits, "query")
    return {"split": split, "images": "all", "per": "total", "unit": unit}


def _first(names: Sequence[str], splits: Iterable[str], what: str) -> str:
    there = sorted(splits)
    for name in names:
        if name in there:
            return name
    raise SettingsError(f"load_dataset: {what}: name one of its splits: {', '.join(there)}")


def from_arrays(
    images: Images,
    masks: Sequence[NDArray[np.integer[Any]]] | NDArray[np.integer[Any]] | None = None,
    *,
    classes: Sequence[str] = (),
    boxes: Sequence[Any] | None = None,
    instances: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    sequences: Sequence[str] | None = None,
    support: Sequence[int] | None = None,
    shots: int = 8,
    seeds: int = 5,
    patches: tuple[int, int] = (16, 16),
    names: Sequence[str] | None = None,
    name: str = "arrays",
) -> Data:
    """A dataset of images in memory.

    Masks are for segmentation, boxes for retrieval and for identification of objects, boxes in
    sequences for tracking; images alone are enough for identification of patches.

    Args:
        images: N images, uint8 [H, W, 3] or of Pillow in RGB, of any sizes.
        masks: N masks of integers [H, W], of the size of their images: a value i is class i, and
            255 neither votes nor counts.
        classes: names of at least two classes, in the order of their ids; with boxes alone, one is
            enough, and `object` is meant where none is given.
        boxes: N arrays [K, 4] of the objects of each image, K = 0 or more: x0, y0, x1, y1 in
            pixels from 0, x1 and y1 exclusive. Their features are means over the box.
        instances: N arrays [K] of integers, with boxes: objects of the same number are the same
            thing, in all images; in a video it is their track.
        labels: N arrays [K] of class ids of the boxes, by default 0.
        sequences: the name of the video of each image, whose images are its frames in this order;
            intervals then resample videos.
        support: rows of the images that labelled examples are drawn from, by default the first
            half if there are masks, otherwise none; all other images are scored.
        shots: labelled images of each support seed.
        seeds: the number of support seeds, each a draw of `shots` images.
        patches: rows and columns of the grid to which images are resized, for every model.
        names: N different names, by default 000000, 000001, ...; the draws depend on them.
        name: of the dataset, for messages and tables.

    Raises:
        DataError: an image, a mask or a box is not as described, the message names its row; or, as
            in a folder, only one class is left, no scored image has a label, or one is in the
            support.
        SettingsError: fewer images than `shots`, or a value is out of range.
    """
    pictures = [picture(one, f"images[{row}]") for row, one in enumerate(images)]
    ids = [str(n) for n in names] if names is not None else [f"{i:06d}" for i in range(len(images))]
    if len(ids) != len(pictures) or len(set(ids)) != len(ids):
        raise DataError(f"names: {len(ids)} for {len(pictures)} images; each needs one of its own")
    held = None if masks is None else _masks(masks, pictures, classes)
    if boxes is not None and masks is None:
        classes = classes or ("object",)
    listed = _objects(ids, boxes, instances, labels, classes)
    videos = _videos(ids, sequences)
    pool = range(len(ids) // 2) if support is None else support
    if stray := [row for row in pool if not 0 <= row < len(ids)]:
        raise DataError(f"support: there is no image {stray[0]}; rows are 0 to {len(ids) - 1}")
    known = {ids[row] for row in pool}
    chosen = None if masks is None and support is None else _support("support", [], shots, seeds)
    if chosen and not 0 < len(known) < len(ids):
        raise DataError(
            f"images: {len(ids)}, of which {len(known)} are the support; give one at least to "
            "learn from, and another to be scored"
        )
    entry = {
        "kind": "folder",
        "root": name,
        "view": {"mode": "whole", "grid": "equal", "patches": [*patches]},
        "support": chosen,
        "query": _query("query", [], "image" if sequences is None else "sequence"),
    }
    own: Dataset = conforming(entry, Dataset, Path("from_arrays"), context=kinds())
    table = pd.DataFrame(
        [
            {
                "image_id": image_id,
                "split": "support" if chosen and image_id in known else "query",
                "path": image_id,
                "mask": None if held is None else image_id,
                "sequence": video,
                "frame": frame,
                "height": one.height,
                "width": one.width,
            }
            for image_id, one, (video, frame) in zip(ids, pictures, videos, strict=True)
        ],
        columns=tables.IMAGES.names,
    ).astype({"frame": "Int64"})
    index = _Arrays(name, dict(zip(ids, pictures, strict=True)), held, classes, table)
    index.objects = _listed(Path(name), index.pictures, listed)
    index.fill(own)
    return Data(DatasetName(slot(name)), own, index)


def _masks(
    masks: Sequence[NDArray[Any]] | NDArray[Any],
    pictures: list[Image.Image],
    classes: Sequence[str],
) -> list[Labels]:
    if len(masks) != len(pictures):
        raise DataError(f"masks: {len(masks)} for {len(pictures)} images")
    if not 2 <= len(set(classes)) == len(classes) < IGNORE:
        raise DataError("classes: name at least two (at most 254) different classes")
    out = []
    for row, (mask, image) in enumerate(zip(masks, pictures, strict=True)):
        found = np.asarray(mask)
        if not np.issubdtype(found.dtype, np.integer) or found.shape != (image.height, image.width):
            raise DataError(
                f"masks[{row}]: is {found.dtype} {list(found.shape)}; a mask must hold integers "
                f"[{image.height}, {image.width}], as its image has pixels"
            )
        wrong = found[((found < 0) | (found >= len(classes))) & (found != IGNORE)]
        if wrong.size:
            raise DataError(
                f"masks[{row}]: value {wrong[0]} is no class (0 to {len(classes) - 1}) and not "
                f"{IGNORE}, which neither votes nor counts"
            )
        out.append(found.astype(np.uint8))
    return out


def _objects(
    ids: list[str],
    boxes: Sequence[Any] | None,
    instances: Sequence[Any] | None,
    labels: Sequence[Any] | None,
    classes: Sequence[str],
) -> list[tuple[ObjectEntry, ...]]:
    """The objects of each image as a reader lists them."""
    if boxes is None:
        if given := [w for w, v in (("instances", instances), ("labels", labels)) if v is not None]:
            raise DataError(f"{given[0]}: are those of boxes, which are missing")
        return [()] * len(ids)
    if instances is None:
        raise DataError("instances: missing; number the boxes, equal where they are the same thing")
    for what, held in (("boxes", boxes), ("instances", instances), ("labels", labels)):
        if held is not None and len(held) != len(ids):
            raise DataError(f"{what}: {len(held)} for {len(ids)} images")
    found = []
    for row, given in enumerate(boxes):
        places = np.asarray(given, dtype=np.float64) if len(given) else np.zeros((0, 4))
        if places.ndim != 2 or places.shape[1] != 4:
            raise DataError(f"boxes[{row}]: is {list(places.shape)} instead of [K, 4]")
        numbers = _numbers(f"instances[{row}]", instances[row], len(places))
        kinds = [0] * len(places)
        if labels is not None:
            kinds = _numbers(f"labels[{row}]", labels[row], len(places))
        if wrong := [kind for kind in kinds if not 0 <= kind < len(classes)]:
            raise DataError(
                f"labels[{row}]: {wrong[0]} is no class; there are 0 to {len(classes) - 1}"
            )
        for box in places:
            if not has_area((box[0], box[1], box[2], box[3])):
                raise DataError(f"boxes[{row}]: {box.tolist()} has no area; x1 > x0 and y1 > y0")
        found.append(
            tuple(
                ObjectEntry(str(number), kind, (b[0], b[1], b[2], b[3]), track=number)
                for number, kind, b in zip(numbers, kinds, places.tolist(), strict=True)
            )
        )
    return found


def _numbers(what: str, given: Any, count: int) -> list[int]:
    found = np.asarray(given)
    if found.shape != (count,) or (count and not np.issubdtype(found.dtype, np.integer)):
        raise DataError(
            f"{what}: is {found.dtype} {list(found.shape)}; it must be integers [{count}]"
        )
    return [int(number) for number in found]


def _videos(ids: list[str], names: Sequence[str] | None) -> list[tuple[str | None, int | None]]:
    """The video of each image, and its number in it, from 1."""
    if names is None:
        return [(None, None)] * len(ids)
    if len(names) != len(ids):
        raise DataError(f"sequences: {len(names)} for {len(ids)} images")
    counted = dict[str, int]()
    found: list[tuple[str | None, int | None]] = []
    for name in map(str, names):
        counted[name] = counted.get(name, 0) + 1
        found.append((name, counted[name]))
    return found


def _listed(
    root: Path, pictures: Mapping[str, Image.Image], listed: Sequence[tuple[ObjectEntry, ...]]
) -> pd.DataFrame:
    """The table of objects, as the stage `index` writes it."""
    frame, layout, rows = Frame(), Layout((), {}, ()), []
    numbers: dict[Hashable, int] = {}
    for (image_id, one), objects in zip(pictures.items(), listed, strict=True):
        entry = ImageEntry(image_id, "", image_id, objects=objects)
        frame.add([(entry, one.size)])
        for found in objects_of(entry, layout, root, Seen(one.size)):
            rows.append(object_row(image_id, found, numbers))
    frame.check(root, official=False)
    table = pa.Table.from_pylist(rows, schema=tables.OBJECTS)
    return tables.typed(table.to_pandas())


class _Arrays(Index):
    """An index of arrays: what `build` makes of files, of images that are there already."""

    def __init__(
        self,
        name: str,
        pictures: dict[str, Image.Image],
        masks: list[Labels] | None,
        classes: Sequence[str],
        table: pd.DataFrame,
    ) -> None:
        self.folder = self.root = Path(name)
        self.reader, self.classes, self.palette = "arrays", list(classes), []
        self.labels = {i: i for i in range(len(classes))}
        self.terms = Terms()
        self.partial, self.official = False, True
        self.images = table.set_index("image_id")
        self.pictures = pictures
        self._masks = dict(zip(pictures, masks or [], strict=masks is not None))

    def fill(self, own: Dataset) -> None:
        """Choose support and query, as the stage `index` does."""
        table, name = self.images.reset_index(), str(self.root)
        chosen = None
        if own.support is not None:
            chosen = support_images(name, table, self.classes, {}, own.support)
            self.support = chosen.reset_index(drop=True)
        assert own.query is not None
        self.query = query_images(name, table, own.query, chosen)
        layout = Layout(tuple(self.classes), self.labels, (), reader=OWN)
        gate = Gate(self.root, layout, self._present())
        gate.judge(chosen, self.query, self._twins())

    def _present(self) -> dict[str, list[int]]:
        labels = {image_id: np.unique(mask) for image_id, mask in self._masks.items()}
        return {i: [int(c) for c in found if c != IGNORE] for i, found in labels.items()}

    def _twins(self) -> list[list[str]]:
        by_content: dict[str, list[str]] = {}
        for image_id in self.pictures:
            by_content.setdefault(self.content(image_id), []).append(image_id)
        return [group for group in by_content.values() if len(group) > 1]

    @property
    def has_support(self) -> bool:
        return "support" in vars(self)

    def image(self, image_id: str) -> Image.Image:
        return self.pictures[image_id]

    def content(self, image_id: str) -> str:
        return md5(self.pictures[image_id].tobytes()).hexdigest()

    def mask(self, image_id: str) -> Mask:
        return self._masks[image_id]
