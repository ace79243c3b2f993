"""The sweep on planted features: it must find what was planted, and nothing else."""

import tracemalloc

import numpy as np
import pytest

from patchlens.errors import FitError
from patchlens.features.variants import fit
from patchlens.tasks import logistic
from patchlens.tasks.segmentation.few_shot import Labelled
from patchlens.tasks.segmentation.select import choose_m, sampled
from patchlens.tasks.sweep import points as sweep
from patchlens.tasks.sweep.points import RAW, Point
from tasks import planted
from tasks.planted import CLASSES, CPU, NOISY, TASK, WIDTH, labels, swept
from tasks.world import fit_data

CHANCE = 1 / 7  # mIoU of guessing among 4 classes: hits of 1/16 in unions of 7/16


def prune(m: int) -> Point:
    return Point("prune", 0, m)


@pytest.fixture(scope="module")
def harmful():
    return swept(noise=30.0)


@pytest.fixture(scope="module")
def clean():
    return swept(noise=0.0)


def test_pruning_the_noisy_dimensions_restores_the_score_of_clean_features(harmful, clean):
    assert harmful["knn"][RAW] < 0.4
    assert harmful["knn"][prune(NOISY)] == pytest.approx(clean["knn"][RAW], abs=0.01)
    assert clean["knn"][RAW] > 0.8


def test_the_noisy_dimensions_alone_are_at_chance(harmful):
    assert harmful["knn"][Point("keep_top", 0, NOISY)] == pytest.approx(CHANCE, abs=0.03)
    assert harmful["linear"][Point("keep_top", 0, NOISY)] == pytest.approx(CHANCE, abs=0.03)


def test_zscore_is_a_match_for_pruning_and_random_pruning_is_none(harmful):
    knn = harmful["knn"]
    assert knn[Point("zscore", 0, 0)] == pytest.approx(knn[prune(NOISY)], abs=0.08)
    control = np.mean([knn[Point("prune_random", draw, NOISY)] for draw in range(3)])
    assert control < knn[prune(NOISY)] - 0.3


def test_a_linear_probe_does_not_mind_the_noise(harmful, clean):
    assert harmful["linear"][RAW] == pytest.approx(clean["linear"][RAW], abs=0.05)


def test_a_device_gives_the_probes_of_a_cpu(harmful):
    """`cpu:0` is a CPU that works as a GPU does: in torch, many points at once."""
    found = swept(noise=30.0, heads=("linear",), device="cpu:0")["linear"]
    assert set(found) == set(harmful["linear"])
    for point, score in found.items():
        assert score == pytest.approx(harmful["linear"][point], abs=0.01), point


def test_pruning_too_much_costs_what_the_informative_dimensions_held(harmful):
    assert harmful["knn"][prune(2)] < harmful["knn"][prune(4)] - 0.2
    assert harmful["knn"][prune(8)] < harmful["knn"][prune(4)]


def test_pruning_hurts_where_the_informative_dimensions_have_the_large_variance():
    found = swept(noise=0.3, signal=3.0, heads=("knn",))["knn"]
    assert found[prune(8)] < found[RAW] - 0.1
    assert found[Point("keep_top", 0, 8)] > 0.7


def test_rotated_noise_cannot_be_pruned_but_projected_away(clean):
    found = swept(noise=30.0, rotate=True, heads=("knn",))["knn"]
    assert max(found[prune(m)] for m in planted.COUNTS) < 0.4
    assert found[Point("pca_drop_top", 0, 0)] == pytest.approx(clean["knn"][RAW], abs=0.05)


def test_points_equal_plain_fits_of_the_same_variant():
    from patchlens.tasks.knn import search, vote
    from patchlens.tasks.scores import confusion, mean_iou

    y, query_y = labels(400, 1), labels(600, 2)
    x = planted.features(y, 3, noise=2.0)
    query_x = planted.features(query_y, 4, noise=2.0)
    found = swept(noise=2.0, heads=("knn",))["knn"]
    assert found
    for point in found:
        transform = fit(point.variant, fit_data(x, point.m), planted.PRUNE, seed=0, draw=point.draw)
        near = search(transform(x), transform(query_x), 5, distance="cosine", device=CPU)
        _, winners = vote(near[0], y[near[1]], CLASSES, weighting="majority", temperature=0.07)
        counts = confusion(query_y.astype(np.uint8), winners, CLASSES)
        expected = float(mean_iou(counts, counts.sum(axis=1) > 0))
        assert found[point] == pytest.approx(expected, abs=1e-6), point


def test_c_keeps_its_strength_at_any_scale_of_the_features():
    small = swept(noise=1.0, c=0.01)
    large = swept(noise=100.0, signal=100.0, c=0.01 / 100**2)
    with_m = {point: score for point, score in small["linear"].items() if point.m}
    assert len(with_m) == 5 * len(planted.COUNTS)
    for point, score in (with_m | {RAW: small["linear"][RAW]}).items():
        assert large["linear"][point] == pytest.approx(score, abs=0.01), point


def test_two_probes_side_by_side_hold_less_than_three_times_the_bank(monkeypatch):
    monkeypatch.setattr(sweep, "side_by_side", lambda each: 2)
    monkeypatch.setattr(
        logistic, "PIECE", 500
    )  # for a bank that is as large beside it as real ones
    x = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    y = np.arange(len(x)) % 2
    plan = sweep.SweepPlan([1], ("center", "l2"), planted.PRUNE, seed=0, draws=1)
    bank = Labelled(x, y, y)
    query = planted.query_of(x[:100], y[:100].astype(np.uint8))
    one = TASK.linear.model_copy(update={"c": [1.0]})
    data, chosen = fit_data(x), dict.fromkeys(("raw", "center", "l2"), 1.0)
    tracemalloc.start()
    try:
        found = sweep.linear_scores(bank, data, query, 0, plan, one, chosen, CPU)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert set(found) == set(plan.points())
    assert peak < 3 * x.nbytes


def test_ignored_patches_are_not_scored():
    y, x = labels(100, 1), planted.features(labels(100, 1), 3, noise=0.1)
    marked = y.astype(np.uint8)
    marked[::3] = 255
    plan = sweep.SweepPlan([4], (), planted.PRUNE, seed=0, draws=1)
    bank = Labelled(x, y, np.repeat(np.arange(4), 25))
    wrong = np.where(marked[:, None] == 255, x[::-1], x)  # would be scored as errors
    query = planted.query_of(wrong, marked)
    found = sweep.knn_scores(
        bank, fit_data(x), query, 0, plan, TASK.model_copy(update={"k": 1}), CPU
    )
    assert found[RAW] == 1.0


def chosen(x, y, counts=(0, 2, 4, 8)) -> int:
    return choose_m(
        Labelled(x, y, np.repeat(np.arange(4), 100)),
        CLASSES,
        counts,
        k=5,
        knn=TASK.knn,
        folds=4,
        device=CPU,
    )


def test_auto_chooses_the_planted_number_within_the_support_set():
    y = labels(400, 1)
    assert chosen(planted.features(y, 3, noise=30.0), y) == NOISY


def test_auto_chooses_to_prune_nothing_where_pruning_hurts():
    y = labels(400, 1)
    assert chosen(planted.features(y, 3, noise=0.3, signal=3.0), y) == 0


def test_equal_scores_choose_the_smaller_m():
    y = labels(400, 1)
    x = np.zeros((400, WIDTH), np.float32)
    x[:, :CLASSES] = np.eye(CLASSES, dtype=np.float32)[y]  # constant dimensions say nothing
    assert chosen(x[:, ::-1].copy(), y, counts=(0, 0)) == 0
    noiseless = np.hstack([x, x, x])
    assert chosen(noiseless, y, counts=(0, 1, 2)) == 0


def test_auto_needs_two_support_images():
    y = labels(40, 1)
    with pytest.raises(FitError, match=r"prune.select: auto needs at least 2 support images"):
        choose_m(
            Labelled(planted.features(y, 3, noise=1.0), y, np.zeros(40, int)),
            CLASSES,
            [0, 2],
            k=1,
            knn=TASK.knn,
            folds=4,
            device=CPU,
        )


def test_m_is_chosen_on_a_seeded_sample_with_equally_many_patches_of_each_class():
    y = np.repeat([0, 1, 2], [500, 90, 10])
    x = np.arange(600, dtype=np.float32)[:, None]
    known = Labelled(x, y, np.arange(600) // 50)
    assert sampled(known, 600, 0) is known
    few = sampled(known, 100, 0)
    assert np.bincount(few.y).tolist() == [45, 45, 10]
    rows = few.x[:, 0].astype(int)
    assert np.array_equal(few.y, y[rows])
    assert np.array_equal(few.groups, rows // 50)
    assert np.array_equal(rows, sampled(known, 100, 0).x[:, 0])
    assert not np.array_equal(rows, sampled(known, 100, 1).x[:, 0])
