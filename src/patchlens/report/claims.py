"""Stage claims: one verdict for every finding in claims.yaml."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from patchlens import paths
from patchlens.files import write_csv, write_json, write_text
from patchlens.progress import log
from patchlens.report.claims_table import latex, markdown, numbers, rows
from patchlens.report.judge import Configured, Outcome, judge
from patchlens.settings.claims import Claim
from patchlens.settings.validated import refuse
from patchlens.stored import read_json

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(claims: Mapping[str, Claim], settings: "Settings") -> None:
    """Write metrics/claims/claims.{json,csv,md,tex}.

    Args:
        claims: id -> claim, in the order of the file.
        settings: the content of params.yaml.

    Raises:
        SettingsError: a claim is about a metric that the settings do not measure.
        DataError: records contradict each other or cannot be resampled.
    """
    refuse(paths.CLAIMS, unmeasured(claims, settings))
    resamples, seed = settings.uncertainty.claim_resamples, settings.uncertainty.seed
    outcomes = judge(claims, Configured.of(settings), resamples, seed)
    found = {name: {"verdict": o.verdict} | numbers(o) for name, o in outcomes.items()}
    write_json(found, paths.VERDICTS)
    out = paths.CLAIMS_TABLE
    protocols = {name: _protocols(o) for name, o in outcomes.items()}
    write_csv(rows(outcomes, protocols, resamples, seed), out.with_suffix(".csv"))
    write_text(markdown(outcomes, resamples), out.with_suffix(".md"))
    write_text(latex(outcomes, resamples), out.with_suffix(".tex"))
    for name, o in outcomes.items():
        log.info("%s: %s%s", name, o.verdict, f" ({o.note})" if o.note else "")


def unmeasured(claims: Mapping[str, Claim], settings: "Settings") -> Iterator[str]:
    """Claims about metrics that a task measures only with other settings."""
    sections = settings.sections()
    for name, claim in claims.items():
        task, *_, key = claim.metric.split(".")
        section = sections.get(task)
        if section is None or not set(claim.datasets) & set(section.datasets):
            continue
        if why := section.lacks(key):
            yield f"{name}.metric: {claim.metric} is not measured, because {why}"


def _protocols(outcome: Outcome) -> pd.DataFrame:
    """The protocols of the cells that a claim was judged on, one row per cell; empty if not run."""
    claim, task = outcome.claim, outcome.claim.metric.split(".")[0]
    cells = [
        paths.cell(dataset=d, model=m) / f"{task}.json"
        for d in claim.datasets
        for m in claim.models
    ]
    found = cells if outcome.was_run else []
    return pd.DataFrame([read_json(path)["protocol"] for path in found])
