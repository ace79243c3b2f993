"""Stage segmentation: T1 of one model on one dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patchlens import paths
from patchlens.errors import FitError, SettingsError
from patchlens.features.device import resolve
from patchlens.files import write_csv, write_json, write_parquet
from patchlens.names import DatasetName, ModelName
from patchlens.progress import log
from patchlens.settings.segmentation import Segmentation, Uncertainty
from patchlens.stages.few_shot import Inputs, open_inputs, protocol, support_sets
from patchlens.tasks import summary
from patchlens.tasks.segmentation import Run, Task

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> None:
    """Write the cell, the sweeps, the class scores and the records of T1."""
    prune, segmentation = settings.prune, settings.segmentation
    where = resolve(settings.device)
    inputs = open_inputs(dataset=dataset, model=model, settings=settings)
    query = inputs.query_set(inputs.query.header.image_ids)
    task = Task(segmentation, prune, inputs.query.header.layers, where, query)
    try:
        supports = support_sets(inputs, prune, segmentation, where)
        runs = list(task.run(supports, f"segmentation {model} × {dataset}"))
    except FitError as error:
        raise SettingsError(f"{model} × {dataset}: {error}") from None
    about = protocol(inputs, dataset=dataset, settings=settings) | {
        "prune_m": prune.m,
        "prune_select": prune.select,
        "prune_m_used": float(np.mean([support.fit_data.m for support in supports])),
    }
    out = paths.cell(dataset=dataset, model=model)
    _write(out, runs, inputs, about, segmentation, settings.uncertainty)
    log.info("%s × %s: %d runs scored", model, dataset, len(runs))


def _write(
    out: Path,
    runs: Sequence[Run],
    inputs: Inputs,
    about: dict[str, Any],
    segmentation: Segmentation,
    uncertainty: Uncertainty,
) -> None:
    ids = inputs.query.header.image_ids
    units = list(inputs.index.query.set_index("image_id").loc[ids, "unit"])
    layer = inputs.layer
    headline: dict[tuple[str, str], list[Run]] = {}
    for one in runs:
        if summary.is_headline(one, layer, segmentation.shots, segmentation.k):
            headline.setdefault((one.head, one.variant), []).append(one)
    cell: dict[str, Any] = {"protocol": about}
    for (head, variant), members in headline.items():
        scores = summary.score(members, units, uncertainty.resamples, uncertainty.seed)
        cell.setdefault(head, {})[variant] = scores
    at_layer = [r for r in runs if r.layer == layer]
    sweeps = {
        "k": [r for r in at_layer if r.shots == segmentation.shots and r.k > 0],
        "layer": [
            r
            for r in runs
            if (r.head, r.variant, r.k, r.shots)
            == ("knn", "raw", segmentation.k, segmentation.shots)
        ],
        "shots": [
            r
            for r in at_layer
            if r.variant == "raw" and r.head != "majority" and r.k in (0, segmentation.k)
        ],
    }
    for axis, members in sweeps.items():
        write_csv(summary.sweep(members, axis), out / f"segmentation_{axis}.csv")
    write_csv(
        summary.class_scores(headline, inputs.index.classes), out / "segmentation_classes.csv"
    )
    flat = [one for members in headline.values() for one in members]
    write_csv(summary.chosen_c(flat), out / "segmentation_c.csv")
    write_parquet(summary.records(flat, ids), out / "segmentation.records.parquet")
    write_json(cell, out / "segmentation.json")
