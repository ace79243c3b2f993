"""T4c within the stage: label propagation on DAVIS, scored by J and F."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from patchlens.arrays import Bools, Floats, Labels
from patchlens.datasets.layout import IGNORE
from patchlens.errors import DataError
from patchlens.features.cell import Fitted
from patchlens.features.device import Where, resolve
from patchlens.features.variants import Transform, applied
from patchlens.files import whole_file
from patchlens.progress import bar, log
from patchlens.tasks.tracking.inputs import Tracked, sequences
from patchlens.tasks.tracking.mask_scores import boundary_accuracy, region_similarity, statistics
from patchlens.tasks.tracking.propagation import enlarge, one_hot, propagate
from patchlens.tasks.tracking.settings import Propagation
from patchlens.tasks.tracking.summary import rows

MASK_PALETTE = [0, 0, 0, 230, 159, 0, 86, 180, 233, 0, 158, 115, 240, 228, 66, 0, 114, 178]
MASK_PALETTE += [213, 94, 0, 204, 121, 167]  # background, then those of Okabe and Ito
MASK_PALETTE += [255] * (
    3 * 256 - len(MASK_PALETTE)
)  # a shorter palette would truncate values to its bits
NO_VOID = -1  # no value of a mask


def run(fitted: Fitted, settings: Propagation, out: Path) -> Tracked:
    """Propagate the objects of every first frame; the masks are written to `out`.

    As in DAVIS, the given objects are scored in all frames except the first and the last. Videos of
    fewer than three frames, and those whose first frame has no object, are skipped.

    In a partial dataset, the objects of the first labelled frame are carried to both ends, and
    scored in the other labelled frames. Without any, the masks are all there is.

    Raises:
        DataError: no video has an object in its first frame and a frame to carry it to.
        SettingsError: an image does not belong to a sequence.
    """
    found, where = Tracked(), resolve(fitted.cell.settings.device)
    videos = sequences(fitted.cell.index, fitted.cell.query)
    objects = scored_videos = 0
    partial = fitted.cell.index.partial
    # 2016: grey, 255 is the object. 2017: a palette, 255 is void.
    has_void = partial or fitted.cell.index.labels[IGNORE] == IGNORE
    colours, void = (MASK_PALETTE, IGNORE) if has_void else (None, NO_VOID)
    frames = sum(map(len, videos.values())) * sum(map(len, fitted.transforms.values()))
    shown = bar(total=frames, what=f"propagate {fitted.cell}", unit="frame")
    for name, ids in videos.items():
        if len(ids) < (2 if partial else 3):
            log.info("%s: skipped, no frame between the first and the last of %d", name, len(ids))
            continue
        labelled = _labelled(fitted, ids) if partial else ids
        given = _objects(fitted, labelled[0]) if labelled else []
        if not given:
            log.warning("%s: skipped, its first frame '%s' has no object to propagate; check its "
                        "annotation", name, (labelled or ids)[0])  # fmt: skip
            continue
        to_score = {*(labelled[1:] if partial else ids[1:-1])}
        start = ids.index(labelled[0])
        ways = [ids[start:]] + ([ids[start::-1]] if start else [])
        order = [*ids[start:], *ids[:start][::-1]]
        objects += len(given)
        scored_videos += 1
        for variant, transforms in fitted.transforms.items():
            for draw, transform in enumerate(transforms):
                masks = _counted(
                    _both_ways(fitted, ways, given, transform, settings, where), shown.update
                )
                if draw == 0:
                    masks = _kept(order, masks, colours, out / variant / "davis" / name)
                scored = _scored(fitted, order, to_score, given, masks, void)
                if to_score:
                    found.rows += rows("davis", variant, draw, name, scored)
    shown.close()
    if not objects:
        raise DataError(
            f"{fitted.cell.index.folder}: no video has {'two' if partial else 'three'} frames and "
            "an object in its first, so nothing can be scored; choose other videos for T4"
        )
    found.about = {
        "videos": scored_videos,
        "objects": objects,
        "queue": settings.queue,
        "radius": settings.radius,
        "top": settings.top,
        "temperature": settings.temperature,
    }
    return found


def _objects(fitted: Fitted, first: str) -> list[int]:
    """The values of the objects in the mask of the first frame."""
    listed = fitted.cell.index.objects
    values = listed.loc[listed["image_id"] == first, "mask_value"].dropna()
    return sorted(int(value) for value in values)


def _labelled(fitted: Fitted, ids: Sequence[str]) -> list[str]:
    """The frames with an instance mask, from the first one with an object."""
    has_mask = fitted.cell.index.images.loc[list(ids), "instances"].notna()
    found = [image_id for image_id, has in zip(ids, has_mask, strict=True) if has]
    return found[next((i for i, f in enumerate(found) if _objects(fitted, f)), len(found)) :]


def _both_ways(
    fitted: Fitted,
    ways: Sequence[Sequence[str]],
    given: Sequence[int],
    transform: Transform,
    settings: Propagation,
    where: Where,
) -> Iterator[Labels]:
    """The masks of the frames after the given one, with that one, and then of those before it."""
    for number, ids in enumerate(ways):
        masks = _propagated(fitted, ids, given, transform, settings, where)
        yield from islice(masks, min(number, 1), None)


def _counted(masks: Iterator[Labels], step: Callable[[int], object]) -> Iterator[Labels]:
    for mask in masks:
        yield mask
        step(1)


def _propagated(
    fitted: Fitted,
    ids: Sequence[str],
    given: Sequence[int],
    transform: Transform,
    settings: Propagation,
    where: Where,
) -> Iterator[Labels]:
    """Mask values [H, W] of every frame, including the given mask of the first."""
    truth = fitted.cell.index.instance_mask(ids[0])
    positions = np.zeros_like(truth)
    for position, value in enumerate(given, start=1):
        positions[truth == value] = position
    values = np.array([0, *given], dtype=np.uint8)
    yield values[positions]
    grid = fitted.cell.query.header.grid
    first = one_hot(torch.from_numpy(positions), len(values), grid).to(where)

    def features() -> Iterator[torch.Tensor]:
        for image_id in ids:
            raw = fitted.cell.query.images([image_id], fitted.cell.layer)[0]
            yield torch.from_numpy(applied(transform, raw)).to(where)

    for labels in propagate(features(), first, settings):
        yield values[enlarge(labels, (truth.shape[0], truth.shape[1])).cpu().numpy()]


def _kept(
    ids: Sequence[str], masks: Iterator[Labels], colours: list[int] | None, folder: Path
) -> Iterator[Labels]:
    """Yield the masks, and write each of them in the format of DAVIS's annotations."""
    for image_id, mask in zip(ids, masks, strict=True):
        image = Image.fromarray(mask)
        if colours is not None:
            image.putpalette(colours)
        with whole_file(folder / f"{Path(image_id).name}.png") as partial:
            image.save(partial, format="PNG")
        yield mask


def _scored(
    fitted: Fitted,
    ids: Sequence[str],
    to_score: Collection[str],
    given: Sequence[int],
    masks: Iterator[Labels],
    void: int,
) -> dict[str, float]:
    """The statistics of J and F, summed over the objects of a video, and the number of objects."""
    each: dict[int, list[tuple[float, float]]] = {value: [] for value in given}
    for image_id, mask in zip(ids, masks, strict=True):
        if image_id not in to_score:
            continue
        truth = fitted.cell.index.instance_mask(image_id)
        counted = truth != void
        for value, scores in each.items():
            scores.append(_both((truth == value) & counted, (mask == value) & counted))
    sums = {"objects": float(len(each))}
    for scores in each.values() if to_score else ():
        values: Mapping[str, Floats] = dict(zip("jf", np.array(scores).T, strict=True))
        for name, number in statistics(values).items():
            sums[name] = sums.get(name, 0.0) + number
    return sums


def _both(truth: Bools, found: Bools) -> tuple[float, float]:
    return region_similarity(truth, found), boundary_accuracy(truth, found)
