"""Settings of the resamples."""

from typing import Annotated

from pydantic import Field

from patchlens.settings.base import Strict


class Uncertainty(Strict):
    """The bootstrap: `resamples` of query units for intervals, `claim_resamples` for verdicts."""

    resamples: Annotated[int, Field(ge=100)]
    claim_resamples: Annotated[int, Field(ge=10_000)]
    seed: Annotated[int, Field(ge=0)]
