"""T4 of a cell."""

from functools import partial
from typing import Any

from patchlens.features.cell import Cell
from patchlens.files import whole_folder
from patchlens.progress import log
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.result import Result
from patchlens.tasks.tracking import boxes, summary
from patchlens.tasks.tracking.inputs import propagates
from patchlens.tasks.tracking.metrics import weighted
from patchlens.tasks.tracking.settings import Tracking


def run(cell: Cell) -> Result:
    """Score association, linking or propagation, with a curve over Δ; write the tracks."""
    tracking = cell.settings.section(Tracking)
    fitted = cell.fit()
    with whole_folder(cell.tracks) as out:
        if propagates(cell.index):
            from patchlens.tasks.tracking import masks  # torch: only where it is used

            found = masks.run(fitted, tracking.davis, out)
        else:
            found = boxes.run(fitted, tracking, out)
    records = summary.records(found.rows)
    resampler = SharedResampler.of(cell.settings.uncertainty)
    metrics: dict[str, Any] = scored(partial(weighted, index=cell.index), records, resampler)
    for (head, variant), extra in found.extra.items():
        metrics[head][variant] |= extra
    scores = metrics.get("association", {})
    curve = summary.curve(records, scores, cell.settings.variants, tracking.deltas)
    log.info("%s: %d videos tracked", cell, found.about["videos"])
    protocol = fitted.protocol() | found.about | {"unit": "video"}
    return Result(metrics, protocol, {"": curve}, records)
