"""T1, few-shot semantic segmentation: classify the patches of images from a few labelled ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np

from patchlens.arrays import Array, Ints, Labels
from patchlens.features.device import Where
from patchlens.features.variants import Transform, draws, fit
from patchlens.progress import track
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.features import Prune, VariantName
from patchlens.tasks.knn import search, vote
from patchlens.tasks.probe import fit_probe
from patchlens.tasks.scores import Counts, ImageCounts, confusion
from patchlens.tasks.segmentation.few_shot import Labelled, Query, Support
from patchlens.tasks.segmentation.prior import knn_says_nothing, linear_says_nothing, prior
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.segmentation.upsample import upsampled_argmax

MEANS = ("absent", "c", "at_edge")  # of a run: means over folds


@dataclass(frozen=True)
class Run:
    """One classifier, fitted and scored: confusion counts per query image.

    `counts` maps `patch` and `pixel` to counts of each image. Pixels are counted at the original
    mask resolution; the k sweep of variants other than `raw` lacks them.
    `c` and `at_edge` belong to the linear probe. Of folds, see `pooled`, they are means, as is
    `absent`.
    """

    head: str
    variant: str
    seed: int
    draw: int
    layer: int
    shots: int
    k: int
    counts: Mapping[str, ImageCounts]
    absent: float
    c: float = 0.0
    at_edge: float = False


def pooled(runs: Sequence[Run], held: Mapping[int, Sequence[str]], ids: Sequence[str]) -> list[Run]:
    """The runs of each fit on all folds of a repetition as one, with each image counted once.

    Args:
        runs: those of support sets; `seed` is the repetition.
        held: number of a run -> the images that it was scored on.
        ids: all images, in the order of the result.
    """
    place = {image_id: row for row, image_id in enumerate(ids)}
    same: dict[tuple[object, ...], list[int]] = {}
    for number, run in enumerate(runs):
        key = (run.seed, run.head, run.variant, run.draw, run.layer, run.shots, run.k)
        same.setdefault(key, []).append(number)
    found = []
    for members in same.values():
        rows = np.array([place[image_id] for number in members for image_id in held[number]])
        of = [runs[number] for number in members]
        counts = {
            level: ImageCounts.joined([run.counts[level] for run in of]).placed(rows)
            for level in of[0].counts
        }
        means = {key: float(np.mean([getattr(run, key) for run in of])) for key in MEANS}
        found.append(replace(of[0], counts=counts, **means))
    return found


class _Classifier(Protocol):
    def __call__(self, x: Array) -> dict[int, tuple[Array, Ints]]:
        """For each k (0 where there is none): class scores [n, C] and winners [n]."""


class Fit(NamedTuple):
    """What is fitted on a support: one point of the protocol."""

    head: str
    variant: VariantName
    draw: int
    layer: int
    shots: int


def plans(settings: Segmentation, prune: Prune, layers: Sequence[int], seeds: int) -> Iterator[Fit]:
    """What is fitted on each support set: headline, other layers, other shots, the floor.

    Args:
        settings: of T1.
        prune: of the variants.
        layers: the extracted layers, the headline first.
        seeds: number of support sets.
    """
    headline = layers[0]
    for name in settings.variants:
        for draw in range(draws(name, prune, seeds)):
            for head in settings.heads:
                yield Fit(head, name, draw, headline, settings.shots)
    if "knn" in settings.heads:
        for layer in layers[1:]:
            yield Fit("knn", "raw", 0, layer, settings.shots)
    for shots in settings.shots_sweep:
        for head in settings.heads:
            if shots != settings.shots:
                yield Fit(head, "raw", 0, headline, shots)
    yield Fit("majority", "raw", 0, headline, settings.shots)


@dataclass(frozen=True)
class Task:
    """T1 with its settings; `run` yields all results."""

    settings: Segmentation
    prune: Prune
    layers: Sequence[int]  # the first is the headline
    device: Where
    query: Query = field(repr=False)
    seen: Callable[[int, Labels], None] | None = None  # gets every predicted mask with its row

    def run(self, supports: Sequence[Support], what: str) -> Iterator[Run]:
        """Every run of every seed: headline and k sweep, other layers, other shots, the floor."""
        points = plans(self.settings, self.prune, self.layers, len(supports))
        whole = list(product(supports, points))
        for support, plan in track(whole, total=len(whole), what=what, unit="fit"):
            yield from self.fit(support, plan)

    def fit(self, support: Support, plan: Fit) -> Iterator[Run]:
        """The runs of one point of the protocol: one for each k."""
        bank, transform = self._bank(support, plan)
        classes, c, at_edge = self.query.classes, 0.0, False
        classifier: _Classifier
        if plan.head == "majority":
            classifier = _prior(bank.y, classes, one_hot=True)
        elif _says_nothing(bank, plan.head, self.settings.knn):
            classifier = _prior(bank.y, classes, one_hot=False)
        elif plan.head == "knn":
            sweep = (plan.layer, plan.shots) == (self.layers[0], self.settings.shots)
            ks = sorted({self.settings.k, *(self.settings.k_sweep if sweep else [])})
            classifier = _knn(bank, ks, classes, self.settings.knn, self.device)
        else:
            classifier, c, at_edge = _linear(bank, classes, self.settings.linear)
        absent = classes - len(np.unique(bank.y))
        for k, counts in self._score(transform, classifier, plan).items():
            yield Run(
                **plan._asdict(),
                seed=support.seed,
                k=k,
                counts=counts,
                absent=absent,
                c=c,
                at_edge=at_edge,
            )

    def _bank(self, support: Support, plan: Fit) -> tuple[Labelled, Transform]:
        """The labelled patches after the variant that is fitted here, and the variant."""
        transform = fit(
            plan.variant, support.fit_data, self.prune, seed=support.seed, draw=plan.draw
        )
        known = support.labelled(plan.shots, plan.layer)
        return replace(known, x=transform(known.x)), transform

    def _score(
        self, transform: Transform, classifier: _Classifier, plan: Fit
    ) -> dict[int, dict[str, ImageCounts]]:
        """Patch and pixel confusion counts for each k of the classifier."""
        query, parts = self.query, dict[int, dict[str, list[ImageCounts]]]()
        for rows in query.chunks():
            features = query.features(rows, plan.layer)
            grid = features.shape[:3]
            found = classifier(transform(features.reshape(-1, features.shape[-1])))
            for k, (scores, winners) in found.items():
                part = parts.setdefault(k, {})
                maps = zip(rows, winners.reshape(grid), strict=True)
                patches = (confusion(query.labels[r], w, query.classes) for r, w in maps)
                part.setdefault("patch", []).append(ImageCounts.of(patches, query.classes))
                # Pixels cost most of the time: the k sweep counts them for `raw` only.
                if plan.variant != "raw" and k not in (0, self.settings.k):
                    continue
                shares = zip(rows, scores.reshape(*grid, -1), strict=True)
                pixels = (self._pixels(row, score) for row, score in shares)
                part.setdefault("pixel", []).append(ImageCounts.of(pixels, query.classes))
        return {
            k: {level: ImageCounts.joined(counts) for level, counts in part.items()}
            for k, part in parts.items()
        }

    def _pixels(self, row: int, score: Array) -> Counts:
        """Counts [C, C] of one image at the original mask resolution."""
        mask = self.query.mask(row)
        predicted = upsampled_argmax(score, mask.shape)
        if self.seen is not None:
            self.seen(row, predicted)
        return confusion(mask, predicted, self.query.classes)


def _says_nothing(bank: Labelled, head: str, settings: Knn) -> bool:
    """Whether features cannot tell patches apart, so that only class shares are left."""
    width = bank.x.shape[1]
    if head == "knn":
        return knn_says_nothing(width, settings)
    return linear_says_nothing(width, bank.y)


def _prior(y: Ints, classes: int, *, one_hot: bool) -> _Classifier:
    answer = prior(y, classes, one_hot=one_hot)
    return lambda x: {0: answer(len(x))}


def _knn(bank: Labelled, ks: list[int], classes: int, settings: Knn, device: Where) -> _Classifier:
    def classify(x: Array) -> dict[int, tuple[Array, Ints]]:
        similarity, rows = search(bank.x, x, ks[-1], distance=settings.distance, device=device)
        labels = bank.y[rows]
        return {
            k: vote(
                similarity[:, :k],
                labels[:, :k],
                classes,
                weighting=settings.vote,
                temperature=settings.temperature,
            )
            for k in ks
        }

    return classify


def _linear(bank: Labelled, classes: int, settings: Linear) -> tuple[_Classifier, float, bool]:
    probe = fit_probe(bank.x, bank.y, bank.groups, classes, settings)

    def classify(x: Array) -> dict[int, tuple[Array, Ints]]:
        scores = probe.scores(x)
        return {0: (scores, scores.argmax(axis=1))}

    return classify, probe.c, probe.at_edge
