"""The patch explorer: one page per dataset that shows the nearest patches of each patch."""

from patchlens.site import precomputed
from patchlens.site.page import Page
from patchlens.site.reading import Run

PART = "patches"
SIMILARITY = {
    "cosine": "cosine similarity",
    "dot": "dot product",
    "l2": "negative squared distance",
}


def pages(run: Run) -> list[Page]:
    """A page for each dataset that the stage `explorer` processed."""
    shown = precomputed.datasets(PART)
    return [
        _page(run, dataset, *precomputed.named(dataset, "explorer", PART, shown))
        for dataset in shown
    ]


def _page(run: Run, dataset: str, slug: str, title: str) -> Page:
    found = precomputed.read(dataset, PART)
    names = [image["file"] for image in [*found["images"], *found["bank"]]]
    names += [image["script"] for image in found["images"]]
    left, right = precomputed.first_columns(run, found["columns"])
    return Page(
        slug=slug,
        title=title,
        template="explorer.html",
        context={
            "dataset": dataset,
            "found": found,
            "similarity": SIMILARITY[found["distance"]],
            "data": found | {"base": precomputed.at(dataset, ""), "left": left, "right": right},
            "models": list(dict.fromkeys(column["model"] for column in found["columns"])),
            "variants": list(dict.fromkeys(column["variant"] for column in found["columns"])),
        },
        files=precomputed.files(dataset, names),
        group="Look",
    )
