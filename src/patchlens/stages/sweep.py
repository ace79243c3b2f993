"""Stage sweep: scores of one model on one dataset as a function of m."""

from typing import Any

import pandas as pd

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.layout import IGNORE
from patchlens.datasets.support import hash_order
from patchlens.errors import FitError, SettingsError
from patchlens.features.device import resolve
from patchlens.features.moments import Moments, rank_by_variance
from patchlens.features.variants import FitData
from patchlens.files import write_csv, write_json
from patchlens.progress import log, track
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Prune
from patchlens.settings.segmentation import Segmentation
from patchlens.settings.sweep import Head, Sweep
from patchlens.stages.few_shot import (
    Inputs,
    counts_of,
    open_inputs,
    protocol,
    selected_m,
    support_set,
)
from patchlens.stages.objects import objects_of
from patchlens.tasks import sweep
from patchlens.tasks.objects import Objects
from patchlens.tasks.sweep_summary import Scores, best, curves, gain_of_choice

CONTROL_DRAWS = 1  # of prune_random a support seed: with five seeds, five draws


def run(
    name: str,
    model: str,
    dataset: Dataset,
    prune: Prune,
    segmentation: Segmentation,
    settings: Sweep,
    device: Device,
) -> None:
    """Write sweep.csv (a row a head, variant and m) and sweep.json (the choice of m, the best)."""
    where = resolve(device)
    index = Index(paths.index(name), paths.images(name, dataset))
    inputs = open_inputs(index, name, model, segmentation)
    width = inputs.query.header.width
    counts = counts_of(prune, width)
    if not counts:
        raise SettingsError(
            f"params.yaml: prune.choices: none of them means between 1 and {width - 1} of the "
            f"{width} dimensions of '{model}'"
        )
    query = inputs.query_set(_swept(inputs, settings))
    objects = _objects(inputs, name) if "retrieval" in settings.heads else None
    found: dict[Head, list[Scores]] = {head: [] for head in settings.heads}
    chosen: list[int] = []
    rows = range(len(index.seeds))
    try:
        for row in track(rows, total=len(rows), what=f"sweep {model} × {name}", unit="seed"):
            support = support_set(inputs, row, prune, segmentation.shots)
            known = support.labelled(segmentation.shots, inputs.layer)
            plan = sweep.Plan(counts, settings.rivals, prune, support.seed, CONTROL_DRAWS)
            fitted = (known, support.fit_data, query, inputs.layer, plan)
            if "knn" in settings.heads:
                found["knn"].append(sweep.knn_scores(*fitted, segmentation, where))
            if "linear" in settings.heads:
                found["linear"].append(sweep.linear_scores(*fitted, segmentation.linear))
            if known.groups[0] != known.groups[-1]:  # folds need two images
                chosen.append(selected_m(inputs, known, prune, segmentation, where))
    except FitError as error:
        raise SettingsError(f"{model} × {name}: {error}") from None
    about = protocol(inputs, dataset, prune, segmentation) | {
        "query_images": len(query.labels),
        "query_patches": int((query.labels != IGNORE).sum()),
        "random_draws": CONTROL_DRAWS,
    }
    if objects is not None:
        plan = sweep.Plan(counts, settings.rivals, prune, 0, prune.random_draws)
        scores, queries = _retrieval(inputs, name, model, objects, plan)
        found["retrieval"].append(scores)
        about |= {"retrieval_queries": queries, "retrieval_random_draws": prune.random_draws}
    tables = {head: curves(head, of_seeds, counts, width) for head, of_seeds in found.items()}
    cell: dict[str, Any] = {"protocol": about}
    for head, table in tables.items():
        cell[head] = best(table)
        if head != "retrieval" and len(chosen) == len(rows):
            cell[head]["auto"] = gain_of_choice(found[head], chosen, width)
    out = paths.cell(name, model)
    write_csv(pd.concat(tables.values(), ignore_index=True), out / "sweep.csv")
    write_json(cell, out / "sweep.json")
    log.info("%s × %s: %d values of m swept", model, name, len(counts))


def _swept(inputs: Inputs, settings: Sweep) -> list[str]:
    """The query images that k-NN and the linear probe are scored on."""
    ids = inputs.query.header.image_ids
    if settings.images == "all":
        return ids
    chosen = set(hash_order(ids, 0)[: settings.images])
    return [image_id for image_id in ids if image_id in chosen]


def _retrieval(
    inputs: Inputs, name: str, model: str, objects: Objects, plan: sweep.Plan
) -> tuple[Scores, int]:
    """T3 on the query images; variants are fitted on all extracted support images, unlabelled."""
    with_query = plan.prune.fit_on == "dataset"
    moments, ids = Moments.read(paths.moments(name, model))
    known = set(inputs.support.header.image_ids)
    rows = [row for row, i in enumerate(ids) if with_query or i in known]
    mean, variance = moments.mean_and_variance(rows)
    queries = inputs.query.header.image_ids
    return sweep.retrieval_scores(
        objects,
        len(queries),
        lambda rows: inputs.query.images(queries[rows.start : rows.stop], inputs.layer),
        FitData(
            mean,
            variance,
            rank_by_variance(variance),
            0,
            lambda: inputs.all_patches(with_query=with_query),
        ),
        plan,
    )


def _objects(inputs: Inputs, name: str) -> Objects:
    """The evaluated objects of the query images."""
    ids = inputs.query.header.image_ids
    if inputs.index.objects["image_id"].isin(ids).any():
        found = objects_of(inputs.index, ids, inputs.query.header.grid)
        found = found.take(found.evaluated & (found.size > 0))
        if len(found):
            return found
    raise SettingsError(
        f"params.yaml: sweep.heads: retrieval needs objects; the query images of '{name}' have none"
    )
