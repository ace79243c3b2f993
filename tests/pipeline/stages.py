"""The stages of the graph that run tasks, and those that are made of all tasks."""

TASKS = (
    "segmentation",
    "selection",
    "sweep",
    "identification",
    "retrieval",
    "tracking",
    "variance",
)
OF_ALL = ("tables", "explorer", "claims", "report")
