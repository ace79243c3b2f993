"""The sweep has no metrics of its own: its curves are of those of T1 and T3."""

from patchlens.tasks.metric import Metric

METRICS: tuple[Metric, ...] = ()
