"""Builds the index of a dataset: checks every file once, and chooses support and query.

Images are checked in batches, those with masks by a thread per core (decoding releases the
interpreter's lock; the header of a picture does not, and threads would only wait for each other),
and written in batches, so that memory use does not grow with the dataset.
"""

import json
import zlib
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patchlens.datasets import tables
from patchlens.datasets.alike import near_duplicates
from patchlens.datasets.below import check_inside
from patchlens.datasets.boxes import Frame, check_size, has_area
from patchlens.datasets.gate import Gate
from patchlens.datasets.images import Seen, check_image, open_image
from patchlens.datasets.layout import IGNORE, ImageEntry, Layout, Relevance
from patchlens.datasets.masks import open_id_map, translated
from patchlens.datasets.objects import ImageObject, check_fits, objects_of
from patchlens.datasets.support import query_images, support_images
from patchlens.errors import DataError
from patchlens.files import write_parquet
from patchlens.given import printable
from patchlens.processes import cores
from patchlens.progress import log, track
from patchlens.settings.datasets import Query, Support

BATCH, PART = 1024, 32  # images that are written at once, and checked by one thread
SUSPECT = 3  # instance masks, all with instance 1, that make a warning
Counts = NDArray[np.int64]


class _Checked(NamedTuple):
    entry: ImageEntry
    seen: Seen
    pixels: Counts | None
    mask_mode: str | None
    values: list[int]
    palette: list[tuple[int, ...]]
    objects: list[ImageObject]


def build(
    name: str,
    layout: Layout,
    root: Path,
    support: Support | None,
    query: Query | None,
    out: Path,
) -> pd.DataFrame:
    """Check every image and mask, choose support and query images, write the index into `out`.

    The header and the end of images are read; masks are decoded. Without `support` and `query`,
    their tables are not written.

    Returns:
        The table of images, without their paths.

    Raises:
        DataError: a file is missing or broken, a mask differs in size from its image or contains an
            unknown id, an object is malformed, two images share an id, or there are no images.
        SettingsError: a split in the settings does not exist or is too small, or an image would be
            both support and query.
    """
    pixels, gate = dict[str, Counts](), Gate(root, layout)
    first = max(layout.instances, default=0) + 1 if layout.instance_scope == "dataset" else 1
    numbers, seen, frame = dict[Hashable, int](), set[str](), Frame()
    outside, flat = list[str](), list[str]()
    masked, ones = 0, 0
    with ExitStack() as stack:
        add_images = stack.enter_context(tables.rows_of(out / "images.parquet", tables.IMAGES))
        add_objects = stack.enter_context(tables.rows_of(out / "objects.parquet", tables.OBJECTS))
        for batch in _check_all(layout, root):
            for entry, picture, counts, _, values, palette, found in batch:
                if entry.image_id in seen:
                    raise DataError(
                        f"{root / entry.path}: image id '{entry.image_id}' is used twice"
                    )
                seen.add(entry.image_id)
                if counts is not None:
                    pixels[entry.split] = pixels.get(entry.split, 0) + counts
                    gate.classes[entry.image_id] = [int(c) for c in np.flatnonzero(counts[:-1])]
                gate.image(entry.image_id, entry.path, picture.stamp)
                gate.palettes.add(root / (entry.mask or ""), values, palette)
                unseen = [o for o in found if o.evaluated and o.area == 0]
                outside += [f"{root / entry.path}: {o.key}" for o in unseen]
                given = {o.mask_value for o in found} - {None}
                masked, ones = masked + bool(given), ones + (1 in given)
                lines = [o for o in entry.objects if o.evaluated and not has_area(o.box)]
                flat += [f"{root / entry.path}: {o.instance}" for o in lines]
            frame.add((checked.entry, checked.seen.size) for checked in batch)
            add_images([_image_row(checked) for checked in batch])
            add_objects(
                [object_row(c.entry.image_id, o, numbers, first) for c in batch for o in c.objects]
            )
    if not seen:
        raise DataError(f"{root}: the splits of this dataset list no images")
    frame.check(root, official=layout.reader != "folder")
    for places, what in (
        (outside, "evaluated boxes are outside their image"),
        (flat, "boxes have no area and are not evaluated"),
    ):
        if places:
            log.warning("%d %s, such as %s", len(places), what, places[0])
    if masked >= SUSPECT and ones == masked and layout.instance_scope == "dataset":
        log.warning(
            "instance 1 is in all %d instance masks and taken for one object; if every image "
            "numbers its objects, write instance_scope: image in dataset.yaml",
            masked,
        )
    _warn_of_strangers(out)
    twins = gate.twins()
    _write_about(layout, pixels, twins, gate.palettes.clash, out)
    _write_relevance(layout.relevance, seen, root, out)
    columns = ["image_id", "split", "path", "sequence", "group", "mask"]
    table = tables.read(out / "images.parquet", columns)
    chosen = scored = None
    if support is not None:
        alike = _alike(table, support, layout, root) if support.folds is not None else []
        chosen = support_images(name, table, layout.classes, gate.classes, support, alike)
        write_parquet(chosen, out / "support.parquet")
    if query is not None:
        scored = query_images(name, table, query, chosen)
        write_parquet(scored, out / "query.parquet")
    gate.judge(chosen, scored, twins)
    return table


def _alike(
    table: pd.DataFrame, support: Support, layout: Layout, root: Path
) -> list[tuple[str, str]]:
    """Pairs of images of the support that show the same."""
    mine = table[table["split"].isin(support.split.split("+"))]
    named = list(zip(mine["image_id"], mine["path"], strict=True))
    shown = track(named, total=len(named), what="near-duplicates")
    return near_duplicates((i, open_image(root / path, layout.terms)) for i, path in shown)


def _check_all(layout: Layout, root: Path) -> Iterator[list[_Checked]]:
    total = len(layout.images) if isinstance(layout.images, list | tuple) else None
    checked = track(_check_each(layout, root), total=total, what="index")
    while batch := list(islice(checked, BATCH)):
        yield batch


def _check_each(layout: Layout, root: Path) -> Iterator[_Checked]:
    entries = iter(layout.images)
    with ThreadPoolExecutor(cores()) as pool:
        while batch := list(islice(entries, BATCH)):
            # A future costs as much as reading a header, so that each has several images.
            parts = [batch[i : i + PART] for i in range(0, len(batch), PART)]
            decoded = any(entry.mask or entry.instances for entry in batch)
            each = pool.map if decoded else map
            for part in each(lambda part: [_check(e, layout, root) for e in part], parts):
                yield from part


def _check(entry: ImageEntry, layout: Layout, root: Path) -> _Checked:
    for written in (entry.path, entry.mask, entry.instances):
        if written is not None:
            check_inside(written, f"{root}: image '{printable(entry.image_id)}'")
    seen = check_image(root / entry.path, layout.terms)
    check_size(entry, seen.size, root)
    if entry.window is not None:
        left, top, right, bottom = entry.window
        stamp = seen.stamp[0], zlib.crc32(repr((seen.stamp[1], entry.window)).encode())
        seen = seen._replace(size=(right - left, bottom - top), stamp=stamp)
    if entry.mask is None:
        return _Checked(entry, seen, None, None, [], [], objects_of(entry, layout, root, seen))
    path, terms, values = root / entry.mask, layout.terms, list[int]()
    found = open_id_map(path, terms, colours=terms.colours)
    check_fits(found.ids, path, entry, seen)
    mask = translated(path, found.ids, layout.labels, terms)
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
    pixels = np.append(counts[: len(layout.classes)], counts[IGNORE])
    if found.palette:
        values = [int(v) for v in np.flatnonzero(np.bincount(found.ids.ravel()))]
    objects = objects_of(entry, layout, root, seen)
    return _Checked(entry, seen, pixels, found.mode, values, found.palette, objects)


def _image_row(checked: _Checked) -> dict[str, Any]:
    row = {k: v for k, v in vars(checked.entry).items() if k != "objects"}
    row |= dict(zip(("width", "height"), checked.seen.size, strict=True))
    row |= {key: getattr(checked.seen, key) for key in ("mode", "orientation", "profile")}
    labelled = None if checked.pixels is None else int(checked.pixels[:-1].sum())
    return row | {"mask_mode": checked.mask_mode, "labelled": labelled}


def object_row(
    image_id: str, found: ImageObject, numbers: dict[Hashable, int], first: int = 1
) -> dict[str, Any]:
    """The row of an object in the table of objects.

    An instance whose key is no number gets the next one from `first`, which `numbers` remembers.
    """
    key = found.key
    number = key if isinstance(key, int) else numbers.setdefault(key, first + len(numbers))
    row = {k: v for k, v in vars(found).items() if k not in ("key", "box")}
    row |= dict(zip(("x0", "y0", "x1", "y1"), found.box, strict=True))
    return row | {"image_id": image_id, "instance": number}


def _warn_of_strangers(out: Path) -> None:
    """Say so if nothing recurs in the videos of a dataset."""
    images = tables.read(out / "images.parquet", ["image_id", "sequence", "frame"])
    images = images[images["sequence"].notna() & images["frame"].notna()]
    videos = images[images.duplicated("sequence", keep=False)]
    columns = ["image_id", "instance", "evaluated"]
    objects = tables.read(out / "objects.parquet", columns) if len(videos) else images[:0]
    mine = objects[objects["image_id"].isin(videos["image_id"])]
    mine = mine[mine["evaluated"]] if len(mine) else mine
    if mine["image_id"].nunique() > 1 and not mine["instance"].duplicated().any():
        log.warning(
            "no object of the videos is in two images: nothing can be tracked, and if objects do "
            "recur, their annotations must name them alike (track_id in a json, id in tracks)"
        )


def _write_about(
    layout: Layout,
    pixels: dict[str, Counts],
    twins: list[list[str]],
    clash: list[str],
    out: Path,
) -> None:
    about: dict[str, Any] = {
        "reader": layout.reader,
        "classes": list(layout.classes),
        "labels": {str(value): label for value, label in layout.labels.items()},
        "terms": asdict(layout.terms),
        "palette": [list(colour) for colour in layout.palette],
        "twins": twins,
        "pixels": {split: counts.tolist() for split, counts in pixels.items()},
    } | ({"palettes": clash} if clash else {})
    about |= {"partial": True} if layout.partial else {}
    about |= {} if layout.official else {"official": False}
    (out / "dataset.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _write_relevance(pairs: Iterable[Relevance], known: set[str], root: Path, out: Path) -> None:
    rows = []
    for pair in pairs:
        for image_id in (pair.query_id, pair.image_id):
            if image_id not in known:
                raise DataError(f"{root}: the ground truth lists unknown image '{image_id}'")
        rows.append(asdict(pair))
    if rows:
        with tables.rows_of(out / "relevance.parquet", tables.RELEVANCE) as add:
            add(rows)
