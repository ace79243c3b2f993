"""The words of the study of variance."""

from patchlens.tasks.variance.table import caption
from patchlens.tasks.words import Words

WORDS = Words(
    title="Variance",
    about="how the variance spreads over the dimensions",
    caption=caption,
    columns={
        "of": "variance of",
        "rank": "rank of the dimension",
        "cumulative": "cumulative share of variance",
        "share": "share of variance",
        "overlap": "overlap of the top m dimensions",
        "top_1pct": "variance in the top 1 % of dimensions",
    },
    values={"seeds": "support seeds"},
    shares=frozenset({"cumulative", "share", "overlap"}),
    question="Which dimensions hold the variance of the features, what do they look like, and what "
    "happens when they are removed?",
    table={
        "top1": "largest (%)",
        "top5": "largest 5 (%)",
        "top_1pct": "largest 1 % (%)",
        "top_10pct": "largest 10 % (%)",
        "participation": "participation ratio",
        "pca_participation": "participation ratio (PCA)",
        "kurtosis_top": "kurtosis of the largest",
        "width": "dimensions D",
    },
    note="Share of all variance in the dimensions of highest variance. Participation ratio: "
    "between 1 (one dimension has all the variance) and D.",
    undrawn=frozenset({"variance_dimensions.csv"}),
    heading="How the variance spreads",
    page="variance",
)
