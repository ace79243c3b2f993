"""Whether a run has the models, datasets and metrics of a claim; otherwise it is not run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from patchlens import paths
from patchlens.names import DatasetName, ModelName
from patchlens.settings.claims import Claim


@dataclass(frozen=True)
class Configured:
    """What params.yaml lists; cells of other models and datasets are ignored.

    Attributes:
        models: names of the models.
        tasks: task (the first word of a metric) -> the datasets that it runs on.
        kinds: dataset -> its kind.
    """

    models: Sequence[ModelName]
    tasks: Mapping[str, Sequence[DatasetName]]
    kinds: Mapping[DatasetName, str]


def missing(claim: Claim, configured: Configured) -> Iterator[str]:
    """Reasons why a claim cannot be run, from params.yaml and the weights."""
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
        if dataset not in ran:
            yield f"{claim.metric.split('.')[0]} does not run on {dataset}"
        elif claim.group != "own" and kind != dataset:
            yield f"dataset {dataset} is of kind {kind}, but the claim is about {dataset}"
        else:
            yield from _misfilled(claim, dataset, absent)


def _misfilled(claim: Claim, dataset: DatasetName, absent: Sequence[ModelName]) -> Iterator[str]:
    """Slots whose weights are not those that the claim is about."""
    for model, texts in claim.slots.items():
        if model in absent:
            continue
        path = paths.cell(dataset=dataset, model=model) / "extract.json"
        if not path.is_file():
            yield f"{model} on {dataset}: {path.name} is missing"
            continue
        origin = json.loads(path.read_text(encoding="utf-8"))["origin"]
        # Not the architecture: an untrained model has the same one.
        if not any(text.lower() in origin.lower() for text in texts):
            yield f"slot {model} has the weights {origin}, not {' or '.join(texts)}"
