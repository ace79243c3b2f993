"""The words of the sweep over m."""

from patchlens.tasks.words import Words

WORDS = Words(
    title="Sweep",
    about="scores by the number of dropped or kept dimensions",
    caption=lambda rows: "",
    heads={
        "knn": "k-NN, patch mIoU",
        "linear": "linear probe, patch mIoU",
        "retrieval": "instance retrieval, mAP",
    },
    shares=frozenset({"score"}),
    page="variance",
)
