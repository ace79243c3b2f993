"""Stage tracking: T4 of one model on one dataset."""

from collections.abc import Sequence
from typing import Any

from patchlens import paths
from patchlens.files import whole_folder, write_csv, write_json, write_parquet
from patchlens.progress import log
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Prune, VariantName
from patchlens.settings.segmentation import Uncertainty
from patchlens.settings.tracking import Tracking
from patchlens.stages import tracking_boxes
from patchlens.stages.fitted import open_fitted, protocol
from patchlens.tasks import tracking_summary as summary
from patchlens.tasks.weighted import scored


def run(
    name: str,
    model: str,
    dataset: Dataset,
    variants: Sequence[VariantName],
    prune: Prune,
    tracking: Tracking,
    uncertainty: Uncertainty,
    device: Device,
) -> None:
    """Write the cell, the curve over Δ, the records and the tracks of T4."""
    fitted = open_fitted(name, model, dataset, variants, prune)
    with whole_folder(paths.tracks(name, model)) as out:
        if fitted.index.reader == "davis":
            from patchlens.stages import tracking_masks  # torch: only where it is used

            found = tracking_masks.run(fitted, tracking.davis, device, out)
        else:
            found = tracking_boxes.run(fitted, dataset.kind, tracking, out)
    table = summary.records(found.rows)
    cell: dict[str, Any] = scored(summary.weighted, table, uncertainty.resamples, uncertainty.seed)
    for (head, variant), extra in found.extra.items():
        cell[head][variant] |= extra
    cell["protocol"] = protocol(fitted, dataset, prune) | found.about | {"unit": "video"}
    folder = paths.cell(name, model)
    curve = summary.curve(table, cell.get("association", {}), variants, tracking.deltas)
    write_csv(curve, folder / "tracking.csv")
    write_parquet(table, folder / "tracking.records.parquet")
    write_json(cell, folder / "tracking.json")
    log.info("%s × %s: %d videos tracked", model, name, found.about["videos"])
