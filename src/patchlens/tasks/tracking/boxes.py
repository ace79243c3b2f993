"""T4a and T4b within the stage: association of objects, and linking of whole videos."""

from importlib.metadata import version
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from patchlens.arrays import Floats
from patchlens.errors import DataError
from patchlens.features.cell import Fitted
from patchlens.progress import log, track
from patchlens.settings.features import VariantName
from patchlens.tasks.tracking.association import associate
from patchlens.tasks.tracking.files import TrackFiles
from patchlens.tasks.tracking.inputs import Features, Tracked, opened, sequences
from patchlens.tasks.tracking.linking import FREE, association_counts, best_threshold, link
from patchlens.tasks.tracking.official import scorer
from patchlens.tasks.tracking.settings import Tracking
from patchlens.tasks.tracking.summary import by_delta, rows
from patchlens.tasks.tracking.videos import Video

One = tuple[VariantName, int]  # a variant and its draw
Sums = dict[One, dict[str, Floats]]  # of each sequence, [thresholds, 2]


def run(fitted: Fitted, tracking: Tracking, out: Path) -> Tracked:
    """Associate and link all query videos; the tracks of the headline are written to `out`.

    The birth threshold of a video is chosen on the support videos, or on all other query videos if
    the dataset has no support.

    Raises:
        DataError: the query has no evaluated objects.
        SettingsError: an image does not belong to a sequence, or no track would live to its next
            frame.
    """
    query = sequences(fitted.cell.index, fitted.cell.query, tracking.age)
    sums = _sums(fitted, tracking)
    found, chosen = Tracked(), dict[One, list[float]]()
    boxes, recurring = 0, False
    with TemporaryDirectory() as work:
        files = TrackFiles(fitted.cell.index, fitted.cell.own.kind, query)
        score, how = scorer(files, Path(work))
        shown = track(
            opened(fitted, fitted.cell.query, query),
            total=len(query),
            what=f"link {fitted.cell}",
            unit="video",
        )
        for video, features in shown:
            boxes += len(video)
            recurring |= len(np.unique(video.instance)) < len(video)
            linked = {}
            for (variant, draw), one in _each(features):
                counts = by_delta(associate(video, one, tracking.deltas), tracking.deltas)
                found.rows += rows("association", variant, draw, video.name, counts)
                others = [s for name, s in sums[variant, draw].items() if name != video.name]
                shaped = np.reshape(others, (-1, len(tracking.thresholds), 2))
                threshold = best_threshold(shaped, tracking.thresholds)
                chosen.setdefault((variant, draw), []).append(threshold)
                for head, limit in (("link", threshold), ("link_free", FREE)):
                    linked[head, variant, draw] = link(video, one, tracking.age, limit)
            for (head, variant, draw), scored in score(video, linked).items():
                found.rows += rows(head, variant, draw, video.name, scored)
            for (head, variant, draw), tracks in linked.items():
                if head == "link" and draw == 0:
                    files.write(video, tracks, out / variant)
    if not boxes:
        raise DataError(
            f"{fitted.cell.index.folder}: the query has no evaluated objects, which T4 needs; "
            "choose a split with ground truth"
        )
    if not recurring:
        log.warning(
            "%s: no object of the query is in two frames: these scores say nothing of tracking; "
            "the annotations must name an object alike in all its frames",
            fitted.cell.index.folder,
        )
    for variant, of in fitted.transforms.items():
        of_draws = chain.from_iterable(chosen[variant, draw] for draw in range(len(of)))
        found.extra["link", variant] = {"birth_threshold": round(float(np.mean([*of_draws])), 4)}
    found.about = {
        "videos": len(query),
        "boxes": boxes,
        "age": tracking.age,
        "threshold_from": "leave-one-out" if fitted.cell.support is None else "support",
        "scored_by": f"TrackEval {version('trackeval')}, {how}",
    }
    return found


def _each(features: Features) -> list[tuple[One, np.ndarray]]:
    return [((variant, d), one) for variant, of in features.items() for d, one in enumerate(of)]


def _sums(fitted: Fitted, tracking: Tracking) -> Sums:
    """The sums of AssA at every threshold, for the videos on which thresholds are chosen."""
    file = fitted.cell.query if fitted.cell.support is None else fitted.cell.support
    names = sequences(fitted.cell.index, file)
    sums: Sums = {
        (variant, draw): {} for variant, of in fitted.transforms.items() for draw in range(len(of))
    }
    what = f"threshold {fitted.cell}"
    shown = track(opened(fitted, file, names), total=len(names), what=what, unit="video")
    for video, features in shown:
        for one, values in _each(features):
            sums[one][video.name] = _at_thresholds(video, values, tracking)
    return sums


def _at_thresholds(video: Video, features: np.ndarray, tracking: Tracking) -> Floats:
    return np.array(
        [
            association_counts(video.instance, link(video, features, tracking.age, threshold))
            for threshold in tracking.thresholds
        ]
    )
