"""Stage variance: a first spectrum of how the variance spreads over the dimensions."""

import numpy as np
import pandas as pd

from patchlens import paths
from patchlens.features.moments import Ranked, spectrum
from patchlens.files import write_csv, write_json
from patchlens.progress import log

DIGITS = 4


def run(name: str, model: str) -> None:
    """Write the spectrum as CSV (seed means of the sorted shares) and its numbers as metrics."""
    ranked = Ranked.read(paths.moments(name, model))
    ordered = np.sort(ranked.variance, axis=1)[:, ::-1]
    shares = (ordered / ordered.sum(axis=1, keepdims=True)).mean(axis=0)
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(shares) + 1),
            "share": shares.round(6),
            "cumulative": shares.cumsum().round(6),
        }
    )
    numbers = pd.DataFrame([spectrum(variance) for variance in ranked.variance])
    cell = {key: round(float(value), DIGITS) for key, value in numbers.mean().items()}
    cell |= {f"{key}_std": round(float(value), DIGITS) for key, value in numbers.std().items()}
    out = paths.cell(name, model)
    write_csv(table, out / "variance_spectrum.csv")
    write_json(cell, out / "variance.json")
    log.info("%s × %s: spectrum of %d dimensions", model, name, len(shares))
