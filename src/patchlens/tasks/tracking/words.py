"""The words of T4."""

from functools import partial

import pandas as pd

from patchlens.display import grid
from patchlens.tasks import captions
from patchlens.tasks.words import Words

THRESHOLDS = {
    "support": "the support's videos",
    "leave-one-out": "the other videos of the query",
}


def _threshold(chosen: str, videos: str) -> str:
    if (chosen, videos) == ("leave-one-out", "1"):
        return "the lowest that is listed, as there is no other video to choose it on"
    return f"chosen on {THRESHOLDS[chosen]}"


def caption(rows: pd.DataFrame) -> str:
    """The protocol of one dataset's rows."""
    of = partial(grid.values, rows)
    if set(rows["head"]) == {"davis"}:
        about = (
            f"{of('videos')} videos, {of('objects')} objects. Labels are propagated from the first "
            f"labelled frame and the {of('queue')} previous frames, within a radius of "
            f"{of('radius')} patches, from the top {of('top')} neighbours, T = {of('temperature')}."
        )
    else:
        about = (
            f"{of('videos')} videos, {of('boxes')} ground-truth boxes. Association: share of "
            "objects whose nearest neighbour in the later frame is the same object. Linking: by "
            f"cosine alone, within each class; age limit {of('age')} frames; birth threshold "
            f"{_threshold(of('threshold_from'), of('videos'))}; scored by {of('scored_by')}. With "
            "ground-truth boxes DetA = 1, HOTA = √AssA and MOTA = 1 − IDSW/GT, so only AssA, IDF1 "
            "and ID switches are shown."
        )
    return captions.caption(rows, about, ["videos"])


WORDS = Words(
    title="T4 tracking",
    about="tracking",
    caption=caption,
    heads={
        "association": "association",
        "link": "linking with a birth threshold",
        "link_free": "linking without a threshold",
        "davis": "label propagation",
    },
    question="Can an object be tracked through a video by appearance alone?",
    need="Track objects through a video",
    overview=(("association", "d10"), ("link", "assa")),
    columns={"delta": "frame distance (Δ)", "nearest": "association accuracy"},
    shares=frozenset({"nearest", "optimal"}),
)
