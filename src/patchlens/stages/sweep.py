"""Stage sweep: scores of one model on one dataset as a function of m."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.datasets.support import hash_order
from patchlens.errors import FitError, SettingsError
from patchlens.features.device import resolve
from patchlens.features.variants import FitData
from patchlens.files import write_csv, write_json
from patchlens.progress import log, track
from patchlens.protocol import PROTOCOL_VERSION
from patchlens.settings.datasets import Dataset
from patchlens.settings.features import Device, Prune
from patchlens.settings.segmentation import Segmentation
from patchlens.settings.sweep import Head, Sweep
from patchlens.stages.few_shot import Inputs, counts_of, open_inputs, selected_m, support_set
from patchlens.tasks import sweep
from patchlens.tasks.retrieval import Objects, patch_coverage

DIGITS = 4
CHUNK = 32  # query images in memory at a time
METRIC = {"knn": "patch_miou", "linear": "patch_miou", "retrieval": "map"}
Scores = Mapping[sweep.Point, float]


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
    found: dict[Head, list[Scores]] = {head: [] for head in settings.heads}
    chosen = []
    seeds = list(enumerate(index.seeds))
    queries = 0
    try:
        for row, seed in track(
            seeds, total=len(seeds), what=f"sweep {model} × {name}", unit="seed"
        ):
            # The control has a draw a seed: as many draws as seeds.
            plan = sweep.Plan(counts, settings.rivals, prune, seed, draws=1)
            data = support_set(inputs, row, prune, segmentation, 0).fit_data
            for head, scores in _few_shot(inputs, plan, data, segmentation, settings, where):
                found[head].append(scores)
            chosen.append(selected_m(inputs, seed, prune, segmentation, where))
    except FitError as error:
        raise SettingsError(f"{model} × {name}: {error}") from None
    if "retrieval" in settings.heads:
        plan = sweep.Plan(counts, settings.rivals, prune, 0, draws=prune.random_draws)
        scores, queries = _retrieval(inputs, plan, name)
        found["retrieval"].append(scores)
    tables = {head: _table(head, seeds_of, counts, width) for head, seeds_of in found.items()}
    cell: dict[str, Any] = {
        "protocol": {
            "protocol_version": PROTOCOL_VERSION,
            "weights": inputs.query.header.weights[:12],
            "view": inputs.query.header.view,
            "layer": inputs.layer,
            "width": width,
            "k": segmentation.k,
            "distance": segmentation.knn.distance,
            "shots": segmentation.shots,
            "seeds": len(seeds),
            "fit_on": prune.fit_on,
            "random_draws": prune.random_draws,
            "query_images": len(_swept(inputs, settings)),
            "retrieval_queries": queries,
        }
    }
    for head, table in tables.items():
        cell[head] = _summary(table)
        if head != "retrieval":
            cell[head]["auto"] = _auto(found[head], chosen, width)
    out = paths.cell(name, model)
    write_csv(pd.concat(tables.values(), ignore_index=True), out / "sweep.csv")
    write_json(cell, out / "sweep.json")
    log.info("%s × %s: %d values of m swept", model, name, len(counts))


def _few_shot(
    inputs: Inputs,
    plan: sweep.Plan,
    data: FitData,
    segmentation: Segmentation,
    settings: Sweep,
    device: torch.device,
) -> Iterator[tuple[Head, Scores]]:
    bank = sweep.Labelled(*inputs.labelled(plan.seed, segmentation.shots))
    if not len(bank.y):
        raise FitError(
            f"the support images of seed {plan.seed} have no labelled patch; choose other seeds or "
            "more images"
        )
    ids = _swept(inputs, settings)
    parts = [ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK)]
    query = sweep.Chunks(
        features=lambda i: _flat(inputs.query.images(parts[i], inputs.layer)),
        labels=[np.concatenate([inputs.labels[j].ravel() for j in part]) for part in parts],
        classes=len(inputs.index.classes),
    )
    if "knn" in settings.heads:
        yield "knn", sweep.knn_scores(bank, data, query, plan, segmentation, device)
    if "linear" in settings.heads:
        yield "linear", sweep.linear_scores(bank, data, query, plan, segmentation.linear)


def _swept(inputs: Inputs, settings: Sweep) -> list[str]:
    """The query images that k-NN and the linear probe are scored on."""
    ids = inputs.query.header.image_ids
    if settings.images == "all":
        return ids
    chosen = set(hash_order(ids, 0)[: settings.images])
    return [image_id for image_id in ids if image_id in chosen]


def _retrieval(inputs: Inputs, plan: sweep.Plan, name: str) -> tuple[Scores, int]:
    """T3 on the query images; variants are fitted on all extracted support images, unlabelled."""
    ids = inputs.query.header.image_ids
    objects = _objects(inputs.index, ids, inputs.query.header.grid)
    if not len(objects.row):
        raise SettingsError(
            f"params.yaml: sweep.heads: retrieval needs objects with masks; the query images of "
            f"'{name}' have none"
        )
    everything = plan.prune.fit_on == "dataset"
    patches = inputs.all_patches(with_query=everything)
    return sweep.retrieval_scores(
        objects,
        len(ids),
        lambda rows: inputs.query.images(ids[rows.start : rows.stop], inputs.layer),
        FitData.of(patches),
        plan,
    )


def _objects(index: Index, ids: list[str], grid: tuple[int, int]) -> Objects:
    rows, coverage, instances = [], [], []
    masked = index.objects[index.objects["mask_value"].notna()]
    sequences = index.images.loc[ids, "sequence"].fillna(pd.Series(ids, index=ids))
    for row, image_id in enumerate(ids):
        of_image = masked[masked["image_id"] == image_id]
        if not len(of_image):
            continue
        mask = index.instance_mask(image_id)
        values = zip(of_image["instance"], of_image["mask_value"], strict=True)
        for instance, value in values:
            rows.append(row)
            coverage.append(patch_coverage(mask == value, grid))
            instances.append(int(instance))
    _, sequence = np.unique(sequences.to_numpy(dtype=str), return_inverse=True)
    where = np.array(rows, dtype=np.int64)
    return Objects(
        where,
        np.array(coverage, dtype=np.float32).reshape(-1, *grid),
        np.array(instances, dtype=np.int64),
        sequence[where],
    )


def _table(head: Head, found: list[Scores], counts: list[int], width: int) -> pd.DataFrame:
    """A row a variant and m; `raw` and the rivals have the same score at every m, as lines."""
    rows = []
    for variant in dict.fromkeys(point.variant for point in found[0]):
        for m in counts:
            values = _values(found, variant, m)
            rows.append(
                {
                    "head": head,
                    "metric": METRIC[head],
                    "variant": variant,
                    "m": m / width,
                    "dimensions": m,
                    "score": values.mean(),
                    "score_std": values.std(ddof=1) if len(values) > 1 else 0.0,
                }
            )
    return pd.DataFrame(rows).round(DIGITS)


def _values(found: list[Scores], variant: str, m: int) -> NDArray[np.float64]:
    """A score a support seed, the mean of its draws; without seeds, a score a draw."""
    wanted = 0 if variant not in sweep.FAMILIES else m
    by_seed = [
        [score for point, score in scores.items() if point[::2] == (variant, wanted)]
        for scores in found
    ]
    return np.array(by_seed[0] if len(by_seed) == 1 else [np.mean(draws) for draws in by_seed])


def _summary(table: pd.DataFrame) -> dict[str, Any]:
    """`raw` and the rivals, and for each family the best m on the query (an oracle's choice)."""
    raw = float(table.loc[table["variant"] == "raw", "score"].iloc[0])
    result: dict[str, Any] = {}
    for variant, rows in table.groupby("variant", sort=False):
        best = rows.sort_values("score", ascending=False, kind="stable").iloc[0]
        score = {"score": float(best["score"]), "score_std": float(best["score_std"])}
        if variant in sweep.FAMILIES:
            score |= {
                "oracle_m": float(best["m"]),
                "oracle_gain": round(float(best["score"]) - raw, DIGITS),
            }
        result[str(variant)] = score
    return result


def _auto(found: list[Scores], chosen: list[int], width: int) -> dict[str, float]:
    """What the m that each support set chose for itself gains on the query."""
    raw = np.array([scores[sweep.Point("raw", 0, 0)] for scores in found])
    picked = np.array(
        [
            scores[sweep.Point("prune", 0, m) if m else sweep.Point("raw", 0, 0)]
            for scores, m in zip(found, chosen, strict=True)
        ]
    )
    shares = np.array(chosen) / width
    values = {
        "m": shares.mean(),
        "m_std": shares.std(ddof=1),
        "score": picked.mean(),
        "score_std": picked.std(ddof=1),
        "gain": (picked - raw).mean(),
        "gain_std": (picked - raw).std(ddof=1),
    }
    return {key: round(float(value), DIGITS) for key, value in values.items()}


def _flat(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x.reshape(-1, x.shape[-1])
