"""Settings of the resamples, and what a run may use."""

from typing import Annotated

from patchlens.settings.base import Seed, Strict, Within


class Uncertainty(Strict):
    """The bootstrap: `resamples` of query units for intervals, `claim_resamples` for verdicts."""

    resamples: Annotated[int, Within(100, 1_000_000)]
    claim_resamples: Annotated[int, Within(10_000, 1_000_000)]
    seed: Seed


class Limits(Strict):
    """What a process may use.

    `memory_gb`: a bank of k-NN that would not fit beside the process itself is read from its file
    part by part. No score changes. Without a limit, banks are held in memory.
    """

    memory_gb: Annotated[float, Within(2, 100_000)] | None = None

    @property
    def bank(self) -> float | None:
        """Bytes for a bank: half of what the process (1 GB) leaves; the rest is for queries."""
        return None if self.memory_gb is None else (self.memory_gb - 1) / 2 * 1e9
