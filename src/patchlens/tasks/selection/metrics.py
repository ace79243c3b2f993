"""What the nested choice measures: T1's score of what the inner folds chose."""

from patchlens.tasks.metric import Metric
from patchlens.tasks.segmentation.metrics import weighted

__all__ = ["HEAD", "METRICS", "weighted"]

HEAD = "chosen"
METRICS = (
    Metric("pixel_miou", "pixel mIoU", heads=(HEAD,), headline=(HEAD,)),
    Metric("patch_miou", "patch mIoU", heads=(HEAD,), patchwise=(HEAD,)),
)
