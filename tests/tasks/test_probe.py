from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.optimize
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_info, threadpool_limits

from patchlens.errors import FitError
from patchlens.settings.classifiers import Linear
from patchlens.tasks import logistic, probe
from patchlens.tasks.probe import Sample, fit_probe, fit_probes, grouped_folds
from patchlens.tasks.probe_on_device import Fits


def settings(c=(1.0,), default_c=0.5, folds=3, max_iter=3000) -> Linear:
    return Linear(c=list(c), default_c=default_c, folds=folds, max_iter=max_iter)


def blobs(n=240, width=12, classes=3, spread=1.5, seed=0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    x = rng.normal(size=(classes, width))[y] + spread * rng.normal(size=(n, width))
    return x.astype(np.float32), y


def ill_conditioned() -> tuple[np.ndarray, np.ndarray]:
    """As an MAE has it: a few dimensions of large variance, large means, tiny others."""
    x, y = blobs()
    rng = np.random.default_rng(5)
    x[:, :2] = 40 * x[:, :2] + 200
    x[:, 2] = 15 * rng.normal(size=len(x)) - 60
    x[:, 3:6] *= 0.1
    return x, y


@pytest.mark.parametrize("c", [0.001, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("data", [blobs, ill_conditioned])
def test_the_fit_is_that_of_scikit_learn(data, c):
    x, y = data()
    held_out = data()[0] * np.float32(1.01)
    ours = fit_probe(x, y, np.zeros(len(x), int), 3, settings([c]))
    # The reference runs in float64; L-BFGS without our change of coordinates needs minutes on the
    # ill-conditioned features, so there it is scikit-learn's Newton solver of the same objective.
    solver = "lbfgs" if data is blobs else "newton-cholesky"
    reference = LogisticRegression(C=c, solver=solver, tol=1e-10, max_iter=10_000)
    reference.fit(x.astype(np.float64), y)
    np.testing.assert_allclose(ours.scores(held_out), reference.predict_proba(held_out), atol=2e-3)
    # Softmax has one free direction: both solutions sum to 0 over the classes.
    scale = x.std(axis=0)[:, None]
    weights = ours.model.weights * scale
    expected = reference.coef_.T * scale
    np.testing.assert_allclose(weights, expected, atol=5e-3 * max(1, np.abs(expected).max()))
    wins = ours.scores(x).argmax(axis=1)
    ordered = np.sort(reference.predict_proba(x), axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 4e-3
    assert clear.mean() > 0.9
    assert np.array_equal(wins[clear], reference.predict(x)[clear])


def test_two_classes_are_a_softmax_as_in_scikit_learn_with_both_columns():
    x, y = blobs(classes=2)
    ours = fit_probe(x, y, np.zeros(len(x), int), 2, settings([1.0]))
    # Two columns of ½w each: the penalty ½(‖½w‖² + ‖½w‖²) is half the binary one: C is twice.
    reference = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(ours.scores(x)[:, 1], reference.predict_proba(x)[:, 1], atol=2e-3)


def test_a_class_that_the_support_lacks_scores_zero():
    x, y = blobs()
    labels = np.array([0, 2, 5])[y]
    found = fit_probe(x, labels, np.zeros(len(x), int), 7, settings())
    scores = found.scores(x)
    assert (scores[:, [1, 3, 4, 6]] == 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == labels).mean() > 0.6


def test_one_support_image_uses_the_default_c():
    x, y = blobs()
    found = fit_probe(x, y, np.full(len(x), 7), 3, settings([0.01, 1.0, 100.0], default_c=0.5))
    assert (found.c, found.at_edge) == (0.5, False)
    same = fit_probe(x, y, np.full(len(x), 7), 3, settings([0.5]))
    assert np.array_equal(found.model.weights, same.model.weights)


def test_a_single_c_is_used_as_it_is_and_is_no_edge():
    x, y = blobs()
    found = fit_probe(x, y, np.arange(len(x)) % 4, 3, settings([0.2]))
    assert (found.c, found.at_edge) == (0.2, False)


def image_fingerprints() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of one class each: a large true dimension, and a small mark that names the image.

    A small C sees the true dimension only, a large C learns the marks by heart. Folds that split
    images would reward that; on unseen images it can only hurt.
    """
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 20)
    y = groups % 2
    true = 5 * ((2 * y - 1)[:, None] + 1.2 * rng.normal(size=(len(y), 1)))
    marks = 0.1 * rng.normal(size=(12, 30))[groups]
    return np.hstack([true, marks]).astype(np.float32), y, groups


def test_c_is_chosen_by_folds_that_hold_out_whole_images():
    x, y, groups = image_fingerprints()
    values = settings([0.001, 0.01, 0.1, 1.0, 10.0, 100.0], folds=4)
    grouped = fit_probe(x, y, groups, 2, values)
    split = fit_probe(x, y, np.random.default_rng(0).permutation(len(y)), 2, values)
    assert grouped.c < split.c


def test_no_fold_splits_an_image_and_every_image_is_held_out_once(monkeypatch):
    x, y = blobs(n=60)
    groups = np.arange(60) % 5
    seen: list[np.ndarray] = []

    def spy(x, y, train, test, settings):
        seen.append(test)
        assert not set(groups[train]) & set(groups[test])
        return [1] * len(settings.c)

    monkeypatch.setattr(probe, "_held_out_hits", spy)
    fit_probe(x, y, groups, 3, settings([0.1, 1.0, 10.0], folds=4))
    assert len(seen) == 4
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(60))


def test_fewer_images_than_folds_make_one_fold_an_image(monkeypatch):
    x, y = blobs(n=60)
    seen: list[int] = []

    def spy(x, y, train, test, settings):
        seen.append(len(test))
        return [1] * len(settings.c)

    monkeypatch.setattr(probe, "_held_out_hits", spy)
    fit_probe(x, y, np.arange(60) % 2, 3, settings([0.1, 1.0], folds=4))
    assert seen == [30, 30]


@pytest.mark.parametrize(
    ("hits", "c", "at_edge"),
    [
        ([5, 4, 9, 8], 10.0, False),  # the whole range is tried, also past a fall
        ([3, 5, 4, 0], 1.0, False),
        ([3, 5, 5, 4], 1.0, False),  # equal ones: the smaller C
        ([3, 5, 5, 6], 100.0, True),
    ],
)
def test_the_c_with_the_most_hits_wins_and_an_edge_is_flagged(hits, c, at_edge, monkeypatch):
    x, y = blobs(n=60)
    monkeypatch.setattr(probe, "_held_out_hits", lambda *args: list(hits))
    found = fit_probe(x, y, np.arange(60) % 3, 3, settings([0.1, 1.0, 10.0, 100.0]))
    assert (found.c, found.at_edge) == (c, at_edge)


def test_a_held_in_part_with_one_class_predicts_it():
    x, y = blobs(n=40, classes=2)
    train, test = np.flatnonzero(y == 1)[:10], np.arange(20)
    hits = probe._held_out_hits(x, y, train, test, settings([0.1, 1.0]))
    assert hits == [int((y[:20] == 1).sum())] * 2


@pytest.mark.parametrize("groups", [np.zeros(240, int), np.arange(240) % 4])
def test_no_convergence_is_an_error(groups):
    x, y = ill_conditioned()
    with pytest.raises(FitError, match=r"did not converge in 2 iterations at C = .*max_iter"):
        fit_probe(x, y, groups, 3, settings([1.0, 10.0], max_iter=2))


def test_two_runs_and_any_number_of_threads_give_the_same_bits():
    x, y = blobs(n=900, width=96, classes=5)  # large enough for BLAS to use its threads
    groups, values = np.arange(len(x)) % 4, settings([0.1, 1.0])

    def bits() -> bytes:
        found = fit_probe(x, y, groups, 3, values).model
        return found.weights.tobytes() + found.intercepts.tobytes()

    first = bits()
    assert bits() == first
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            assert bits() == first
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(bits).result() == first


@pytest.mark.parametrize("data", [blobs, ill_conditioned])
@pytest.mark.parametrize("c", [(0.1,), (0.01, 1.0, 100.0)])
def test_the_fit_in_torch_is_that_of_scipy(data, c):
    x, y = data()
    groups = np.arange(len(x)) % 4
    ours = fit_probe(x, y, groups, 3, settings(c))
    theirs = fit_probe(x, y, groups, 3, settings(c), torch=True)
    assert (theirs.c, theirs.at_edge) == (ours.c, ours.at_edge)
    held_out = x * np.float32(1.01)
    np.testing.assert_allclose(theirs.scores(held_out), ours.scores(held_out), atol=2e-3)
    again = fit_probe(x, y, groups, 3, settings(c), torch=True)
    assert again.model.weights.tobytes() == theirs.model.weights.tobytes()


def test_the_folds_of_torch_count_the_hits_of_separate_fits():
    x, y = blobs(spread=3.0)
    y[:60] = 3  # a class that one fold does not show
    groups = np.repeat(np.arange(4), 60)
    kept = np.stack([groups != g for g in range(4)])
    folds = Fits([(x, y)], [kept], "cpu")
    for c in (0.01, 1.0):
        folds.fit([c], 3000)
        apart = 0
        for train in kept:
            [model] = logistic.path(x[train], y[train], [c], 3000)
            found = model.labels[model.logits(x[~train]).argmax(axis=1)]
            apart += int((found == y[~train]).sum())
        assert abs(folds.hits()[0] - apart) <= 1  # a patch may lie on the border


def samples(c) -> list[Sample]:
    """Of different sizes, labels and numbers of images; the last is of one image."""
    found = []
    for number, (n, width, images) in enumerate([(240, 12, 4), (200, 10, 2), (80, 12, 5)]):
        x, y = blobs(n=n, width=width, spread=3.0, seed=number)
        y[np.arange(n) % images == 0] += number  # classes that one fold does not show
        found.append(Sample(x, y, np.arange(n) % images, c))
    return [*found, found[0]._replace(groups=np.full(240, 3))]


@pytest.mark.parametrize("c", [[0.1], [0.01, 1.0, 100.0]])
def test_a_batch_in_torch_gives_the_fits_of_one_after_the_other(c):
    whole = fit_probes(samples(c), 6, settings(c), "cpu")
    again = fit_probes(samples(c), 6, settings(c), "cpu")
    for one, ours, twice in zip(samples(c), whole, again, strict=True):
        apart = fit_probe(one.x, one.y, one.groups, 6, settings(c))
        assert (ours.c, ours.at_edge) == (apart.c, apart.at_edge)
        np.testing.assert_allclose(ours.scores(one.x), apart.scores(one.x), atol=2e-3)
        assert ours.model.weights.tobytes() == twice.model.weights.tobytes()
        assert np.array_equal(ours.model.labels, np.unique(one.y))


def test_samples_of_about_one_size_share_a_batch():
    assert sorted(map(sorted, probe._alike(samples([1.0])))) == [[0, 1, 3], [2]]
    assert sorted(map(sorted, probe._alike(samples([1.0, 2.0])))) == [[0, 1], [2], [3]]


@pytest.mark.parametrize(("free", "batches"), [(1, 5), (2000, 3), (1 << 40, 1)])
def test_batches_on_a_device_fit_into_its_memory(free, batches, monkeypatch):
    monkeypatch.setattr(probe, "_free", lambda device: free)
    x = np.zeros((10, 4), np.float32)  # 840 bytes with two scores a patch
    found = list(probe.in_batches(range(5), x, 1, "cuda"))
    assert [i for some in found for i in some] == [0, 1, 2, 3, 4]
    assert len(found) == batches


@pytest.mark.parametrize(
    ("threads", "each", "expected"), [("1", 1, 1), ("3", 1, 3), ("3", 1 << 60, 1), ("2", 0, 2)]
)
def test_as_many_fits_as_cores_and_memory_allow(threads, each, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert probe.side_by_side(each) == expected


def test_no_convergence_in_torch_is_an_error():
    x, y = ill_conditioned()
    with pytest.raises(FitError, match=r"did not converge in 2 iterations at C = .*max_iter"):
        fit_probe(x, y, np.arange(len(x)) % 4, 3, settings([1.0], max_iter=2), torch=True)


@pytest.mark.parametrize("rows", [1, 499, 500, 999, 1000, 1234])
def test_pieces_cover_all_rows_and_none_is_small(rows, monkeypatch):
    monkeypatch.setattr(logistic, "PIECE", 500)
    parts = logistic.pieces(rows)
    assert np.array_equal(
        np.concatenate([np.arange(rows)[part] for part in parts]), np.arange(rows)
    )
    assert len(parts) == 1 or min(part.stop - part.start for part in parts) >= 500


def test_a_transform_by_pieces_is_the_fit_of_what_it_makes(monkeypatch):
    monkeypatch.setattr(logistic, "PIECE", 50)
    x, y = ill_conditioned()
    groups, columns = np.arange(len(x)) % 4, [0, 3, 5, 7]
    own = settings([0.1, 1.0])
    for c in (own, settings([1.0])):
        given = fit_probe(x, y, groups, 3, c, lambda rows: 2 * rows[:, columns])
        apart = fit_probe(2 * x[:, columns], y, groups, 3, c)
        assert given.c == apart.c
        np.testing.assert_allclose(given.model.weights, apart.model.weights, rtol=1e-3, atol=1e-4)


def test_every_fit_runs_on_one_blas_thread(monkeypatch):
    x, y = blobs()
    threads: set[int] = set()
    minimize = scipy.optimize.minimize

    def spy(*args, **options):
        # faiss brings a BLAS of its own, which no fit uses.
        pools = [p for p in threadpool_info() if "faiss" not in p["filepath"]]
        threads.update(p["num_threads"] for p in pools if p["user_api"] == "blas")
        return minimize(*args, **options)

    monkeypatch.setattr(scipy.optimize, "minimize", spy)
    with threadpool_limits(2, user_api="blas"):
        fit_probe(x, y, np.arange(len(x)) % 4, 3, settings([0.1, 1.0]))
    assert threads == {1}


@pytest.mark.parametrize(("images", "folds", "equal"), [(3, 2, False), (8, 5, False), (6, 4, True)])
def test_folds_are_those_of_scikit_learn(images, folds, equal):
    rng = np.random.default_rng(images)
    groups = 7 * (np.arange(120) % images if equal else rng.integers(0, images, 120))
    wanted = GroupKFold(n_splits=folds).split(groups, groups, groups)
    for ours, theirs in zip(grouped_folds(groups, folds), wanted, strict=True):
        assert all(map(np.array_equal, ours, theirs))


def test_a_fit_that_rounding_ends_too_early_goes_on_in_more_digits(monkeypatch):
    """One coarse feature, many rare classes: patches of one row, say, where keep_top keeps one."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 150, 300)
    x = (rng.integers(0, 8, (300, 1)) / 8).astype(np.float32)
    precisions = []
    objective = logistic._objective

    def seen(flat, z, *others):
        precisions.append(z.dtype)
        return objective(flat, z, *others)

    monkeypatch.setattr(logistic, "_objective", seen)
    found = fit_probe(x, y, np.arange(300) // 50, 150, settings()).model
    assert set(precisions) == {np.dtype(np.float32), np.dtype(np.float64)}
    truth = LogisticRegression(C=1.0, max_iter=5000, tol=1e-10).fit(x.astype(np.float64), y)
    np.testing.assert_allclose(
        found.logits(x) - found.logits(x).mean(axis=1, keepdims=True),
        truth.decision_function(x) - truth.decision_function(x).mean(axis=1, keepdims=True),
        atol=0.02,
    )
    precisions.clear()
    fit_probe(*blobs(), np.arange(240) // 40, 3, settings())
    assert set(precisions) == {np.dtype(np.float32)}  # and no bit of other fits changes


def test_coordinates_are_those_of_unit_curvature():
    rng = np.random.default_rng(0)
    z = np.vstack([rng.normal(size=(6, 5000)), np.ones(5000)])
    inner, penalties = 0.5 * rng.normal(size=(7, 4)), np.full((7, 1), 1e-3)
    made = logistic._coordinates(z.astype(np.float32), inner, penalties)
    shares = softmax(inner.T @ z, axis=0)
    for k, share in enumerate(shares):
        curvature = (z * share * (1 - share)) @ z.T / 5000 + np.diag(penalties[:, 0])
        root = made.factors[1][k] * made.scale[:, k]  # weights = rootᵀ · point
        np.testing.assert_allclose(root @ curvature @ root.T, np.eye(7), atol=1e-4)
    point = rng.normal(size=28)
    np.testing.assert_allclose(made.of(made.weights(point)), point)
    value, slope = logistic._objective(point, z, (y := rng.integers(0, 4, 5000)), made, penalties)
    step = 1e-6 * np.eye(28)[5]
    later, _ = logistic._objective(point + step, z, y, made, penalties)
    assert later - value == pytest.approx(1e-6 * slope[5], rel=1e-3)


def test_of_few_features_all_curvatures_save_steps(monkeypatch):
    x, y = blobs(n=1500, width=24, classes=8)
    x = x * np.float32(2.0) ** (np.arange(24) % 4)
    steps, objective = [], logistic._objective
    monkeypatch.setattr(logistic, "_objective", lambda *given: steps.append(1) or objective(*given))
    narrow = list(logistic.path(x, y, [0.01, 1.0, 1000.0], 3000))
    few = len(steps)
    monkeypatch.setattr(logistic, "NARROW", 0)
    wide = list(logistic.path(x, y, [0.01, 1.0, 1000.0], 3000))
    assert few < 0.7 * (len(steps) - few)
    for one, other in zip(narrow, wide, strict=True):
        logits = [found.logits(x) - found.logits(x).mean(axis=1)[:, None] for found in (one, other)]
        np.testing.assert_allclose(*logits, atol=0.1)
