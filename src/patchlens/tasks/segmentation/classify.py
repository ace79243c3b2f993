"""T1, few-shot semantic segmentation: classify the patches of images from a few labelled ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from patchlens.arrays import Array, Ints, Labels
from patchlens.features.device import Where
from patchlens.features.variants import VARIANTS, Transform, draws, fit
from patchlens.progress import track
from patchlens.settings.classifiers import Knn
from patchlens.settings.features import Prune, VariantName
from patchlens.tasks import approximate
from patchlens.tasks.bank import Bank, check_k, on_host
from patchlens.tasks.knn import bank_of, labels_of, vote
from patchlens.tasks.probe import Probe, Sample, fit_probe, fit_probes, in_batches, side_by_side
from patchlens.tasks.scores import Counts, ImageCounts, confusion
from patchlens.tasks.segmentation.few_shot import Labelled, Query, Support
from patchlens.tasks.segmentation.prior import knn_says_nothing, linear_says_nothing, prior
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.segmentation.upsample import upsampled_argmax

PROBE = "the linear probe"
MEANS = ("absent", "c", "at_edge")  # of a run: means over folds


@dataclass(frozen=True)
class Run:
    """One classifier, fitted and scored: confusion counts per query image.

    `counts` maps `patch` and `pixel` to counts of each image. Pixels are counted at the original
    mask resolution; the k sweep of variants other than `raw` lacks them.
    `c` and `at_edge` belong to the linear probe. Of folds, see `pooled`, they are means, as is
    `absent`. `recall` is that of an approximate index, the least of folds.
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
    recall: float | None = None


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
        recalls = [run.recall for run in of if run.recall is not None]
        found.append(replace(of[0], counts=counts, recall=min(recalls, default=None), **means))
    return found


class _Classifier(Protocol):
    def __call__(self, x: Array) -> dict[int, tuple[Any, Ints]]:
        """For each k (0 where there is none): class scores [n, C] and winners [n].

        The scores are an array of numpy, or of torch on a device.
        """


_Fitted = tuple[_Classifier, dict[str, Any]]  # with what a run says of it: `c`, `recall`, ...


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
    indexes: Path | None = None  # the folder of the indexes of banks, if the settings want any

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
        """The fits in their order; several variants at once where cores or a GPU have room."""
        beside, linear = 0, self.settings.linear
        if "linear" in self.settings.heads:
            known = whole[0][0].labelled(self.settings.shots, self.layers[0]).in_memory(PROBE)
            folds = 1 if len(linear.c) == 1 else linear.folds
            if self.device != "cpu":
                for some in in_batches(whole, known.x, folds * self.query.classes, self.device):
                    yield from self._at_once(some)
                return
            beside = side_by_side(4 * known.x.nbytes) // folds
        if beside < 2:
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

    def _at_once(self, some: Sequence[_Work]) -> Iterator[dict[Fit, list[Run]]]:
        """The fits, with all of their probes in one batch on the device."""
        linear, samples, probes = self.settings.linear, list[Sample](), list[dict[int, Probe]]()
        asked = list[tuple[dict[int, Probe], int]]()
        for support, (features, members) in some:
            probes.append({})
            for shots in sorted({plan.shots for plan in members if plan.head == "linear"}):
                known = support.labelled(shots, features[2]).turned(
                    self._transform(support, features)
                )
                if not linear_says_nothing(known.width, known.y):
                    known = known.in_memory(PROBE)
                    samples.append(Sample(known.x, known.y, known.groups, linear.c))
                    asked.append((probes[-1], shots))
        fitted = fit_probes(samples, self.query.classes, linear, self.device)
        for (found, shots), probe in zip(asked, fitted, strict=True):
            found[shots] = probe
        del samples  # before the query is scored
        for (support, (features, members)), found in zip(some, probes, strict=True):
            yield self._fit(support, features, members, found)

    def _transform(self, support: Support, features: _Features) -> Transform:
        variant, draw, _ = features
        return fit(variant, support.fit_data, self.prune, seed=support.seed, draw=draw)

    def _features(self, plan: Fit) -> _Features:
        """Variant, draw and layer of the features that give the fit."""
        return fitted_as(plan, self.settings.knn), plan.draw, plan.layer

    def fit(self, support: Support, plan: Fit) -> list[Run]:
        """The runs of one point of the protocol: one for each k."""
        return self._fit(support, self._features(plan), [plan])[plan]

    def _fit(
        self,
        support: Support,
        features: _Features,
        members: Sequence[Fit],
        probes: Mapping[int, Probe] | None = None,
    ) -> dict[Fit, list[Run]]:
        """The runs of fits on the same features, which are read and transformed once for all.

        `probes` are those of some numbers of shots that are fitted already.
        """
        transform, layer = self._transform(support, features), features[2]
        alike: dict[tuple[str, int], list[Fit]] = {}
        for plan in members:
            alike.setdefault((plan.head, plan.shots), []).append(plan)
        banks = {
            shots: support.labelled(shots, layer).turned(transform)
            for shots in {shots for _, shots in alike}
        }
        fitted = {
            (head, shots): _linear(probes[shots])
            if head == "linear" and probes and shots in probes
            else self._classifier(head, shots, features, banks[shots], support, transform)
            for head, shots in alike
        }
        parts: dict[tuple[tuple[str, int], int], dict[str, list[ImageCounts]]] = {}
        for rows in self.query.chunks():
            patches = self.query.features(rows, layer)
            x = transform(patches.reshape(-1, patches.shape[-1]))
            for key, (classifier, _) in fitted.items():
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
            absent = self.query.classes - len(np.unique(banks[key[1]].y))
            for plan in plans_of:
                runs[plan] = [
                    Run(
                        **plan._asdict(),
                        seed=support.seed,
                        k=k,
                        counts={at: of for at, of in counts.items() if at in self._levels(plan, k)},
                        absent=absent,
                        **fitted[key][1],
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
        self,
        head: str,
        shots: int,
        features: _Features,
        bank: Labelled,
        support: Support,
        transform: Transform,
    ) -> _Fitted:
        """The fitted classifier, and what a run says of it."""
        classes, settings = self.query.classes, self.settings
        if head == "majority":
            return _prior(bank.y, classes, one_hot=True), {}
        if head == "linear":
            if linear_says_nothing(bank.width, bank.y):
                return _prior(bank.y, classes, one_hot=False), {}
            known = bank.in_memory(PROBE)
            sample = (known.x, known.y, known.groups)
            return _linear(fit_probe(*sample, classes, settings.linear, device=self.device))
        if knn_says_nothing(bank.width, settings.knn):
            return _prior(bank.y, classes, one_hot=False), {}
        sweep = (features[2], shots) == (self.layers[0], settings.shots)
        ks = sorted({settings.k, *(settings.k_sweep if sweep else [])})
        distance, held = settings.knn.distance, support.held(bank.width)
        exact = bank_of(bank.x, distance=distance, device=self.device, held=held)
        searched: Bank | approximate.Index = exact
        about: dict[str, Any] = {}
        if not settings.knn.exact:
            check_k(ks[-1], len(bank.y))
            asked = self.query.sample(settings.knn.recall_queries, features[2], settings.knn.seed)
            name = "-".join(map(str, (support.seed, *features, shots)))
            searched, found = self._indexed(name, bank, exact, transform(asked), ks)
            about["recall"] = found
        return _knn(searched, bank.y, ks, classes, settings.knn), about

    def _indexed(
        self, name: str, bank: Labelled, exact: Bank, asked: Array, ks: Sequence[int]
    ) -> tuple[approximate.Index, float]:
        """An index of a bank in a file of this name, and its recall."""
        assert self.indexes is not None  # who gives no folder sets index: exact
        settings, path = self.settings.knn, self.indexes / f"{name}.faiss"
        approximate.build(bank.x, settings, path)
        index = approximate.Index(path, settings, self.device)
        found = approximate.recall(index, exact, asked, ks)
        approximate.check(found, settings, f"{len(asked)} query patches (bank {name})")
        return index, found.share

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


def _prior(y: Ints, classes: int, *, one_hot: bool) -> _Classifier:
    answer = prior(y, classes, one_hot=one_hot)
    return lambda x: {0: answer(len(x))}


def _knn(
    searched: Bank | approximate.Index, y: Ints, ks: list[int], classes: int, settings: Knn
) -> _Classifier:
    def classify(x: Array) -> dict[int, tuple[Any, Ints]]:
        [(similarity, rows)] = searched.search(x, ks[-1])
        labels = labels_of(y, rows)
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


def _linear(probe: Probe) -> _Fitted:
    def classify(x: Array) -> dict[int, tuple[Array, Ints]]:
        scores = probe.scores(x)
        return {0: (scores, scores.argmax(axis=1))}

    return classify, {"c": probe.c, "at_edge": probe.at_edge}
