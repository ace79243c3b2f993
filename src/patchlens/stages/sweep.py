"""Stage sweep: scores of one model on one dataset as a function of m."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from patchlens import paths
from patchlens.datasets.layout import IGNORE
from patchlens.datasets.support import hash_order
from patchlens.errors import FitError, SettingsError
from patchlens.features.device import resolve
from patchlens.features.variants import draws, pruned_counts
from patchlens.files import existing, write_csv, write_json
from patchlens.names import DatasetName, ModelName
from patchlens.progress import log, track
from patchlens.settings.sweep import Head, Sweep
from patchlens.stages.few_shot import (
    Inputs,
    open_inputs,
    protocol,
    selected_m,
    support_set,
)
from patchlens.stages.fitted import fit_data
from patchlens.stages.objects import listed
from patchlens.tasks import sweep
from patchlens.tasks.sweep_summary import Scores, best, curves, gain_of_choice

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(*, dataset: DatasetName, model: ModelName, settings: "Settings") -> None:
    """Write sweep.csv (one row per head, variant and m) and sweep.json (best and chosen m)."""
    prune, segmentation, asked = settings.prune, settings.segmentation, settings.sweep
    where = resolve(settings.device)
    inputs = open_inputs(dataset=dataset, model=model, settings=settings)
    index = inputs.index
    width = inputs.query.header.width
    counts = pruned_counts(prune, width)
    if not counts:
        raise SettingsError(
            f"params.yaml: prune.choices: none of them prunes between 1 and {width - 1} of the "
            f"{width} dimensions of '{model}'; add one that does"
        )
    query = inputs.query_set(_swept(inputs, asked))
    objects = None
    if "retrieval" in asked.heads:
        objects, _ = listed(index, inputs.query.header, "sweep.heads")
    out = paths.cell(dataset=dataset, model=model)
    chosen_c = pd.read_csv(existing(out / "segmentation_c.csv", "run `dvc repro segmentation`"))
    found: dict[Head, list[Scores]] = {head: [] for head in asked.heads}
    chosen: list[int] = []
    rows = range(len(index.seeds))
    control = draws("prune_random", prune, len(rows))
    try:
        for row in track(rows, total=len(rows), what=f"sweep {model} × {dataset}", unit="seed"):
            support = support_set(inputs, row, prune, segmentation.shots)
            known = support.labelled(segmentation.shots, inputs.layer)
            plan = sweep.Plan(counts, asked.rivals, prune, support.seed, control)
            fitted = (known, support.fit_data, query, inputs.layer, plan)
            if "knn" in asked.heads:
                found["knn"].append(sweep.knn_scores(*fitted, segmentation, where))
            if "linear" in asked.heads:
                own = chosen_c[chosen_c["seed"] == support.seed]
                c = dict(zip(own["variant"].astype(str), own["c"].astype(float), strict=True))
                found["linear"].append(sweep.linear_scores(*fitted, segmentation.linear, c))
            if known.groups[0] != known.groups[-1]:  # folds need two images
                chosen.append(selected_m(inputs, known, prune, segmentation, where))
    except FitError as error:
        raise SettingsError(f"{model} × {dataset}: {error}") from None
    about = protocol(inputs, dataset=dataset, settings=settings) | {
        "query_images": len(query.labels),
        "query_patches": int((query.labels != IGNORE).sum()),
    }
    if objects is not None:
        plan = sweep.Plan(counts, asked.rivals, prune, 0, prune.random_draws)
        data, _ = fit_data(inputs.support, inputs.query, prune, dataset=dataset, model=model)
        ids, layer = inputs.query.header.image_ids, inputs.layer
        scores, queries = sweep.retrieval_scores(
            objects,
            len(ids),
            lambda rows: inputs.query.images(ids[rows.start : rows.stop], layer),
            data,
            plan,
        )
        found["retrieval"].append(scores)
        about |= {"retrieval_queries": queries, "retrieval_random_draws": prune.random_draws}
    tables = {head: curves(head, of_seeds, counts, width) for head, of_seeds in found.items()}
    cell: dict[str, Any] = {"protocol": about}
    for head, table in tables.items():
        cell[head] = best(table)
        if head != "retrieval" and len(chosen) == len(rows):
            cell[head]["auto"] = gain_of_choice(found[head], chosen, width)
    write_csv(pd.concat(tables.values(), ignore_index=True), out / "sweep.csv")
    write_json(cell, out / "sweep.json")
    log.info("%s × %s: %d values of m swept", model, dataset, len(counts))


def _swept(inputs: Inputs, settings: Sweep) -> list[str]:
    """The query images on which k-NN and the linear probe are scored."""
    ids = inputs.query.header.image_ids
    if settings.images == "all":
        return ids
    chosen = set(hash_order(ids, 0)[: settings.images])
    return [image_id for image_id in ids if image_id in chosen]
