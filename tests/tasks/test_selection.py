"""The nested choice: it finds what was planted, and its score is not that of the best of many."""

from dataclasses import replace

import numpy as np
import pytest

from patchlens.arrays import Array, Labels
from patchlens.features.device import resolve
from patchlens.settings.classifiers import Knn, Linear
from patchlens.settings.features import Prune
from patchlens.tasks.segmentation.few_shot import Query, Support
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.selection import run
from patchlens.tasks.selection.choose import Candidate, Options, best, fit_data, score

GRID, WIDTH, CLASSES = (6, 6), 6, 2
KNN = Knn(distance="cosine", vote="majority", temperature=0.07)
LINEAR = Linear(c=[0.1, 10.0], default_c=1.0, folds=2, max_iter=500)
PRUNE = Prune(m=0.3, select="fixed", choices=[0.3], fit_on="support", random_draws=1, pca_drop=1)
OPTIONS = Options(("raw", "center"), ("knn", "linear"), 3, KNN, LINEAR, PRUNE, 3, resolve("cpu"))
SEGMENTATION = Segmentation(
    datasets=[], variants=["raw", "center"], heads=["knn", "linear"], k=3, k_sweep=[], shots=8,
    shots_sweep=[], label="majority", knn=KNN, linear=LINEAR,
)  # fmt: skip


class World:
    """Images whose features in one layer may know the labels; all other layers are noise."""

    def __init__(self, images: int, layers: int, signal: float, seed: int, good: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.labels: Labels = rng.integers(0, CLASSES, (images, *GRID)).astype(np.uint8)
        shape = (layers, images, *GRID, WIDTH)
        self.features = rng.normal(0, 1, shape).astype(np.float32)
        self.features[good, ..., 0] += signal * (2.0 * self.labels - 1)
        self.layers = list(range(layers))
        self.steps = 0

    def support(self, rows: list[int]) -> Support:
        first: Array = self.features[0, rows].reshape(-1, WIDTH)
        return Support(
            seed=0,
            features=lambda _, layer: self.features[layer, rows],
            labels=lambda _: self.labels[rows],
            fit_data=fit_data(first, PRUNE),
        )

    def query(self, rows: list[int]) -> Query:
        return Query(
            features=lambda at, layer: self.features[layer, rows[at.start : at.stop]],
            labels=self.labels[rows],
            mask=lambda row: self.labels[rows[row]],
            classes=CLASSES,
        )

    def chosen(self, rows: list[int], options: Options = OPTIONS) -> run.Choice:
        return run.chosen(self.support(rows), 8, self.layers, CLASSES, options, self.step)

    def step(self) -> None:
        self.steps += 1

    def accuracy(self, choice: Candidate, known: list[int], asked: list[int]) -> np.ndarray:
        """Of each image of a query."""
        found = run.fitted(choice, self.support(known), 8, SEGMENTATION, OPTIONS, self.query(asked))
        counts = found.counts["patch"].dense()
        return np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2))


def test_the_layer_in_which_the_labels_were_planted_is_chosen() -> None:
    world = World(6, layers=4, signal=2.0, seed=0, good=2)
    choice, scores = world.chosen(list(range(6)))
    assert world.steps == 4 * OPTIONS.folds  # a bar moves with every fit of a layer
    assert choice.layer == 2
    assert scores[choice] > 0.9
    knn, linear = 4 * 2, 4 * len(LINEAR.c)  # the probe is the same on `center` as on `raw`
    assert len(scores) == knn + linear


def test_the_nested_score_is_not_above_that_of_fresh_images() -> None:
    """Of noise, the best of many candidates scores above chance; the nested score does not."""
    optimistic, nested, fresh = [], [], []
    options = replace(OPTIONS, variants=("raw",), heads=("knn",))
    for seed in range(8):
        world = World(16, layers=12, signal=0.0, seed=seed)
        labelled, others = list(range(8)), list(range(8, 16))
        choice, scores = world.chosen(labelled, options)
        optimistic.append(max(scores.values()))
        fresh += list(world.accuracy(choice, labelled, others))
        for i in labelled:
            rest = [n for n in labelled if n != i]
            inner, _ = world.chosen(rest, options)
            nested += list(world.accuracy(inner, rest, [i]))
    error = np.sqrt(np.var(nested) / len(nested) + np.var(fresh) / len(fresh))
    assert abs(np.mean(nested) - np.mean(fresh)) < 1.96 * error
    # mIoU of coin flips on two equal classes is 1/3: the best of twelve lies clearly above.
    assert np.mean(optimistic) > 1 / 3 + 0.02
    assert np.mean(nested) == pytest.approx(0.5, abs=2.5 * np.std(nested) / np.sqrt(len(nested)))


def test_the_inner_folds_split_no_image() -> None:
    """A layer that only tells images apart is of no use in another image."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 20)
    y = (groups % 2).astype(np.int64)
    telling = rng.normal(0, 1, (6, 8)).astype(np.float32)[groups] * 10
    x = {0: telling + rng.normal(0, 0.01, (120, 8)).astype(np.float32)}
    found = score(x, y, groups, CLASSES, replace(OPTIONS, heads=("knn",), variants=("raw",)))
    assert found[best(found)] < 0.7


def test_equal_scores_go_to_the_first() -> None:
    a, b = Candidate(1, "raw", "knn", 0.0), Candidate(2, "raw", "knn", 0.0)
    assert best({a: 0.5, b: 0.5}) == a
