"""T1, few-shot semantic segmentation: classify the patches of images from a few labelled ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from patchlens.arrays import Array, Ints, Labels
from patchlens.features.device import Where
from patchlens.features.variants import VARIANTS, draws, fit
from patchlens.progress import track
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.features import Prune, VariantName
from patchlens.tasks.knn import Bank, labels_of, on_host, vote
from patchlens.tasks.probe import fit_probe, side_by_side
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
        means: dict[str, Any] = {
            key: float(np.mean([getattr(run, key) for run in of])) for key in MEANS
        }
        found.append(replace(of[0], counts=counts, **means))
    return found


class _Classifier(Protocol):
    def __call__(self, x: Array) -> dict[int, tuple[Any, Ints]]:
        """For each k (0 where there is none): class scores [n, C] and winners [n].

        The scores are an array of numpy, or of torch on a device.
        """


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


def fitted_as(plan: Fit, knn: Knn) -> VariantName:
    """The variant that gives the fit: cosines see no lengths, and a probe's intercepts are free."""
    variant = VARIANTS[plan.variant]
    cosine = plan.head == "knn" and knn.distance == "cosine" and variant.keeps_directions
    return (
        "raw" if cosine or (plan.head == "linear" and variant.keeps_differences) else plan.variant
    )


_Features = tuple[VariantName, int, int]  # variant, draw and layer
_Work = tuple[Support, tuple[_Features, list[Fit]]]


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
        points = list(plans(self.settings, self.prune, self.layers, len(supports)))
        groups: dict[_Features, list[Fit]] = {}
        for plan in points:
            groups.setdefault(self._features(plan), []).append(plan)
        whole = list(product(supports, groups.items()))
        done: dict[Fit, list[Run]] = {}
        fits = self._side_by_side(whole)
        for found in track(fits, total=len(whole), what=what, unit="variant"):
            done |= found
            if len(done) == len(points):
                for plan in points:
                    yield from done.pop(plan)

    def _side_by_side(self, whole: Sequence[_Work]) -> Iterator[dict[Fit, list[Run]]]:
        """The fits in their order; with more cores than folds, several variants at once."""
        each = 4 * whole[0][0].labelled(self.settings.shots, self.layers[0]).x.nbytes
        folds = self.settings.linear.folds
        beside = side_by_side(each) // folds if self.device == "cpu" else 0
        if beside < 2 or "linear" not in self.settings.heads:
            for support, (features, members) in whole:
                yield self._fit(support, features, members)
            return
        # One BLAS thread from fit to fit, as `fit_probe` has it.
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(beside) as pool:
            waiting = [pool.submit(self._fit, one, *group) for one, group in whole]
            try:
                for fit_of_one in waiting:
                    yield fit_of_one.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _features(self, plan: Fit) -> _Features:
        """Variant, draw and layer of the features that give the fit."""
        return fitted_as(plan, self.settings.knn), plan.draw, plan.layer

    def fit(self, support: Support, plan: Fit) -> list[Run]:
        """The runs of one point of the protocol: one for each k."""
        return self._fit(support, self._features(plan), [plan])[plan]

    def _fit(
        self, support: Support, features: _Features, members: Sequence[Fit]
    ) -> dict[Fit, list[Run]]:
        """The runs of fits on the same features, which are read and transformed once for all."""
        variant, draw, layer = features
        transform = fit(variant, support.fit_data, self.prune, seed=support.seed, draw=draw)
        alike: dict[tuple[str, int], list[Fit]] = {}
        for plan in members:
            alike.setdefault((plan.head, plan.shots), []).append(plan)
        banks = {
            shots: replace(known, x=transform(known.x))
            for shots in {shots for _, shots in alike}
            for known in [support.labelled(shots, layer)]
        }
        fitted = {key: self._classifier(*key, layer, banks[key[1]]) for key in alike}
        parts: dict[tuple[tuple[str, int], int], dict[str, list[ImageCounts]]] = {}
        for rows in self.query.chunks():
            patches = self.query.features(rows, layer)
            x = transform(patches.reshape(-1, patches.shape[-1]))
            for key, (classifier, _, _) in fitted.items():
                for k, (scores, winners) in classifier(x).items():
                    levels = {level for plan in alike[key] for level in self._levels(plan, k)}
                    shares = scores if "pixel" in levels else None
                    part = parts.setdefault((key, k), {})
                    self._count(rows, shares, winners, patches.shape[:3], part)
        joined = {
            key: {level: ImageCounts.joined(counts) for level, counts in part.items()}
            for key, part in parts.items()
        }
        runs: dict[Fit, list[Run]] = {}
        for key, plans_of in alike.items():
            _, c, at_edge = fitted[key]
            absent = self.query.classes - len(np.unique(banks[key[1]].y))
            for plan in plans_of:
                runs[plan] = [
                    Run(
                        **plan._asdict(),
                        seed=support.seed,
                        k=k,
                        counts={at: of for at, of in counts.items() if at in self._levels(plan, k)},
                        absent=absent,
                        c=c,
                        at_edge=at_edge,
                    )
                    for (of_key, k), counts in joined.items()
                    if of_key == key
                ]
        return runs

    def _levels(self, plan: Fit, k: int) -> tuple[str, ...]:
        """Pixels cost most of the time: the k sweep counts them for `raw` only."""
        return (
            ("patch", "pixel") if plan.variant == "raw" or k in (0, self.settings.k) else ("patch",)
        )

    def _classifier(
        self, head: str, shots: int, layer: int, bank: Labelled
    ) -> tuple[_Classifier, float, bool]:
        """The fitted classifier, its C, and whether that lies at the edge of what was tried."""
        classes, settings = self.query.classes, self.settings
        if head == "majority":
            return _prior(bank.y, classes, one_hot=True), 0.0, False
        if _says_nothing(bank, head, settings.knn):
            return _prior(bank.y, classes, one_hot=False), 0.0, False
        if head == "linear":
            return _linear(bank, classes, settings.linear, self.device)
        sweep = (layer, shots) == (self.layers[0], settings.shots)
        ks = sorted({settings.k, *(settings.k_sweep if sweep else [])})
        return _knn(bank, ks, classes, settings.knn, self.device), 0.0, False

    def _count(
        self,
        rows: range,
        scores: Any,
        winners: Ints,
        grid: tuple[int, ...],
        part: dict[str, list[ImageCounts]],
    ) -> None:
        """Add the confusion counts of some images to `part`: patches, and pixels of `scores`."""
        classes = self.query.classes
        maps = zip(rows, winners.reshape(grid), strict=True)
        patches = (confusion(self.query.labels[r], w, classes) for r, w in maps)
        part.setdefault("patch", []).append(ImageCounts.of(patches, classes))
        if scores is not None:
            shares = zip(rows, scores.reshape(*grid, -1), strict=True)
            pixels = (self._pixels(row, score) for row, score in shares)
            part.setdefault("pixel", []).append(ImageCounts.of(pixels, classes))

    def _pixels(self, row: int, score: Any) -> Counts:
        """Counts [C, C] of one image at the original mask resolution."""
        mask = self.query.mask(row)
        predicted = upsampled_argmax(score, mask.shape)
        if self.seen is not None:
            self.seen(row, predicted.astype(np.uint8))
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
    searched = Bank(bank.x, distance=settings.distance, device=device)

    def classify(x: Array) -> dict[int, tuple[Any, Ints]]:
        [(similarity, rows)] = searched.search(x, ks[-1])
        labels = labels_of(bank.y, rows)
        found = {}
        for k in ks:
            shares, winners = vote(
                similarity[:, :k],
                labels[:, :k],
                classes,
                weighting=settings.vote,
                temperature=settings.temperature,
            )
            found[k] = shares, on_host(winners)
        return found

    return classify


def _linear(
    bank: Labelled, classes: int, settings: Linear, device: Where
) -> tuple[_Classifier, float, bool]:
    probe = fit_probe(bank.x, bank.y, bank.groups, classes, settings, device=device)

    def classify(x: Array) -> dict[int, tuple[Array, Ints]]:
        scores = probe.scores(x)
        return {0: (scores, scores.argmax(axis=1))}

    return classify, probe.c, probe.at_edge
