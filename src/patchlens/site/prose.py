"""The words of the site for tasks and metrics, each with a default."""

from dataclasses import dataclass, field

from patchlens.report.headlines import head_title

HEADS_SHOWN = 2  # for a task that sets no heads


@dataclass(frozen=True)
class Prose:
    """The words for a task.

    Attributes:
        title: the title of its page.
        question: what it tests, as one question.
        need: what a user would need it for, on the overview.
        heads: (head, metric) pairs that the overview shows, in order; if empty, the first metric
            of its first heads.
    """

    title: str
    question: str = ""
    need: str = ""
    heads: tuple[tuple[str, str], ...] = field(default=())


TASKS = {
    "segmentation": Prose(
        "T1 segmentation",
        "Can a few labelled images classify every patch of new images?",
        "Label every patch from a few labelled images",
        (("knn", "pixel_miou"), ("linear", "pixel_miou")),
    ),
    "identification": Prose(
        "T2 identification",
        "Does a patch or object of a degraded image find itself among all clean images?",
        "Find the same place again in a degraded image",
        (("patch", "robustness"), ("object", "robustness")),
    ),
    "retrieval": Prose(
        "T3 retrieval",
        "Does an object find itself, or another object of its fine class, in other images?",
        "Find the same object in other images",
        (("instance", "map"), ("fine_class", "map")),
    ),
    "tracking": Prose(
        "T4 tracking",
        "Can an object be tracked through a video by appearance alone?",
        "Track objects through a video",
        (("association", "d1"), ("link", "assa")),
    ),
}
# Columns of CSV files in words; other columns are shown by their names.
COLUMNS = {
    "of": "variance of",
    "k": "neighbours k",
    "shots": "support images",
    "layer": "layer",
    "severity": "severity",
    "delta": "frame distance (Δ)",
    "m": "m",
    "rank": "rank of the dimension",
    "size": "object size in patches",
    "iou": "IoU",
    "pixel_miou": "pixel mIoU",
    "patch_miou": "patch mIoU",
    "map": "mAP",
    "top1": "top-1",
    "nearest": "association accuracy",
    "cumulative": "cumulative share of variance",
    "share": "share of variance",
    "overlap": "overlap of the top m dimensions",
    "top_1pct": "variance in the top 1 % of dimensions",
    "gflops_per_image": "GFLOPs per image",
    "parameters_m": "parameters (millions)",
}
# Values of selectors in words; the degradations with the unit of their severity.
VALUES = {
    "blur": "blur (σ, pixels)",
    "noise": "noise (σ, of 255)",
    "frequency": "1/f noise (σ / 10, of 255)",
    "jpeg": "JPEG (quality)",
    "brightness": "brightness (factor)",
    "contrast": "contrast (factor)",
    "shift": "shift (pixels)",
    "rotation": "rotation (degrees)",
    "scale": "scale (factor)",
    "seeds": "support seeds",
}
# Shares, shown in per cent.
SHARES = {
    *("iou", "pixel_miou", "patch_miou", "map", "top1", "nearest", "cumulative", "top_1pct"),
    *("overlap", "score", "share", "optimal", "robustness", "r1", "assa", "idf1", "jf_mean"),
}


def of(task: str) -> Prose:
    """The words for a task; a task without words is called by its name."""
    return TASKS.get(task, Prose(task.replace("_", " ").capitalize()))


def value(text: str) -> str:
    """A value of a selector in words; heads have their names in the tables."""
    return VALUES.get(text, head_title(text))


def sentence(text: str) -> str:
    """`text` with a capital at its start, unless its first word already has one, as in mAP."""
    return text if text.split()[0] != text.split()[0].lower() else text[0].upper() + text[1:]


def column(name: str) -> str:
    """A column of a CSV file in words."""
    return COLUMNS.get(name, name.replace("_", " "))
