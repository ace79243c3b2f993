"""The words of T2."""

from functools import partial

import pandas as pd

from patchlens.display import grid
from patchlens.tasks import captions
from patchlens.tasks.words import Words


def caption(rows: pd.DataFrame) -> str:
    """The protocol of one dataset's rows."""
    of = partial(grid.values, rows)
    counts = "; ".join(
        f"{WORDS.head(str(head))}: {grid.values(of_head, 'queries')} queries, "
        f"gallery of {grid.values(of_head, 'gallery')}"
        for head, of_head in rows.groupby("head", sort=False)
    )
    about = (
        f"{of('degraded_images')} of them have {of('copies')} degraded copies in all; "
        f"{of('patches')} patches of each copy are searched for among all clean images by "
        f"{of('distance')}. {counts}. "
        "Robustness: top-1 averaged over severities, then over degradations."
    )
    return captions.caption(rows, about, ["degraded_images"])


WORDS = Words(
    title="T2 identification",
    about="instance identification under degradations",
    caption=caption,
    heads={"patch": "patches", "patch_{}": "{}×{} patches", "object": "objects"},
    question="Does a patch or object of a degraded image find itself among all clean images?",
    need="Find the same place again in a degraded image",
    overview=(("patch", "robustness"), ("object", "robustness")),
    columns={"top1": "top-1"},
    values={
        "blur": "blur (σ, pixels)",
        "noise": "noise (σ, of 255)",
        "frequency": "1/f noise (σ / 10, of 255)",
        "jpeg": "JPEG (quality)",
        "brightness": "brightness (factor)",
        "contrast": "contrast (factor)",
        "shift": "shift (pixels)",
        "rotation": "rotation (degrees)",
        "scale": "scale (factor)",
    },
)
