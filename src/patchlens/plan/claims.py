"""The claims that a run will not judge, from its settings alone."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from patchlens.backbones.pretrained import source_of
from patchlens.backbones.registry.read import find
from patchlens.datasets import catalogue
from patchlens.names import DatasetName, ModelName
from patchlens.plan.cost import CellCost
from patchlens.report.judge import Configured, missing, placed
from patchlens.report.measures import measure
from patchlens.settings.claims import Claim
from patchlens.settings.load import SHARED, Settings
from patchlens.settings.models import (
    FileModel,
    HubModel,
    Model,
    RegistryModel,
    TimmModel,
    UntrainedModel,
)
from patchlens.tasks.metric import matches_any


def not_run(
    claims: Mapping[str, Claim], settings: Settings, cells: Sequence[CellCost]
) -> dict[str, str]:
    """Claim -> why it will be `not run`, for those of which that is certain before the run.

    Args:
        claims: of claims.yaml.
        settings: of the run.
        cells: every model on every dataset, with its grid as far as it is known.
    """
    configured = Configured.of(settings)

    def about(dataset: DatasetName, model: ModelName) -> Mapping[str, Any]:
        return _files(settings, dataset, model)

    found = {}
    for name, claim in claims.items():
        reasons = list(dict.fromkeys(missing(claim, configured, about)))
        if not reasons:
            there = claim.model_copy(update={"datasets": placed(claim, configured)})
            reasons = list(_unscored(there, settings, cells))
        if reasons:
            found[name] = "; ".join(reasons)
    return found


def _unscored(claim: Claim, settings: Settings, cells: Sequence[CellCost]) -> Iterator[str]:
    """What the settings do not score of a claim whose datasets, models and weights are there."""
    of = measure(claim.metric)
    assert of is not None  # `load` has refused unknown metrics
    sides = [side.variant for side in (claim.a, claim.b, claim.chance) if side is not None]
    if absent := sorted(set(sides) - {"raw", *settings.variants}):
        yield f"not in {SHARED}.variants: {', '.join(absent)}"
    head, task = of.head or "", of.task.name
    section = settings.sections().get(task)
    if head and section is not None and not section.scores(head):
        yield f"{task} does not score {head}"
    for dataset in claim.datasets:
        kind = settings.datasets[dataset].kind
        only_masks = "tracking" not in catalogue.find(kind).tasks  # DAVIS
        if task == "tracking" and only_masks != (head == "davis"):
            yield f"{head} is not measured on {dataset}, of kind {kind}"
        if matches_any(of.metric.patchwise, head):
            grids = {c.grid for c in cells if c.dataset == dataset and c.model in claim.models}
            if len(sizes := sorted(grid for grid in grids if grid)) > 1:
                shown = " and ".join(f"{rows}×{columns}" for rows, columns in sizes)
                yield (
                    f"patches of {shown} on {dataset} cannot be compared: set view.grid: equal, "
                    "for example for a second dataset of this kind"
                )


def _files(settings: Settings, dataset: DatasetName, model: ModelName) -> dict[str, str]:
    """What extract.json of a cell will say of its files."""
    origin, address = _origin(settings.models[model])
    archives = catalogue.find(settings.datasets[dataset].kind).archives
    others = {"dataset": [archive.url for archive in archives], "weights": [address]}
    marks = [
        what
        for what, addresses in others.items()
        if any(s.other_content for a in addresses if (s := settings.sources.get(a)))
    ]
    return {"origin": origin, "not_official": " and ".join(marks)}


def _origin(model: Model) -> tuple[str, str]:
    """What the weights in a slot will say of their origin, and the address of their file."""
    if isinstance(model, RegistryModel):
        address = find(model.model, "params.yaml: models").source.address
        return f"{model.model}: {address}", address
    if isinstance(model, TimmModel):
        address = source_of(model.tag)[0].address
        return f"timm {model.tag}: {address}", address
    if isinstance(model, HubModel):
        return f"{model.repo}: {model.revision}", ""
    if isinstance(model, FileModel):
        return f"file {Path(model.file).name}", ""
    if isinstance(model, UntrainedModel):
        return f"seed {model.seed}", ""
    return str(getattr(model, "target", model.source)), ""
