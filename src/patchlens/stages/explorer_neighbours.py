"""The neighbours of patches of query images, and their vote, as in T1."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from patchlens.datasets.layout import IGNORE
from patchlens.errors import FitError, SettingsError
from patchlens.features.device import resolve
from patchlens.features.moments import Ranked
from patchlens.features.variants import applied, fit
from patchlens.settings.features import VariantName
from patchlens.stages.few_shot import Inputs, support_sets
from patchlens.tasks.few_shot import Support
from patchlens.tasks.knn import search, vote
from patchlens.tasks.prior import knn_says_nothing

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
NEAREST = 5  # neighbours of a patch


@dataclass(frozen=True)
class Found:
    """The result of k-NN for the patches [n, h, w] of some images.

    Attributes:
        similarity, places: of the nearest patches, nearest first [n, h, w, k]; a place is
            image · h · w + patch among the support images.
        shares: of the classes in the vote [n, h, w, C].
        winners: predicted class of each patch [n, h, w].
    """

    similarity: Array
    places: Ints
    shares: Array
    winners: Ints


def first_support(inputs: Inputs, settings: "Settings") -> Support:
    """The support of the first seed, as in T1."""
    ranked = inputs.ranked
    first = Ranked(ranked.seeds[:1], ranked.mean[:1], ranked.variance[:1], ranked.ranking[:1])
    try:
        [support] = support_sets(
            replace(inputs, ranked=first),
            settings.prune,
            settings.segmentation,
            resolve(settings.device),
        )
    except FitError as error:
        header = inputs.query.header
        raise SettingsError(f"{header.model} × {header.dataset}: {error}") from None
    return support


def neighbours(
    inputs: Inputs,
    support: Support,
    variant: VariantName,
    ids: Sequence[str],
    settings: "Settings",
) -> Found | None:
    """The result of T1's k-NN head for all patches of the query images `ids`.

    None if the features of the variant cannot distinguish patches.
    """
    segmentation = settings.segmentation
    shots, knn = segmentation.shots, segmentation.knn
    transform = fit(variant, support.fit_data, settings.prune, seed=support.seed, draw=0)
    known = support.labelled(shots, inputs.layer)
    bank = transform(known.x)
    if knn_says_nothing(bank.shape[1], knn):
        return None
    queries = applied(transform, inputs.query.images(ids, inputs.layer))
    grid = queries.shape[:3]
    k = min(max(NEAREST, segmentation.k), len(bank))
    similarity, rows = search(
        bank,
        queries.reshape(-1, queries.shape[-1]),
        k,
        distance=knn.distance,
        device=resolve(settings.device),
    )
    shares, winners = vote(
        similarity[:, : segmentation.k],
        known.y[rows[:, : segmentation.k]],
        len(inputs.index.classes),
        weighting=knn.vote,
        temperature=knn.temperature,
    )
    places = np.flatnonzero(support.labels(shots).reshape(-1) != IGNORE)[rows[:, :NEAREST]]
    return Found(
        similarity[:, :NEAREST].reshape(*grid, -1),
        places.reshape(*grid, -1),
        shares.reshape(*grid, -1),
        winners.reshape(grid),
    )
