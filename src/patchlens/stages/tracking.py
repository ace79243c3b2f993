"""Stage tracking: T4 of one model on one dataset."""

from typing import TYPE_CHECKING, Any

from patchlens import paths
from patchlens.files import whole_folder, write_csv, write_json, write_parquet
from patchlens.names import DatasetName, ModelName
from patchlens.progress import log
from patchlens.stages import tracking_boxes
from patchlens.stages.fitted import open_fitted, protocol
from patchlens.tasks import tracking_summary as summary
from patchlens.tasks.weighted import scored

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> None:
    """Write the cell, the curve over Δ, the records and the tracks of T4."""
    tracking, uncertainty = settings.tracking, settings.uncertainty
    variants = settings.segmentation.variants
    fitted = open_fitted(dataset=dataset, model=model, settings=settings)
    with whole_folder(paths.tracks(dataset=dataset, model=model)) as out:
        if fitted.index.reader == "davis":
            from patchlens.stages import tracking_masks  # torch: only where it is used

            found = tracking_masks.run(fitted, tracking.davis, settings.device, out)
        else:
            found = tracking_boxes.run(fitted, settings.dataset(dataset).kind, tracking, out)
    table = summary.records(found.rows)
    cell: dict[str, Any] = scored(summary.weighted, table, uncertainty.resamples, uncertainty.seed)
    for (head, variant), extra in found.extra.items():
        cell[head][variant] |= extra
    cell["protocol"] = (
        protocol(fitted, dataset=dataset, settings=settings) | found.about | {"unit": "video"}
    )
    folder = paths.cell(dataset=dataset, model=model)
    curve = summary.curve(table, cell.get("association", {}), variants, tracking.deltas)
    write_csv(curve, folder / "tracking.csv")
    write_parquet(table, folder / "tracking.records.parquet")
    write_json(cell, folder / "tracking.json")
    log.info("%s × %s: %d videos tracked", model, dataset, found.about["videos"])
