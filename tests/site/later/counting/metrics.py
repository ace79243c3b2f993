"""What it measures; only hits have a table and figures."""

from patchlens.tasks.metric import Metric

METRICS = (
    Metric("hits", "hits", heads=("knn",), headline=("knn",)),
    Metric("misses", "misses", unit="count", higher_is_better=False, heads=("knn",)),
)
