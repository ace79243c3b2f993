"""T2, T3 and T4: how the records of each become weighted scores."""

from patchlens.tasks import identification_summary, retrieval_summary, tracking_summary
from patchlens.tasks.weighted import Weigh

OF_TASK: dict[str, Weigh] = {
    "identification": identification_summary.weighted,
    "retrieval": retrieval_summary.weighted,
    "tracking": tracking_summary.weighted,
}
