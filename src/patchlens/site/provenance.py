"""What was run, with counts, seeds, hashes and licences, and what was not run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from patchlens.backbones.registry.read import find
from patchlens.backbones.registry.show import licence as licence_of
from patchlens.datasets.catalogue import find as kind_of
from patchlens.display import grid
from patchlens.settings.datasets import Minicity
from patchlens.settings.models import Model, PixelsModel
from patchlens.site.figure import Grid, TableCell
from patchlens.site.reading import Run

OURS = "weights"  # the folder of what this repository trained
SLASH = (
    "A slash separates the values of models that differ, such as layer 11/0: block 11, counted "
    "from 0, of the models with blocks, and 0 of a floor without a network."
)
ROLES = {"rival": "compared", "ceiling": "ceiling", "floor": "floor"}
# What differs from row to row says nothing of a protocol.
FIXED = (
    *("protocol_version", "view", "grid", "grid_rule", "layer", "norm", "dtype", "distance", "k"),
    *("vote", "label", "shots", "shots_per", "seeds", "split_support", "split_query"),
    *("query_images", "query_patches", "objects", "videos", "boxes", "fit", "fit_on", "prune_m"),
    *("prune_select", "random_draws", "torch", "timm", "numpy"),
)


def grids(run: Run) -> list[Grid]:
    """The tables of models, datasets and protocols."""
    return [_models(run), _datasets(run), *_protocols(run)]


def not_run(run: Run) -> list[str]:
    """One line for each task that was not run."""
    return [
        f"{task}: not run ({task}.datasets in params.yaml lists no datasets)."
        for task, table in run.tables.items()
        if table.empty
    ]


def licence(model: Model) -> str:
    """The licence of a model's weights, as far as it is known."""
    if model.source == "registry":
        return licence_of(find(model.model, "patchlens models"))
    if model.source == "file" and Path(model.file).parts[0] == OURS:
        return "licence of this repository"
    return {
        "timm": "see the model's page on the hub",
        "hub": "see the model's page on the hub",
        "file": "your own file: see its source",
        "python": "your own code: see its source",
        "untrained": "no weights: drawn from a seed",
        "pixels": "no weights",
        "place": "no weights",
    }[model.source]


def _models(run: Run) -> Grid:
    rows = []
    for name, model in run.settings.models.items():
        record = run.weights[name]
        costs = [
            t[t["model"] == name].iloc[0] for t in run.tables.values() if (t["model"] == name).any()
        ]
        cost: Mapping[Any, Any] = dict(costs[0]) if costs else {}
        numbers = [cost.get(key) for key in grid.COST]
        digest = record["sha256"] or record["tensors"]
        rows.append(
            [
                TableCell(name),
                TableCell(ROLES[run.role(name)] if costs else "not run"),
                TableCell(str(record["source"]).split(", sha256")[0].removeprefix("file ")),
                TableCell("–" if isinstance(model, PixelsModel) else digest[:12]),
                TableCell(licence(model)),
                TableCell(str(cost.get("architecture", ""))),
                TableCell(run.objectives[name]),
                *(TableCell("" if n is None else grid.number(n), n) for n in numbers),
            ]
        )
    header = ["model", "role", "weights", "hash", "licence", "architecture", "objective"]
    header += grid.COST.values()
    note = (
        "Hash: the first digits of the SHA-256 of the weight file, or of its tensors where it was "
        "converted; the whole is in metrics/weights/. Licences are as their publishers state them."
    )
    return Grid("models", "Models", header, rows, note)


def _datasets(run: Run) -> Grid:
    rows = []
    for name, dataset in run.settings.datasets.items():
        made = isinstance(dataset, Minicity)
        terms = (
            "made by this pipeline: licence of this repository"
            if made
            else kind_of(dataset.kind).licence
        )
        tasks = [task for task, names in run.settings.tasks().items() if name in names]
        support, query = dataset.support, dataset.query
        rows.append(
            [
                TableCell(name),
                TableCell(dataset.kind),
                TableCell(
                    "none"
                    if support is None
                    else f"{support.images} of {support.split} ({support.per})"
                ),
                TableCell("" if support is None else " ".join(map(str, support.seeds))),
                TableCell(
                    "none"
                    if query is None
                    else f"{query.images} of {query.split}, unit {query.unit}"
                ),
                TableCell(", ".join(tasks) or "not run"),
                TableCell(terms),
            ]
        )
    header = ["dataset", "kind", "support images", "seeds", "query images", "tasks", "licence"]
    return Grid("datasets", "Datasets", header, rows)


def _protocols(run: Run) -> list[Grid]:
    """One table: one row per setting, one column per task and dataset."""
    columns = {
        f"{task} on {dataset}": rows
        for task, table in run.tables.items()
        for dataset, rows in table.groupby("dataset", sort=False)
    }
    keys: Sequence[str] = [key for key in FIXED if any(key in rows for rows in columns.values())]
    body = [
        [
            TableCell(key.replace("_", " ")),
            *(TableCell(_value(rows, key)) for rows in columns.values()),
        ]
        for key in keys
    ]
    return [Grid("protocol", "Protocol", ["setting", *columns], body, SLASH)] if columns else []


def _value(rows: pd.DataFrame, key: str) -> str:
    return (
        "–"
        if key not in rows or rows[key].isna().all()
        else grid.values(rows.dropna(subset=[key]), key)
    )
