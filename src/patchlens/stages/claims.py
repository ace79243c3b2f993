"""Stage claims: one verdict for every finding in claims.yaml."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from patchlens import paths
from patchlens.files import read_json, write_csv, write_json, write_text
from patchlens.progress import log
from patchlens.report.claims import Outcome, judge
from patchlens.report.claims_table import latex, markdown, numbers, rows
from patchlens.report.configured import Configured
from patchlens.settings.claims import Claim
from patchlens.settings.validated import refuse

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

DELTA = "tracking.association.d"


def run(claims: Mapping[str, Claim], settings: "Settings") -> None:
    """Write metrics/claims.json and metrics/tables/claims.{csv,md,tex}.

    Args:
        claims: id -> claim, in the order of the file.
        settings: the content of params.yaml.

    Raises:
        SettingsError: a claim is about a Δ that is not measured.
        DataError: records contradict each other or cannot be resampled.
    """
    refuse(paths.CLAIMS, _unmeasured(claims, settings))
    kinds = {name: dataset.kind for name, dataset in settings.datasets.items()}
    configured = Configured(list(settings.models), settings.cells(), kinds)
    resamples, seed = settings.uncertainty.claim_resamples, settings.uncertainty.seed
    outcomes = judge(claims, configured, resamples, seed)
    found = {name: {"verdict": o.verdict} | numbers(o) for name, o in outcomes.items()}
    write_json(found, paths.VERDICTS)
    out = paths.TABLES / "claims"
    protocols = {name: _protocols(o) for name, o in outcomes.items()}
    write_csv(rows(outcomes, protocols, resamples, seed), out.with_suffix(".csv"))
    write_text(markdown(outcomes, resamples), out.with_suffix(".md"))
    write_text(latex(outcomes, resamples), out.with_suffix(".tex"))
    for name, o in outcomes.items():
        log.info("%s: %s%s", name, o.verdict, f" ({o.note})" if o.note else "")


def _unmeasured(claims: Mapping[str, Claim], settings: "Settings") -> Iterator[str]:
    """Claims about an association over Δ frames that tracking.deltas does not list."""
    measured = {f"{DELTA}{delta}" for delta in settings.tracking.deltas}
    for name, claim in claims.items():
        runs = set(claim.datasets) & set(settings.tracking.datasets)
        if runs and claim.metric.startswith(DELTA) and claim.metric not in measured:
            delta = claim.metric.removeprefix(DELTA)
            yield (
                f"{name}.metric: {claim.metric} is not measured, because tracking.deltas in "
                f"{paths.PARAMS} does not list {delta}; add it there"
            )


def _protocols(outcome: Outcome) -> pd.DataFrame:
    """The protocols of the cells that a claim was judged on, one row per cell; empty if not run."""
    claim, task = outcome.claim, outcome.claim.metric.split(".")[0]
    cells = [
        paths.cell(dataset=d, model=m) / f"{task}.json"
        for d in claim.datasets
        for m in claim.models
    ]
    found = cells if outcome.was_run else []
    return pd.DataFrame([read_json(path, "run `dvc repro`")["protocol"] for path in found])
