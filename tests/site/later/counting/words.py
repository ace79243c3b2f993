"""Its words."""

from patchlens.tasks.words import Words

WORDS = Words(
    title="Counting",
    about="counting of objects",
    caption=lambda rows: f"{len(rows)} rows were counted.",
    heads={"knn": "k-NN"},
)
