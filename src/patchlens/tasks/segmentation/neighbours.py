"""The neighbours of patches of query images, and their vote, as in T1."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from patchlens.arrays import Array, Ints
from patchlens.datasets.layout import IGNORE
from patchlens.errors import FitError, SettingsError
from patchlens.features.device import resolve
from patchlens.features.moments import Ranked
from patchlens.features.variants import applied, fit
from patchlens.settings.features import VariantName
from patchlens.tasks.knn import search, vote
from patchlens.tasks.segmentation.few_shot import Support
from patchlens.tasks.segmentation.inputs import Inputs, support_sets
from patchlens.tasks.segmentation.prior import knn_says_nothing

NEAREST = 5  # neighbours of a patch


@dataclass(frozen=True)
class Neighbours:
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


def first_support(inputs: Inputs) -> Support:
    """The support of the first seed, as in T1."""
    ranked = inputs.ranked
    first = Ranked(ranked.seeds[:1], ranked.mean[:1], ranked.variance[:1], ranked.ranking[:1])
    try:
        [support] = support_sets(replace(inputs, ranked=first))
    except FitError as error:
        raise SettingsError(f"{inputs.cell}: {error}") from None
    return support


def neighbours(
    inputs: Inputs,
    support: Support,
    variant: VariantName,
    ids: Sequence[str],
) -> Neighbours | None:
    """The result of T1's k-NN head for all patches of the query images `ids`.

    None if the features of the variant cannot distinguish patches.
    """
    cell, segmentation = inputs.cell, inputs.segmentation
    shots, knn = segmentation.shots, segmentation.knn
    transform = fit(variant, support.fit_data, cell.settings.prune, seed=support.seed, draw=0)
    known = support.labelled(shots, cell.layer).turned(transform)
    if knn_says_nothing(known.width, knn):
        return None
    queries = applied(transform, cell.query.images(ids, cell.layer))
    grid = queries.shape[:3]
    k = min(max(NEAREST, segmentation.k), len(known.y))
    similarity, rows = search(
        known.x,
        queries.reshape(-1, queries.shape[-1]),
        k,
        distance=knn.distance,
        device=resolve(cell.settings.device),
        held=support.held(known.width),
    )
    shares, winners = vote(
        similarity[:, : segmentation.k],
        known.y[rows[:, : segmentation.k]],
        len(cell.index.classes),
        weighting=knn.vote,
        temperature=knn.temperature,
    )
    places = np.flatnonzero(support.labels(shots).reshape(-1) != IGNORE)[rows[:, :NEAREST]]
    return Neighbours(
        similarity[:, :NEAREST].reshape(*grid, -1),
        places.reshape(*grid, -1),
        shares.reshape(*grid, -1),
        winners.reshape(grid),
    )
