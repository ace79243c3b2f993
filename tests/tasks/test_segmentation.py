from dataclasses import replace

import numpy as np
import pytest

from patchlens.errors import FitError
from patchlens.settings.classifiers import Knn
from patchlens.tasks.scores import confusion
from patchlens.tasks.segmentation import classify as segmentation
from patchlens.tasks.segmentation import few_shot
from patchlens.tasks.segmentation.summary import seed_scores
from tasks.world import PRUNE, masks_of, noisy, one_hot, query, random_labels, support, task

BOTH = {"heads": ["knn", "linear"]}


def runs_of(query_set, supports, **changes):
    return list(task(query_set, **changes).run(supports, "test"))


def by_head(runs, **wanted):
    return [r for r in runs if all(getattr(r, k) == v for k, v in wanted.items())]


def test_an_oracle_scores_one():
    labels = random_labels(5)
    runs = runs_of(query(labels), [support(random_labels(3, seed=1), shots=3)], shots=3, **BOTH)
    for head in ("knn", "linear"):
        (run,) = by_head(runs, head=head)
        assert seed_scores([run], "patch").tolist() == [1]
        assert np.array_equal(run.counts["patch"].total(), np.diag(np.bincount(labels.ravel())))


def test_swapped_labels_score_what_they_should():
    # 0 ↔ 1 in the support: only class 2 is right, IoU 0, 0, 1.
    given = random_labels(3, seed=1)
    swapped = np.array([1, 0, 2], np.uint8)[given]
    known = support(swapped, lambda labels: one_hot(given), shots=3)
    runs = runs_of(query(random_labels(6)), [known], shots=3, **BOTH)
    for head in ("knn", "linear"):
        assert seed_scores(by_head(runs, head=head), "patch") == pytest.approx(1 / 3)


def test_ignored_patches_neither_teach_nor_count():
    # The ignored support patch is the only one that looks like class 2.
    known = np.array([[[0, 1], [1, 255]], [[0, 0], [1, 1]]], np.uint8)
    features = one_hot(known)
    features[0, 1, 1] = [0, 0, 1]
    asked = np.array([[[0, 255], [1, 2]], [[2, 255], [1, 0]]], np.uint8)
    runs = runs_of(query(asked), [support(known, lambda _: features)], **BOTH)
    for run in runs:
        assert run.absent == 1
        assert run.counts["patch"].dense().sum(axis=(0, 2)).tolist() == [2, 2, 2]
        assert run.counts["pixel"].dense().sum() == 2 * 3 * 16
        assert run.counts["patch"].dense()[..., 2].sum() == 0
    (knn,) = by_head(runs, head="knn")
    assert np.diag(knn.counts["patch"].dense().sum(axis=0)).tolist() == [2, 2, 0]


def test_pixels_are_scored_at_the_resolution_of_the_mask():
    labels = np.array([[[0, 0], [1, 1]]], np.uint8)
    mask = masks_of(labels)
    asked = query(labels)
    (run,) = by_head(runs_of(asked, [support(random_labels(3), shots=3)], shots=3), head="knn")
    # Vertically 2 → 8: the shares cross exactly between rows 3 and 4, as the mask does.
    assert np.array_equal(run.counts["pixel"].dense()[0], confusion(mask[0], mask[0], 3))


def test_the_majority_floor_is_the_commonest_class_of_the_support():
    known = np.array([[[1, 1], [0, 2]], [[1, 2], [1, 0]]], np.uint8)
    asked = np.array([[[0, 1], [1, 2]], [[1, 1], [0, 0]]], np.uint8)
    (floor,) = by_head(runs_of(query(asked), [support(known)]), head="majority")
    assert floor.counts["patch"].dense().sum(axis=0)[:, 1].tolist() == [3, 4, 1]
    # Class 1: 4 of 8; classes 0 and 2: 0.
    assert seed_scores([floor], "patch") == pytest.approx(0.5 / 3)
    assert seed_scores([floor], "pixel") == pytest.approx(0.5 / 3)


@pytest.mark.parametrize("head", ["knn", "linear"])
def test_a_variant_without_dimensions_falls_back_to_class_shares(head):
    known = np.array([[[1, 1], [0, 2]], [[1, 2], [1, 0]]], np.uint8)
    changes = {"variants": ["raw", "keep_top"], "heads": [head]}
    runs = runs_of(query(random_labels(4)), [support(known, m=0.0)], **changes)
    (run,) = by_head(runs, variant="keep_top")
    (floor,) = by_head(runs, head="majority")
    assert run.k == 0
    for level in ("patch", "pixel"):
        assert np.array_equal(run.counts[level].dense(), floor.counts[level].dense())


def test_the_cosine_of_one_dimension_is_a_sign_and_says_nothing():
    known = np.array([[[1, 1], [0, 2]], [[1, 2], [1, 0]]], np.uint8)
    one_of_three = support(known, m=0.34)
    runs = runs_of(query(random_labels(4)), [one_of_three], variants=["raw", "keep_top"])
    (run,) = by_head(runs, variant="keep_top")
    assert run.counts["patch"].dense()[..., [0, 2]].sum() == 0


def test_a_support_of_one_class_predicts_it_at_every_k():
    known = np.full((2, 2, 2), 2, np.uint8)
    changes = {"k_sweep": [1, 3], "k": 1, **BOTH}
    runs = runs_of(query(random_labels(4), noisy), [support(known, noisy)], **changes)
    assert sorted(r.k for r in by_head(runs, head="knn")) == [1, 3]
    for run in by_head(runs, head="knn") + by_head(runs, head="linear"):
        assert run.counts["patch"].dense()[..., :2].sum() == 0
        assert run.absent == 2


def test_every_seed_gets_every_point_of_the_protocol():
    changes = {
        "variants": ["raw", "center", "prune_random"],
        "k": 3,
        "k_sweep": [1, 3, 5],
        "shots_sweep": [1, 2],
        **BOTH,
    }
    known = [support(random_labels(2, seed=s), noisy, seed=s) for s in (7, 8)]
    runs = runs_of(query(random_labels(3), noisy), known, layers=(5, 1), **changes)
    assert PRUNE.random_draws == 2  # in all: one a seed
    points = [(r.head, r.variant, r.draw, r.layer, r.shots, r.k) for r in runs if r.seed == 7]
    expected = [
        *[("knn", v, d, 5, 2, k) for v, d in VARIANTS for k in (1, 3, 5)],
        *[("linear", v, d, 5, 2, 0) for v, d in VARIANTS],
        ("knn", "raw", 0, 1, 2, 3),
        ("knn", "raw", 0, 5, 1, 3),
        ("linear", "raw", 0, 5, 1, 0),
        ("majority", "raw", 0, 5, 2, 0),
    ]
    assert sorted(points) == sorted(expected)
    assert len(runs) == 2 * len(expected)


VARIANTS = [("raw", 0), ("center", 0), ("prune_random", 0)]


def test_one_seed_has_all_draws_of_the_control():
    known = [support(random_labels(2), noisy)]
    runs = runs_of(query(random_labels(3), noisy), known, variants=["raw", "prune_random"])
    assert {r.draw for r in by_head(runs, head="knn") if r.variant == "prune_random"} == {0, 1}


def test_every_k_of_a_sweep_is_the_vote_of_its_own_neighbours():
    known, asked = random_labels(4, seed=1), random_labels(30, seed=2)
    bank, queries = (noisy(x).reshape(-1, 6).astype(np.float64) for x in (known, asked))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    similarity = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ bank.T
    changes = {"k": 2, "k_sweep": [1, 4, 7], "shots": 4}
    runs = runs_of(query(asked, noisy), [support(known, noisy, shots=4)], **changes)
    for run in by_head(runs, head="knn"):
        expected = np.zeros((3, 3), int)
        for true, row in zip(asked.ravel(), similarity, strict=True):
            near = np.argsort(-row)[: run.k]
            near_labels = known.ravel()[near]
            votes = [
                ((near_labels == c).sum(), row[near][near_labels == c].sum()) for c in range(3)
            ]
            expected[true, votes.index(max(votes))] += 1
        assert run.counts["patch"].dense().sum(axis=0).tolist() == expected.tolist()
    assert sorted(r.k for r in by_head(runs, head="knn")) == [1, 2, 4, 7]


def test_pixels_are_counted_at_the_headline_k_and_for_raw_at_all():
    changes = {"variants": ["raw", "center"], "k": 3, "k_sweep": [1]}
    runs = runs_of(query(random_labels(2), noisy), [support(random_labels(2), noisy)], **changes)
    pixels = {(r.variant, r.k) for r in runs if "pixel" in r.counts and r.head == "knn"}
    assert pixels == {("raw", 1), ("raw", 3), ("center", 3)}


def test_chunks_of_query_images_change_nothing(monkeypatch):
    labels, known = random_labels(7), [support(random_labels(2, seed=1), noisy)]
    whole = runs_of(query(labels, noisy), known, k_sweep=[3], **BOTH)
    features = noisy(labels)
    asked = query(labels, lambda _: features)
    monkeypatch.setattr(few_shot, "IMAGES", 3)
    parts = runs_of(asked, known, k_sweep=[3], **BOTH)
    assert {run.head for run in whole} >= {"knn", "linear"}
    for one, other in zip(whole, parts, strict=True):
        assert one.counts["patch"].dense().shape == (7, 3, 3)
        for level in one.counts:
            assert np.array_equal(one.counts[level].dense(), other.counts[level].dense())


def test_what_a_variant_learns_does_not_depend_on_the_query(monkeypatch):
    """The transformed support is the same, bit by bit, whatever is asked."""
    banks: list[bytes] = []
    original = segmentation.Task._classifier

    def spy(self, head, shots, features, bank, *others):
        banks.append(bank.x.tobytes())
        return original(self, head, shots, features, bank, *others)

    monkeypatch.setattr(segmentation.Task, "_classifier", spy)
    names = ["raw", "center", "l2", "zscore", "prune", "keep_top", "prune_random"]
    changes = {"variants": [*names, "pca_drop_top", "pca_whiten"], **BOTH}
    known = random_labels(2, seed=1)
    runs_of(query(random_labels(3), noisy), [support(known, noisy)], **changes)
    first = banks.copy()
    banks.clear()
    runs_of(query(random_labels(5, 9), lambda x: 9 * noisy(x)), [support(known, noisy)], **changes)
    assert banks == first
    assert len(set(first)) == len(changes["variants"]) + 1  # two draws of the control


@pytest.mark.parametrize("distance", ["cosine", "dot"])
def test_by_cosine_l2_is_raw_and_is_not_searched_again(distance, monkeypatch):
    searched = []
    original = segmentation._knn
    monkeypatch.setattr(
        segmentation, "_knn", lambda bank, *rest: searched.append(1) or original(bank, *rest)
    )
    own = Knn(distance=distance, vote="majority", temperature=0.07)
    runs = runs_of(
        query(random_labels(3), noisy),
        [support(random_labels(2), noisy)],
        variants=["raw", "l2"],
        k_sweep=[1, 3],
        knn=own,
    )
    raw, l2 = (by_head(runs, head="knn", variant=v) for v in ("raw", "l2"))
    assert len(searched) == (1 if distance == "cosine" else 2)
    assert [run.k for run in raw] == [run.k for run in l2] == [1, 3]
    # The k sweep of l2 has no pixels, as that of any variant but raw.
    assert [set(run.counts) for run in raw] == [{"patch", "pixel"}] * 2
    assert [set(run.counts) for run in l2] == [{"patch", "pixel"}, {"patch"}]


def test_the_probe_of_center_is_that_of_raw_and_is_not_fitted_again(monkeypatch):
    fitted = []
    original = segmentation.fit_probe
    monkeypatch.setattr(
        segmentation,
        "fit_probe",
        lambda x, *rest, **own: fitted.append(x) or original(x, *rest, **own),
    )
    given = query(random_labels(3), noisy), [support(random_labels(2), noisy)]
    runs = runs_of(*given, variants=["raw", "center", "zscore"], heads=["linear"])
    assert len(fitted) == 2
    raw, center = (by_head(runs, head="linear", variant=v) for v in ("raw", "center"))
    assert center[0].c == raw[0].c
    # And it is what the fit of centred features gives.
    monkeypatch.setattr(segmentation, "fitted_as", lambda plan, knn: plan.variant)
    runs = runs_of(*given, variants=["raw", "center"], heads=["linear"])
    [apart] = by_head(runs, head="linear", variant="center")
    assert len(fitted) == 4
    assert (apart.counts["patch"].total() == center[0].counts["patch"].total()).all()


@pytest.mark.parametrize("cores", [2, 9])
def test_variants_side_by_side_give_the_runs_of_one_after_the_other(cores, monkeypatch):
    changes = {"variants": ["raw", "center", "prune", "l2"], "shots_sweep": [1, 2], **BOTH}
    known = [support(random_labels(2, seed=s), noisy, seed=s) for s in (7, 8)]
    asked = query(random_labels(3), noisy)
    monkeypatch.setattr(segmentation, "side_by_side", lambda each: 1)
    apart = runs_of(asked, known, **changes)
    monkeypatch.setattr(segmentation, "side_by_side", lambda each: cores)
    together = runs_of(asked, known, **changes)
    assert len(apart) == len(together) > 10
    for one, other in zip(apart, together, strict=True):
        assert replace(one, counts={}) == replace(other, counts={})
        for level in one.counts:
            assert np.array_equal(one.counts[level].dense(), other.counts[level].dense())


def test_a_device_fits_the_probes_of_all_variants_and_seeds_in_one_batch(monkeypatch):
    """`cpu:0` is a CPU that works as a GPU does: in torch."""
    changes = {"variants": ["raw", "center", "prune", "l2"], "shots_sweep": [1, 2], **BOTH}
    known = [support(random_labels(2, seed=s), noisy, seed=s) for s in (7, 8)]
    asked = task(query(random_labels(3), noisy), **changes)
    batches = []
    fit_probes = segmentation.fit_probes
    monkeypatch.setattr(
        segmentation,
        "fit_probes",
        lambda of, *rest: batches.append(len(of)) or fit_probes(of, *rest),
    )
    here = list(asked.run(known, "test"))
    assert not batches
    there = list(replace(asked, device="cpu:0").run(known, "test"))
    assert batches == [2 * (3 + 1)]  # center is raw; raw with one shot less, too
    for one, other in zip(here, there, strict=True):
        assert replace(one, counts={}) == replace(other, counts={})
        for level, counts in one.counts.items():
            moved = np.abs(counts.dense().astype(int) - other.counts[level].dense()).sum() / 2
            assert moved <= 0.02 * counts.dense().sum()


def test_more_neighbours_than_patches_says_so():
    with pytest.raises(FitError, match="k = 9 exceeds the 8 patches"):
        runs_of(query(random_labels(2)), [support(random_labels(2))], k=9)
