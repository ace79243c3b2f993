"""T1 of a cell."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from patchlens.datasets.layout import IGNORE
from patchlens.errors import FitError, SettingsError
from patchlens.features.cell import Cell
from patchlens.features.device import resolve
from patchlens.files import whole_folder, write_json
from patchlens.progress import log
from patchlens.protocol import DIGITS
from patchlens.tasks import approximate
from patchlens.tasks.logistic import TOLERANCE
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.result import Result
from patchlens.tasks.segmentation import summary
from patchlens.tasks.segmentation.classify import Run, Task, pooled
from patchlens.tasks.segmentation.few_shot import Support
from patchlens.tasks.segmentation.inputs import Inputs, open_inputs, protocol, support_sets
from patchlens.tasks.segmentation.metrics import weighted
from patchlens.tasks.segmentation.settings import Segmentation


def run(cell: Cell) -> Result:
    """Score both heads and the floor, with curves over k, layers and shots, and by class."""
    prune, where = cell.settings.prune, resolve(cell.settings.device)
    inputs = open_inputs(cell)
    header = cell.query.header

    def task(ids: Sequence[str]) -> Task:
        query = inputs.query_set(list(ids))
        return Task(inputs.segmentation, prune, header.layers, where, query, indexes=indexes)

    knn = inputs.segmentation.knn
    try:
        supports = support_sets(inputs)
        with whole_folder(cell.knn) as indexes:
            if cell.support is not cell.query:
                runs = list(task(header.image_ids).run(supports, f"segmentation {cell}"))
            else:
                runs = _in_folds(task, supports, cell)
            banks = sorted(path.name for path in indexes.iterdir())
            write_json(approximate.about(knn) | {"banks": banks}, indexes / "banks.json")
    except FitError as error:
        raise SettingsError(f"{cell}: {error}") from None
    about = protocol(inputs) | {
        "probe_tolerance": TOLERANCE,
        "prune_m": prune.m,
        "prune_select": prune.select,
        "prune_m_used": float(np.mean([support.fit_data.m for support in supports])),
    }
    about |= approximate.about(knn)
    if recalls := [run.recall for run in runs if run.recall is not None]:
        about["knn_recall_least"] = round(min(recalls), DIGITS)
    about |= _sample_of_m(inputs, supports)
    if len(given := inputs.segmentation.linear.c) == 1:  # else chosen by folds
        about["c"] = given[0]
    log.info("%s: %d runs scored", cell, len(runs))
    return _result(runs, inputs, about)


def _sample_of_m(inputs: Inputs, supports: Sequence[Support]) -> dict[str, object]:
    """On how many patches m was chosen; empty where it was on all."""
    most, shots = inputs.segmentation.knn.select_patches, inputs.segmentation.shots
    if inputs.cell.settings.prune.select == "fixed":
        return {}
    largest = max(int((support.labels(shots) != IGNORE).sum()) for support in supports)
    return {"prune_select_patches": most} if largest > most else {}


def _in_folds(
    task: Callable[[Sequence[str]], Task], supports: Sequence[Support], cell: Cell
) -> list[Run]:
    """Every support set on the images that it holds out; the folds of a repetition as one."""
    runs, held = list[Run](), dict[int, Sequence[str]]()
    for number, support in enumerate(supports):
        ids = cell.index.held_out(support.seed)
        repetition = cell.index.repetitions[support.seed]
        what = f"segmentation {cell}, fold {number + 1} of {len(supports)}"
        for run in task(ids).run([support], what):
            held[len(runs)] = ids
            runs.append(replace(run, seed=repetition))
    return pooled(runs, held, cell.query.header.image_ids)


def _result(runs: Sequence[Run], inputs: Inputs, about: dict[str, object]) -> Result:
    cell, segmentation = inputs.cell, inputs.segmentation
    headline: dict[tuple[str, str], list[Run]] = {}
    for one in runs:
        if summary.is_headline(one, cell.layer, segmentation.shots, segmentation.k):
            headline.setdefault((one.head, one.variant), []).append(one)
    flat = [one for members in headline.values() for one in members]
    records = summary.records(flat, cell.query.header.image_ids)
    resampler = SharedResampler.of(cell.settings.uncertainty)
    metrics = scored(partial(weighted, index=cell.index), records, resampler)
    for (head, variant), members in headline.items():
        metrics[head][variant] |= summary.score(members)
    curves = {
        axis: summary.sweep([one for one in runs if belongs(one)], axis)
        for axis, belongs in _axes(segmentation, cell.layer).items()
    }
    curves["classes"] = summary.class_scores(headline, cell.index.classes)
    curves["c"] = summary.chosen_c(flat)
    return Result(metrics, about, curves, records)


def _axes(segmentation: Segmentation, layer: int) -> dict[str, Callable[[Run], bool]]:
    """Axis of a curve -> whether a run belongs to it."""
    k, shots = segmentation.k, segmentation.shots
    return {
        "k": lambda run: run.layer == layer and run.shots == shots and run.k > 0,
        "layer": lambda run: (run.head, run.variant, run.k, run.shots) == ("knn", "raw", k, shots),
        "shots": lambda run: (
            run.layer == layer
            and run.variant == "raw"
            and run.head != "majority"
            and run.k in (0, k)
        ),
    }
