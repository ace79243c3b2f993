"""Stage fetch: a dataset that others collected, from its source or from the user's archives."""

from pathlib import Path

from patchlens import paths
from patchlens.datasets.kinds import CARDS
from patchlens.datasets.obtain import obtain
from patchlens.settings.datasets import Collected


def run(name: str, settings: Collected, jobs: int = 2) -> None:
    """Make data/raw/<name>, whole or not at all; `jobs` files are downloaded at a time."""
    obtain(
        name,
        CARDS[settings.kind],
        paths.raw(name),
        paths.WORK / "fetch" / settings.kind,
        archives=None if settings.archives is None else Path(settings.archives),
        jobs=jobs,
    )
