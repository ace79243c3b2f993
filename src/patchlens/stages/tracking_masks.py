"""T4c within the stage: label propagation on DAVIS, scored by J and F."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from patchlens.datasets.layout import IGNORE
from patchlens.errors import DataError
from patchlens.features.device import resolve
from patchlens.features.variants import Transform, applied
from patchlens.files import whole_file
from patchlens.progress import log, track
from patchlens.settings.features import Device
from patchlens.settings.tracking import Propagation
from patchlens.stages.fitted import Fitted
from patchlens.stages.tracking_videos import Found, sequences
from patchlens.tasks.mask_scores import boundary_accuracy, region_similarity, statistics
from patchlens.tasks.propagation import enlarge, one_hot, propagate
from patchlens.tasks.tracking_summary import rows
from patchlens.tasks.videos import Bools, Floats

COLOURS = [0, 0, 0, 230, 159, 0, 86, 180, 233, 0, 158, 115, 240, 228, 66, 0, 114, 178]
COLOURS += [213, 94, 0, 204, 121, 167]  # background, then those of Okabe and Ito
COLOURS += [255] * (3 * 256 - len(COLOURS))  # a shorter palette would truncate values to its bits
NO_VOID = -1  # no value of a mask
Ids = NDArray[np.uint8]


def run(fitted: Fitted, settings: Propagation, device: Device, out: Path) -> Found:
    """Propagate the objects of every first frame; the masks are written to `out`.

    As in DAVIS, the given objects are scored in all frames except the first and the last. Videos of
    fewer than three frames are skipped.

    Raises:
        DataError: no video has a frame to score, or a first frame has no object.
        SettingsError: an image does not belong to a sequence.
    """
    found = Found()
    videos = sequences(fitted.index, fitted.query)
    objects = scored_videos = 0
    # 2016: grey, 255 is the object. 2017: a palette, 255 is void.
    has_void = fitted.index.labels[IGNORE] == IGNORE
    colours, void = (COLOURS, IGNORE) if has_void else (None, NO_VOID)
    for name, ids in track(videos.items(), total=len(videos), what="propagate", unit="video"):
        if len(ids) < 3:
            log.info("%s: skipped, no frame between the first and the last of %d", name, len(ids))
            continue
        given = _objects(fitted, name, ids[0])
        objects += len(given)
        scored_videos += 1
        for variant, transforms in fitted.transforms.items():
            for draw, transform in enumerate(transforms):
                masks = _propagated(fitted, ids, given, transform, settings, device)
                if draw == 0:
                    masks = _kept(ids, masks, colours, out / variant / "davis" / name)
                scored = _scored(fitted, ids, given, masks, void)
                found.rows += rows("davis", variant, draw, name, scored)
    if not objects:
        raise DataError(
            f"{fitted.index.folder}: no video has three frames, so nothing can be scored; choose "
            "longer videos for T4"
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


def _objects(fitted: Fitted, name: str, first: str) -> list[int]:
    """The values of the objects in the mask of the first frame."""
    listed = fitted.index.objects
    values = listed.loc[listed["image_id"] == first, "mask_value"].dropna()
    if values.empty:
        raise DataError(
            f"{fitted.index.root}: video '{name}': its first frame '{first}' has no object to "
            "propagate; check the annotation of this frame"
        )
    return sorted(int(value) for value in values)


def _propagated(
    fitted: Fitted,
    ids: Sequence[str],
    given: Sequence[int],
    transform: Transform,
    settings: Propagation,
    device: Device,
) -> Iterator[Ids]:
    """Mask values [H, W] of every frame, including the given mask of the first."""
    where = resolve(device)
    truth = fitted.index.instance_mask(ids[0])
    positions = np.zeros_like(truth)
    for position, value in enumerate(given, start=1):
        positions[truth == value] = position
    values = np.array([0, *given], dtype=np.uint8)
    yield values[positions]
    grid = fitted.query.header.grid
    first = one_hot(torch.from_numpy(positions), len(values), grid).to(where)

    def features() -> Iterator[torch.Tensor]:
        for image_id in ids:
            raw = fitted.query.images([image_id], fitted.layer)[0]
            yield torch.from_numpy(applied(transform, raw)).to(where)

    for labels in propagate(features(), first, settings):
        yield values[enlarge(labels, (truth.shape[0], truth.shape[1])).cpu().numpy()]


def _kept(
    ids: Sequence[str], masks: Iterator[Ids], colours: list[int] | None, folder: Path
) -> Iterator[Ids]:
    """Yield the masks, and write each of them in the format of DAVIS's annotations."""
    for image_id, mask in zip(ids, masks, strict=True):
        image = Image.fromarray(mask)
        if colours is not None:
            image.putpalette(colours)
        with whole_file(folder / f"{Path(image_id).name}.png") as partial:
            image.save(partial, format="PNG")
        yield mask


def _scored(
    fitted: Fitted, ids: Sequence[str], given: Sequence[int], masks: Iterator[Ids], void: int
) -> dict[str, float]:
    """The statistics of J and F, summed over the objects of a video, and the number of objects."""
    each: dict[int, list[tuple[float, float]]] = {value: [] for value in given}
    for position, (image_id, mask) in enumerate(zip(ids, masks, strict=True)):
        if position in (0, len(ids) - 1):
            continue
        truth = fitted.index.instance_mask(image_id)
        counted = truth != void
        for value, scores in each.items():
            scores.append(_both((truth == value) & counted, (mask == value) & counted))
    sums = {"objects": float(len(each))}
    for scores in each.values():
        values: Mapping[str, Floats] = dict(zip("jf", np.array(scores).T, strict=True))
        for name, number in statistics(values).items():
            sums[name] = sums.get(name, 0.0) + number
    return sums


def _both(truth: Bools, found: Bools) -> tuple[float, float]:
    return region_similarity(truth, found), boundary_accuracy(truth, found)
