"""Whether a run holds what a claim is about; where it does not, the claim is not run."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from patchlens import paths
from patchlens.names import DatasetName, ModelName
from patchlens.report.measures import METRICS
from patchlens.settings.claims import Claim

TASKS = sorted({metric.split(".")[0] for metric in METRICS})


@dataclass(frozen=True)
class Configured:
    """What params.yaml asks for; cells of anything else are left-overs and decide nothing.

    Attributes:
        models: names of the models.
        tasks: first word of a metric -> the datasets that the task runs on.
        kinds: dataset -> its kind, since a name is only a name.
    """

    models: Sequence[ModelName]
    tasks: Mapping[str, Sequence[DatasetName]]
    kinds: Mapping[DatasetName, str]


def missing(claim: Claim, configured: Configured) -> Iterator[str]:
    """Why a claim cannot be run, as far as params.yaml and the weights tell."""
    if claim.metric not in METRICS:
        near = difflib.get_close_matches(claim.metric, METRICS, n=1, cutoff=0.7)
        others = (
            f"the nearest that is: {near[0]}" if near else f"tasks that are: {', '.join(TASKS)}"
        )
        yield f"metric {claim.metric} is not measured, {others}"
    absent = [model for model in claim.models if model not in configured.models]
    if absent:
        yield f"not in models: {', '.join(absent)}"
    unknown = [dataset for dataset in claim.datasets if dataset not in configured.kinds]
    if unknown:
        yield f"not in datasets: {', '.join(unknown)}"
    ran = configured.tasks.get(claim.metric.split(".")[0], [])
    for dataset in claim.datasets:
        kind = configured.kinds.get(dataset)
        if kind is None:
            continue
        if dataset not in ran and claim.metric in METRICS:
            yield f"{claim.metric.split('.')[0]} does not run on {dataset}"
        elif claim.group != "own" and kind != dataset:
            yield f"dataset {dataset} is of kind {kind}: not what the claim is about"
        else:
            yield from _misfilled(claim, dataset, absent)


def _misfilled(claim: Claim, dataset: DatasetName, absent: Sequence[ModelName]) -> Iterator[str]:
    """Slots that hold other weights than the claim is about."""
    for model, texts in claim.slots.items():
        if model in absent:
            continue
        path = paths.cell(dataset=dataset, model=model) / "extract.json"
        if not path.is_file():
            yield f"{model} on {dataset}: there is no {path.name}"
            continue
        origin = json.loads(path.read_text(encoding="utf-8"))["origin"]
        # The architecture is no witness: an untrained model has one too.
        if not any(text.lower() in origin.lower() for text in texts):
            yield f"slot {model} holds {origin}, not {' or '.join(texts)}"
