"""A command for each DVC stage: each reads the settings and calls one function."""

from pathlib import Path
from typing import Annotated

import typer

from patchlens import paths
from patchlens.cli.app import DatasetName, ModelName, settings, stage
from patchlens.settings.models import role


@stage
def code(
    graph: Annotated[Path, typer.Option(help="A dvc.yaml, with its params.yaml beside it.")] = (
        Path("dvc.yaml")
    ),
    module: Annotated[str, typer.Option(help="What a stage runs.")] = "patchlens.stages.{stage}",
) -> None:
    """Check the names in params.yaml, and list the code of each stage, so that DVC sees it."""
    from patchlens.stages import code

    code.run(graph, module)


@stage
def render(dataset: DatasetName) -> None:
    """Render a dataset that the pipeline makes."""
    chosen = settings().made(dataset)
    from patchlens.stages import render

    render.run(dataset, chosen)


@stage
def fetch(dataset: DatasetName) -> None:
    """Download a dataset, or unpack the archives that you downloaded."""
    chosen = settings().downloaded(dataset)
    from patchlens.stages import fetch

    fetch.run(dataset, chosen)


@stage
def manifest(dataset: DatasetName) -> None:
    """List the files of a dataset that you placed."""
    root = settings().placed(dataset).root
    assert root is not None
    from patchlens.stages import manifest

    manifest.run(dataset, Path(root))


@stage
def index(dataset: DatasetName) -> None:
    """Check a dataset, index it, choose support and query images."""
    chosen = settings().dataset(dataset)
    from patchlens.stages import index

    index.run(dataset, chosen)


@stage
def weights(model: ModelName) -> None:
    """Bring a model's weights into one checked file."""
    chosen = settings().model(model)
    from patchlens.stages import weights

    weights.run(model, chosen)


@stage
def extract(model: ModelName, dataset: DatasetName) -> None:
    """Extract the patch features of the selected images."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import extract

    extract.run(dataset, model, chosen, s.features, s.device)


@stage
def prune(model: ModelName, dataset: DatasetName) -> None:
    """Rank the feature dimensions by variance, once a support seed."""
    s = settings()
    s.cell(model, dataset)
    from patchlens.stages import prune

    prune.run(dataset, model, s.prune.fit_on, s.segmentation.shots)


@stage
def variance(model: ModelName, dataset: DatasetName) -> None:
    """Study how the variance spreads over the dimensions and what the top ones encode."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import variance

    variance.run(dataset, model, chosen, s.prune.m, s.segmentation.shots)


@stage
def segmentation(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate few-shot semantic segmentation (T1)."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import segmentation

    segmentation.run(dataset, model, chosen, s.prune, s.segmentation, s.uncertainty, s.device)


@stage
def sweep(model: ModelName, dataset: DatasetName) -> None:
    """Score every m of prune.choices beside the rivals of pruning."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import sweep

    sweep.run(dataset, model, chosen, s.prune, s.segmentation, s.sweep, s.device)


@stage
def degrade(model: ModelName, dataset: DatasetName) -> None:
    """Extract the patch features of degraded copies of query images."""
    s = settings()
    chosen = s.cell(model, dataset)
    from patchlens.stages import degrade

    degrade.run(dataset, model, chosen, s.features, s.identification, s.device)


@stage
def identification(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate instance identification under degradations (T2)."""
    s = settings()
    chosen, variants = s.cell(model, dataset), s.segmentation.variants
    from patchlens.stages import identification

    identification.run(
        dataset, model, chosen, variants, s.prune, s.identification, s.uncertainty, s.device
    )


@stage
def retrieval(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate object retrieval (T3)."""
    s = settings()
    chosen, variants = s.cell(model, dataset), s.segmentation.variants
    from patchlens.stages import retrieval

    retrieval.run(dataset, model, chosen, variants, s.prune, s.retrieval, s.uncertainty)


@stage
def tracking(model: ModelName, dataset: DatasetName) -> None:
    """Evaluate association, linking and label propagation (T4)."""
    s = settings()
    chosen, variants = s.cell(model, dataset), s.segmentation.variants
    from patchlens.stages import tracking

    tracking.run(dataset, model, chosen, variants, s.prune, s.tracking, s.uncertainty, s.device)


@stage
def tables() -> None:
    """Aggregate all configured cells into tables."""
    s = settings()
    from patchlens.stages import tables

    tables.run(
        {n: role(m) for n, m in s.models.items()},
        s.cells(),
        s.segmentation.variants,
        s.uncertainty,
        s.prune.m,
    )


@stage
def figures() -> None:
    """Draw an example of T2, T3 and T4 on a dataset that the pipeline makes."""
    s = settings()
    from patchlens.stages import figures

    figures.run(s.models, s.datasets, s.identification, s.retrieval, s.tracking, s.device)


@stage
def explorer() -> None:
    """Precompute what the report's pages look into, on datasets that the pipeline makes."""
    s = settings()
    from patchlens.stages import explorer

    explorer.run(
        list(s.models),
        s.datasets,
        s.prune,
        s.segmentation,
        s.identification,
        s.retrieval,
        s.tracking,
        s.device,
    )


@stage
def claims() -> None:
    """Judge every finding in claims.yaml."""
    s = settings()
    from patchlens.report.configured import Configured
    from patchlens.settings.claims import load as load_claims
    from patchlens.stages import claims

    kinds = {name: dataset.kind for name, dataset in s.datasets.items()}
    claims.run(
        load_claims(paths.CLAIMS),
        Configured(list(s.models), s.cells(), kinds),
        s.uncertainty.claim_resamples,
        s.uncertainty.seed,
    )


@stage
def results() -> None:
    """Write one page on what all models and tasks gave."""
    s = settings()
    from patchlens.stages import results

    results.run(list(s.models), s.segmentation.datasets, s.sweep.datasets)


@stage
def report(
    compare: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Only show what changed since REV, or between REV..REV."),
    ] = None,
) -> None:
    """Write the report site; with --compare, the page of what changed since a Git revision."""
    if compare is not None:
        from patchlens.stages import report_compare

        return report_compare.run(compare)
    s = settings()
    from patchlens.stages import report

    report.run(s)
