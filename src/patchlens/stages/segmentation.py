"""Stage segmentation: T1 of one model on one dataset."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.errors import FitError, SettingsError
from patchlens.features.device import resolve
from patchlens.files import write_csv, write_json, write_parquet
from patchlens.progress import log
from patchlens.protocol import PROTOCOL_VERSION
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Prune
from patchlens.settings.segmentation import Segmentation, Uncertainty
from patchlens.stages.few_shot import Inputs, headline_m, open_inputs, support_set
from patchlens.tasks import summary
from patchlens.tasks.segmentation import Run, Task


def run(
    name: str,
    model: str,
    dataset: Dataset,
    prune: Prune,
    segmentation: Segmentation,
    uncertainty: Uncertainty,
    device: Device,
) -> None:
    """Write the cell, the sweeps, the class scores and the records of T1."""
    where = resolve(device)
    index = Index(paths.index(name), paths.images(name, dataset))
    inputs = open_inputs(index, name, model, segmentation)
    task = Task(segmentation, prune, inputs.query.header.layers, where, inputs.query_set())
    try:
        supports = [
            support_set(
                inputs,
                row,
                prune,
                segmentation,
                headline_m(inputs, seed, prune, segmentation, where),
            )
            for row, seed in enumerate(index.seeds)
        ]
        runs = list(task.run(supports, f"segmentation {model} × {name}"))
    except FitError as error:
        raise SettingsError(f"{model} × {name}: {error}") from None
    about = _about(inputs, dataset, prune, segmentation)
    about["prune_m_used"] = float(np.mean([support.fit_data.m for support in supports]))
    _write(paths.cell(name, model), runs, inputs, about, segmentation, uncertainty)
    log.info("%s × %s: %d runs scored", model, name, len(runs))


def _about(
    inputs: Inputs, dataset: Dataset, prune: Prune, segmentation: Segmentation
) -> dict[str, Any]:
    """The protocol of the cell: what a reader must know to compare its numbers."""
    header, index = inputs.query.header, inputs.index
    shots, (support, query) = segmentation.shots, dataset.few_shot()
    banks = [
        sum(int((inputs.labels[i] != IGNORE).sum()) for i in index.support_ids(seed, shots))
        for seed in index.seeds
    ]
    scored = [inputs.labels[i] for i in header.image_ids]
    return {
        "protocol_version": PROTOCOL_VERSION,
        "dataset": header.dataset,
        "model": header.model,
        "weights": header.weights[:12],
        "split_support": support.split,
        "split_query": query.split,
        "view": header.view,
        "grid_rule": dataset.view.grid,
        "grid": f"{header.grid[0]}×{header.grid[1]}",
        "layer": header.layers[0],
        "norm": str(header.norm),
        "dtype": header.dtype,
        "width": header.width,
        "label": segmentation.label,
        "distance": segmentation.knn.distance,
        "vote": segmentation.knn.vote,
        "k": segmentation.k,
        "shots": shots,
        "shots_per": support.per,
        "seeds": len(index.seeds),
        "fit_on": prune.fit_on,
        "prune_m": prune.m,
        "prune_select": prune.select,
        "random_draws": prune.random_draws,
        "pca_drop": prune.pca_drop,
        "query_images": len(scored),
        "query_units": int(index.query["unit"].nunique()),
        "query_unit": query.unit,
        "query_patches": int(sum((labels != IGNORE).sum() for labels in scored)),
        "classes": len(index.classes),
        "torch": version("torch"),
        "timm": version("timm"),
        "numpy": version("numpy"),
        "bank_patches": round(float(np.mean(banks)), 1),
        "bank_mb": round(float(np.mean(banks)) * header.width * 4 / 1e6, 2),
    }


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
    write_parquet(summary.records(flat, ids), out / "segmentation.records.parquet")
    write_json(cell, out / "segmentation.json")
