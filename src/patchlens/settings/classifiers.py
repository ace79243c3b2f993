"""Settings of the classifiers of patches: k nearest neighbours and a linear probe."""

from typing import Annotated, Literal

from pydantic import model_validator

from patchlens.settings.base import MOST, Distance, Rising, Seed, Strict, Within

C = Annotated[float, Within(1e-9, 1e9)]


class Knn(Strict):
    """How neighbours are found and how they vote.

    `index: exact` searches every patch of the bank. `ivf` and `hnsw` are indexes of faiss: `ivf`
    has `lists` (by default, about 4 √n for n patches) of patches that are alike, and searches
    `nprobe` of them; `hnsw` is a graph with `links` of each patch, in which `ef_search` candidates
    are followed. `storage` is that of the patches in an index; with `fp16` and `sq8`, which are
    smaller, `exact` searches them all, but not exactly. Lists and codes are learned on `train`
    patches, drawn with `seed`. Recall is measured on `recall_queries` patches of the query; less
    than `recall` is an error.

    `select_patches` is the most labelled patches on which m is chosen (`prune.select: auto`).
    """

    distance: Distance
    vote: Literal["majority", "softmax"]
    temperature: Annotated[float, Within(0.001, 1000)]
    index: Literal["exact", "ivf", "hnsw"] = "exact"
    storage: Literal["fp32", "fp16", "sq8"] = "fp32"
    recall: Annotated[float, Within(0.01, 1)] = 0.95
    recall_queries: Annotated[int, Within(1, 1_000_000)] = 1000
    train: Annotated[int, Within(1, MOST)] = 200_000
    lists: Annotated[int, Within(1, 1_000_000)] | None = None
    nprobe: Annotated[int, Within(1, 1_000_000)] = 32
    links: Annotated[int, Within(2, 512)] = 32
    ef_search: Annotated[int, Within(1, 1_000_000)] = 128
    seed: Seed = 0
    select_patches: Annotated[int, Within(100, MOST)] = 50_000

    @property
    def exact(self) -> bool:
        """Whether every patch of the bank is searched, as it is."""
        return (self.index, self.storage) == ("exact", "fp32")

    @model_validator(mode="after")
    def _softmax_needs_cosine(self) -> "Knn":
        if self.vote == "softmax" and self.distance != "cosine":
            raise ValueError("vote: softmax is defined for distance: cosine only")
        return self


class Linear(Strict):
    """The linear probe: `c` is chosen with `folds` grouped by image.

    A support of one image uses `default_c`.
    """

    c: Rising[C]
    default_c: C
    folds: Annotated[int, Within(2, 100)]
    max_iter: Annotated[int, Within(1, 1_000_000)]
