"""Settings of the resamples."""

from typing import Annotated

from patchlens.settings.base import Seed, Strict, Within


class Uncertainty(Strict):
    """The bootstrap: `resamples` of query units for intervals, `claim_resamples` for verdicts."""

    resamples: Annotated[int, Within(100, 1_000_000)]
    claim_resamples: Annotated[int, Within(10_000, 1_000_000)]
    seed: Seed
