"""The sweep of a cell: scores as a function of m."""

from typing import Any

import pandas as pd

from patchlens.datasets.layout import IGNORE
from patchlens.datasets.support import hash_order
from patchlens.errors import FitError, SettingsError
from patchlens.features.cell import Cell
from patchlens.features.device import resolve
from patchlens.features.variants import draws, pruned_counts
from patchlens.progress import log, track
from patchlens.stored import read_csv
from patchlens.tasks.annotated import listed
from patchlens.tasks.result import Result
from patchlens.tasks.retrieval.search import sampled
from patchlens.tasks.retrieval.settings import Retrieval
from patchlens.tasks.segmentation.inputs import (
    Inputs,
    open_inputs,
    protocol,
    selected_m,
    support_set,
)
from patchlens.tasks.sweep import points as sweep
from patchlens.tasks.sweep.settings import Head, Sweep
from patchlens.tasks.sweep.summary import Scores, best, curves, gain_of_choice


def run(cell: Cell) -> Result:
    """Score every m for every head; the metrics are the best and the chosen m.

    Raises:
        SettingsError: no choice of m prunes a dimension, the query has no objects, or the support
            does not suffice.
        DataError: T1 of the cell did not choose C.
    """
    prune, asked = cell.settings.prune, cell.settings.section(Sweep)
    where, inputs = resolve(cell.settings.device), open_inputs(cell)
    segmentation, index = inputs.segmentation, cell.index
    width = cell.query.header.width
    counts = pruned_counts(prune, width)
    if not counts:
        raise SettingsError(
            f"params.yaml: prune.choices: none of them prunes between 1 and {width - 1} of the "
            f"{width} dimensions of '{cell.model}'; add one that does"
        )
    query = inputs.query_set(_swept(inputs, asked))
    objects = None
    if "retrieval" in asked.heads:
        objects, _ = listed(index, cell.query.header, "sweep.heads")
        most = cell.settings.section(Retrieval).queries
        asking = sampled(objects, most, cell.settings.uncertainty.seed)
    choices = cell.folder / "segmentation_c.csv"
    chosen_c = read_csv(choices, "seed", "variant", "c")
    found: dict[Head, list[Scores]] = {head: [] for head in asked.heads}
    chosen: list[int] = []
    rows = range(len(index.seeds))
    control = draws("prune_random", prune, len(rows))
    try:
        for row in track(rows, total=len(rows), what=f"sweep {cell}", unit="seed"):
            support = support_set(inputs, row)
            known = support.labelled(segmentation.shots, cell.layer).in_memory("sweep")
            plan = sweep.SweepPlan(counts, asked.rivals, prune, support.seed, control)
            fitted = (known, support.fit_data, query, cell.layer, plan)
            if "knn" in asked.heads:
                found["knn"].append(sweep.knn_scores(*fitted, segmentation, where))
            if "linear" in asked.heads:
                own = chosen_c[chosen_c["seed"] == support.seed]
                c = dict(zip(own["variant"].astype(str), own["c"].astype(float), strict=True))
                found["linear"].append(sweep.linear_scores(*fitted, segmentation.linear, c, where))
            if prune.select == "auto" and known.groups[0] != known.groups[-1]:  # two images or more
                chosen.append(selected_m(inputs, known, support.seed))
    except FitError as error:
        raise SettingsError(f"{cell}: {error}") from None
    about = protocol(inputs) | {
        "query_images": len(query.labels),
        "query_patches": int((query.labels != IGNORE).sum()),
    }
    if objects is not None:
        plan = sweep.SweepPlan(counts, asked.rivals, prune, 0, prune.random_draws)
        data, _ = cell.fit_data()
        ids = cell.query.header.image_ids
        scores, queries = sweep.retrieval_scores(
            objects, len(ids), cell.read_query(ids), data, plan, asking
        )
        found["retrieval"].append(scores)
        if len(asking) < len(objects):
            about |= {"retrieval_asking": len(asking), "retrieval_gallery": len(objects)}
        about |= {"retrieval_queries": queries, "retrieval_random_draws": prune.random_draws}
    tables = {head: curves(head, of_seeds, counts, width) for head, of_seeds in found.items()}
    metrics: dict[str, Any] = {}
    for head, table in tables.items():
        metrics[head] = best(table)
        if head != "retrieval" and len(chosen) == len(rows):
            metrics[head]["auto"] = gain_of_choice(found[head], chosen, width)
    log.info("%s: %d values of m swept", cell, len(counts))
    return Result(metrics, about, {"": pd.concat(tables.values(), ignore_index=True)})


def _swept(inputs: Inputs, settings: Sweep) -> list[str]:
    """The query images on which k-NN and the linear probe are scored."""
    ids = inputs.cell.query.header.image_ids
    if settings.images == "all":
        return ids
    chosen = set(hash_order(ids, 0)[: settings.images])
    return [image_id for image_id in ids if image_id in chosen]
