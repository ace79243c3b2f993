"""The nested choice of a cell.

In every support set, inner folds choose a layer, a variant and a head; the choice is fitted on the
whole set and scored on the query, which it has not seen. With folds of the dataset, the query of a
set is its held-out fold. The recommendation is what the same procedure chooses on all images that
serve as support, so that the score is that of the procedure, not of the winner of a search.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from patchlens.arrays import Labels
from patchlens.errors import FitError, SettingsError
from patchlens.features.cell import Cell
from patchlens.features.device import resolve
from patchlens.progress import bar, log
from patchlens.protocol import DIGITS
from patchlens.tasks.logistic import TOLERANCE
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.result import Result
from patchlens.tasks.segmentation import summary
from patchlens.tasks.segmentation.classify import Fit, Run, Task, pooled
from patchlens.tasks.segmentation.few_shot import Query, Support
from patchlens.tasks.segmentation.inputs import Inputs, open_inputs, protocol, support_sets
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.selection.choose import Candidate, Options, best, fit_data, score
from patchlens.tasks.selection.metrics import HEAD, weighted
from patchlens.tasks.selection.settings import Selection

EVERY = 10_000_000  # shots: all images of a support set
Choice = tuple[Candidate, Mapping[Candidate, float]]


def run(cell: Cell) -> Result:
    """Choose within every support set, score the choice, and recommend one setting."""
    inputs = open_inputs(cell)
    segmentation, header = inputs.segmentation, cell.query.header
    options = options_of(cell, segmentation)
    shots = shots_of(inputs)
    runs, held, choices = list[Run](), dict[int, Sequence[str]](), list[Choice]()
    classes = len(cell.index.classes)
    try:
        supports = support_sets(inputs)
        sets = [cell.index.support_ids(support.seed, shots) for support in supports]
        sizes = [*map(len, sets), len(set().union(*sets))]
        fits = sum(len(header.layers) * min(options.folds, size) for size in sizes)
        with bar(total=fits, what=f"selection {cell}", unit="fit") as shown:
            choose = partial(chosen, layers=header.layers, classes=classes, options=options,
                             step=lambda: shown.update(1))  # fmt: skip
            for support in supports:
                choice = choose(support, shots)
                ids = cell.index.held_out(support.seed)
                one = fitted(
                    choice[0], support, shots, segmentation, options, inputs.query_set(ids)
                )
                held[len(runs)] = ids
                runs.append(replace(one, seed=cell.index.repetitions[support.seed]))
                choices.append(choice)
            winner, scores = choose(everything(inputs, supports), EVERY)
    except FitError as error:
        raise SettingsError(f"{cell}: {error}") from None
    if cell.support is cell.query:
        runs = pooled(runs, held, header.image_ids)
    records = summary.records(runs, header.image_ids)
    resampler = SharedResampler.of(cell.settings.uncertainty)
    metrics = scored(partial(weighted, index=cell.index), records, resampler)
    metrics[HEAD]["raw"] |= summary.score(runs)
    agreed = np.mean([choice == winner for choice, _ in choices])
    about: dict[str, Any] = protocol(inputs) | {
        "chosen_layer": winner.layer,
        "chosen_variant": winner.variant,
        "chosen_head": winner.head,
        "chosen_c": winner.c,
        "candidates": len(scores),
        "agreement": round(float(agreed), DIGITS),
        "inner_score": round(scores[winner], DIGITS),
        "inner_folds": options.folds,
        "probe_tolerance": TOLERANCE,
    }
    log.info("%s: chose %s of %d candidates", cell, " ".join(map(str, winner[:3])), len(scores))
    of_sets = [(s.seed, *choice) for s, (choice, _) in zip(supports, choices, strict=True)]
    chosen_by = pd.DataFrame(of_sets, columns=["set", *Candidate._fields])
    return Result(metrics, about, {"candidates": _table(scores), "sets": chosen_by}, records)


def shots_of(inputs: Inputs) -> int:
    """The shots of every support set; with folds, all of its images."""
    return EVERY if inputs.cell.support is inputs.cell.query else inputs.segmentation.shots


def options_of(cell: Cell, segmentation: Segmentation) -> Options:
    """The candidates of a cell."""
    return Options(
        variants=[name for name in segmentation.variants if name != "prune_random"],
        heads=segmentation.heads,
        k=segmentation.k,
        knn=segmentation.knn,
        linear=segmentation.linear,
        prune=cell.settings.prune,
        folds=cell.settings.section(Selection).folds,
        device=resolve(cell.settings.device),
    )


def chosen(
    support: Support,
    shots: int,
    layers: Sequence[int],
    classes: int,
    options: Options,
    step: Callable[[], object],
) -> Choice:
    """What the inner folds choose on some labelled patches, and the score of every candidate.

    Args:
        support: the labelled images.
        shots: of them.
        layers: that are candidates.
        classes: number of classes C.
        options: the other parts of the candidates.
        step: is called after each layer of each fold.

    Raises:
        FitError: there are too few images, or no candidate can be fitted.
    """
    parts = {layer: support.labelled(shots, layer).in_memory("selection") for layer in layers}
    first = parts[layers[0]]
    features = {layer: part.x for layer, part in parts.items()}
    scores = score(features, first.y, first.groups, classes, options, step)
    if not scores:
        raise FitError("no layer, variant and head can be fitted in every inner fold of selection")
    return best(scores), scores


def fitted(
    choice: Candidate,
    support: Support,
    shots: int,
    segmentation: Segmentation,
    options: Options,
    query: Query,
    seen: Callable[[int, Labels], None] | None = None,
) -> Run:
    """The choice, fitted on a whole support set and scored on a query; as head `HEAD`."""
    known = support.labelled(shots, choice.layer).in_memory("selection")
    own = segmentation.model_copy(
        update={
            "k_sweep": [],
            "shots": shots,
            "knn": options.knn.model_copy(update={"index": "exact", "storage": "fp32"}),
            "linear": options.linear.model_copy(update={"c": [choice.c or 1.0]}),
        }
    )
    task = Task(own, options.prune, [choice.layer], options.device, query, seen)
    alone = replace(support, fit_data=fit_data(known.x, options.prune))
    [found] = task.fit(alone, Fit(choice.head, choice.variant, 0, choice.layer, shots))
    # One row, whatever was chosen; `raw` is the variant of which tables compare the models.
    return replace(found, head=HEAD, variant="raw", layer=0, shots=0, k=0, draw=0)


def everything(inputs: Inputs, supports: Sequence[Support]) -> Support:
    """All images that are support in any set, each once, as one set of `EVERY` shots."""
    index = inputs.cell.index
    ids = list(dict.fromkeys(i for s in supports for i in index.support_ids(s.seed, EVERY)))
    return replace(
        supports[0],
        features=lambda _, layer: inputs.support.images(ids, layer),
        labels=lambda _: np.stack([inputs.labels[i] for i in ids]),
        part=None,
    )


def _table(scores: Mapping[Candidate, float]) -> pd.DataFrame:
    """One row per candidate, the best first; of the probe, its best C."""
    table = pd.DataFrame([(*c, value) for c, value in scores.items()],
                         columns=["layer", "variant", "head", "c", "inner_miou"])  # fmt: skip
    table = table.sort_values("inner_miou", ascending=False, kind="stable")
    table = table.drop_duplicates(["layer", "variant", "head"])
    table["candidate"] = [
        f"layer {row.layer}, {row.variant}, {row.head}" for row in table.itertuples()
    ]
    return table.round(DIGITS)
