"""The metrics that claims can be about, each resampled from the records of one cell.

A measure is a function (lottery, dataset, model, variant) -> `Score`. A new task adds its metrics
to `METRICS`, and its datasets to the command `claims`.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.errors import DataError
from patchlens.features.moments import Moments, spectrum
from patchlens.names import DatasetName, ModelName
from patchlens.report.draws import Floats, Lottery, NotRun, Score
from patchlens.report.of_task import OF_TASK
from patchlens.report.paired import counts_from_records
from patchlens.tasks.bootstrap import run_miou

Measure = Callable[[Lottery, str, str, str], Score]


def segmentation(
    lottery: Lottery,
    dataset: DatasetName,
    model: ModelName,
    variant: str,
    *,
    head: str,
    level: str,
    chance: bool = False,
) -> Score:
    """MIoU of each support seed, averaged over its draws; the unit is the query image or sequence.

    With `chance`, the expected mIoU of predictions with the same class frequencies that are
    independent of the truth.
    """
    records, protocol = _records("segmentation", dataset, model, head, variant, level=level)
    query = _query(dataset)
    units = dict(zip(query["image_id"], query["unit"], strict=True))
    strangers = set(records["image_id"].unique()) - set(units)
    if strangers:
        path = paths.cell(dataset=dataset, model=model) / "segmentation.records.parquet"
        raise DataError(
            f"{path}: image '{min(strangers)}' is not a query image of {dataset}; "
            "run `dvc repro segmentation`"
        )
    labels = records[["true", "predicted"]].to_numpy()
    counts = counts_from_records(records, units, int(labels.max()) + 1)
    present = counts[..., 1].sum(axis=(0, 1)) > 0
    runs = records[["seed", "draw"]].drop_duplicates().sort_values(["seed", "draw"])["seed"]
    seeds = sorted(runs.unique())
    of_seed = runs.to_numpy()[:, None] == np.array(seeds)
    mean_of_draws = of_seed / of_seed.sum(axis=0)
    names = sorted(set(units.values()))
    draws = lottery.draw(dataset, len(seeds), len(names))

    def score(weights: Floats) -> Floats:
        return np.asarray(run_miou(counts, weights, present, chance=chance) @ mean_of_draws)

    return Score(
        [int(s) for s in seeds],
        names,
        score(np.ones((1, len(names))))[0],
        np.concatenate([score(weights) for weights in draws.chunks()]),
        draws,
        protocol["grid"] if level == "patch" else "",
    )


def of_task(
    lottery: Lottery,
    dataset: DatasetName,
    model: ModelName,
    variant: str,
    *,
    task: str,
    head: str,
    name: str,
) -> Score:
    """A metric of T2, T3 or T4, which have no seeds; units as in `tasks.weighted`."""
    records, protocol = _records(task, dataset, model, head, variant)
    weighted = OF_TASK[task](records)
    draws = lottery.draw(f"{dataset} {task}", 1, len(weighted.units))
    point = weighted.point().get(name, np.nan)
    if np.isnan(point):  # a Δ that the settings do not list, or without pairs
        raise NotRun(f"{model} on {dataset}: {name} of {head} was not scored")
    samples = np.concatenate([weighted.metrics(weights)[name] for weights in draws.chunks()])
    if not np.isfinite(samples).all():
        raise NotRun(
            f"{model} on {dataset}: {name} of {head} is undefined in some resamples of the "
            f"{len(weighted.units)} units"
        )
    grid = protocol["grid"] if head.startswith("patch") else ""
    return Score([0], weighted.units, np.array([point]), samples[:, None], draws, grid)


def variance(
    lottery: Lottery, dataset: DatasetName, model: ModelName, variant: str, *, name: str
) -> Score:
    """How concentrated the variance is over the dimensions; it has no seeds.

    The unit is the image, or its sequence if that is the unit of the query.
    """
    path = _existing(
        paths.cell(dataset=dataset, model=model) / "variance.records.parquet", dataset, model
    )
    if variant != "raw":
        raise NotRun(f"variance.{name} is only measured on variant raw, not on {variant}")
    records = pd.read_parquet(path).astype({"image_id": str})  # categories do not sort by name
    records["unit"] = records["image_id"].map(_unit_of_image(dataset))
    summed = records.groupby(["unit", "dimension"])[["count", "total", "squares"]].sum()
    units = sorted(records["unit"].unique())
    columns = [summed[key].to_numpy().reshape(len(units), -1) for key in summed]
    moments = Moments(columns[0][:, 0], columns[1], columns[2])
    draws = lottery.draw(f"{dataset} variance", 1, len(units))

    def concentration(weights: Floats) -> Floats:
        return spectrum(moments.resampled(weights))[name][:, None]

    point = concentration(np.ones((1, len(units))))[0]
    samples = np.concatenate([concentration(weights) for weights in draws.chunks()])
    return Score([0], units, point, samples, draws)


def _records(
    task: str, dataset: DatasetName, model: ModelName, head: str, variant: str, **also: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The records of one head and variant of a cell, and the protocol of the cell."""
    cell = paths.cell(dataset=dataset, model=model)
    path = _existing(cell / f"{task}.records.parquet", dataset, model)
    text = _existing(cell / f"{task}.json", dataset, model).read_text(encoding="utf-8")
    protocol = json.loads(text)["protocol"]
    if variant in OF_M and protocol["prune_m_used"] == 0:
        raise NotRun(f"{model} on {dataset}: no dimension is pruned, so {variant} has no effect")
    wanted = {"head": head, "variant": variant} | also
    records = pd.read_parquet(path, filters=[(key, "==", v) for key, v in wanted.items()])
    if not len(records):
        raise NotRun(f"{model} on {dataset}: head {head} with variant {variant} was not scored")
    return records, protocol


def _query(dataset: DatasetName) -> pd.DataFrame:
    return pd.read_parquet(paths.index(dataset) / "query.parquet")


def _unit_of_image(dataset: DatasetName) -> pd.Series:
    """The bootstrap unit of every image, support images included, by the rule of the query."""
    images = pd.read_parquet(paths.index(dataset) / "images.parquet").set_index("image_id")
    query = _query(dataset)
    own = pd.Series(images.index, index=images.index)
    by_image = (query["unit"] == query["image_id"]).all()
    return own if by_image else images["sequence"].fillna(own)


def _existing(path: Path, dataset: DatasetName, model: ModelName) -> Path:
    if not path.is_file():
        raise NotRun(f"{model} on {dataset}: {path.name} is missing")
    return path


OF_M = ("prune", "keep_top", "prune_random")  # variants that depend on the number of dimensions m
SPECTRUM: Sequence[str] = ("top1", "top5", "top_1pct", "top_10pct", "participation")
IDENTIFIED = ("top1", "top5", "robustness")
RANKED = ("map", "r1", "r5", "r10")
LINKED = ("assa", "idf1", "hota")
ASSOCIATED = ("d1", "d2", "d5", "d10", "d20")
PROPAGATED = ("jf_mean", "j_mean", "f_mean")
_OF_T1: dict[str, Measure] = {
    f"segmentation.{head}.{level}_miou{end}": partial(
        segmentation, head=head, level=level, chance=chance
    )
    for head in ("knn", "linear", "majority")
    for level in ("pixel", "patch")
    for end, chance in (("", False), ("_chance", True))
}
_OF_VARIANCE: dict[str, Measure] = {
    f"variance.{name}": partial(variance, name=name) for name in SPECTRUM
}
_OF_TASKS: dict[str, Measure] = {
    f"{task}.{head}.{name}": partial(of_task, task=task, head=head, name=name)
    for task, heads, names in (
        ("identification", ("patch", "patch_2", "patch_4", "object"), IDENTIFIED),
        ("retrieval", ("instance", "fine_class", "easy", "medium", "hard"), RANKED),
        ("tracking", ("link", "link_free"), LINKED),
        ("tracking", ("association",), ASSOCIATED),
        ("tracking", ("davis",), PROPAGATED),
    )
    for head in heads
    for name in names
}
METRICS = _OF_T1 | _OF_VARIANCE | _OF_TASKS
