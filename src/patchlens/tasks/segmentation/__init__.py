"""T1, few-shot semantic segmentation."""
