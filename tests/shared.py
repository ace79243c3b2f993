"""The folder `shared` beside the repository: real weights and samples of real datasets."""

from pathlib import Path

SHARED = Path(__file__).parents[1] / "../shared"
