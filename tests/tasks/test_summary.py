from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from patchlens.tasks.resample import SharedResampler, interval, scored
from patchlens.tasks.scores import ImageCounts, mean_iou
from patchlens.tasks.segmentation import summary
from patchlens.tasks.segmentation.classify import Run
from patchlens.tasks.segmentation.metrics import counts_of, weighted
from tasks.world import noisy, query, random_labels, support, task


def run(counts, seed=0, head="knn", variant="raw", draw=0, k=1, **more) -> Run:
    """A run from patch counts [N, C, C]; every pixel count is 16 times as much."""
    counts = np.asarray(counts)
    classes = counts.shape[-1]
    both = {"patch": ImageCounts.of(counts, classes), "pixel": ImageCounts.of(16 * counts, classes)}
    names = {"head": head, "variant": variant, "seed": seed, "draw": draw, "k": k}
    return Run(**names | {"layer": 0, "shots": 2, "absent": 0, "counts": both} | more)


# Two images, two classes: IoU of the sum 3/(5+4−3), 3/(3+4−3).
A = [[[2, 0], [0, 1]], [[1, 2], [0, 2]]]
# IoU of the sum: 5/(5+8−5), 0.
B = [[[2, 0], [1, 0]], [[3, 0], [2, 0]]]


def iou(a, b):
    return (a + b) / 2


def score(runs: Sequence[Run], units: Sequence[str], resamples: int, seed: int) -> dict[str, float]:
    """What the cell says of the one head and variant of these runs; units are those of images."""
    ids = [f"image {i}" for i in range(len(units))]
    index = SimpleNamespace(query=pd.DataFrame({"image_id": ids, "unit": units}))
    weigh, records = partial(weighted, index=index), summary.records(runs, ids)
    [of_variants] = scored(weigh, records, SharedResampler(resamples, seed)).values()
    [resampled] = of_variants.values()
    return resampled | summary.score(runs)


def unit_counts(runs: Sequence[Run], units: Sequence[str], level: str) -> np.ndarray:
    """The confusion matrix [R, U, C, C] of each run and unit, in the order of their names."""
    names = sorted(set(units))
    dense = np.stack([run.counts[level].dense() for run in runs])
    of_unit = np.array([[unit == name for unit in units] for name in names])
    return np.einsum("un,rnij->ruij", of_unit, dense)


def test_scores_of_two_seeds_by_hand():
    cell = score([run(A, 0), run(B, 1)], ["u", "v"], 200, 0)
    first, second = iou(3 / 5, 3 / 5), iou(5 / 8, 0)
    assert cell["patch_miou"] == pytest.approx((first + second) / 2, abs=1e-4)
    assert cell["patch_miou_std"] == pytest.approx(abs(first - second) / np.sqrt(2), abs=1e-4)
    # F1: 6/8, 6/8 and 10/13, 0; accuracy 6/8 and 5/8.
    assert cell["patch_f1"] == pytest.approx((0.75 + iou(10 / 13, 0)) / 2, abs=1e-4)
    assert cell["patch_accuracy"] == pytest.approx((6 / 8 + 5 / 8) / 2, abs=1e-4)
    assert cell["pixel_miou"] == cell["patch_miou"]


def test_draws_are_averaged_within_their_seed():
    runs = [run(A, 0, draw=0), run(B, 0, draw=1), run(B, 1, draw=0), run(B, 1, draw=1)]
    first, second = iou(3 / 5, 3 / 5), iou(5 / 8, 0)
    assert summary.seed_scores(runs, "patch") == pytest.approx([(first + second) / 2, second])


def test_one_seed_has_no_spread():
    assert "patch_miou_std" not in score([run(A)], ["u", "v"], 100, 0)


def test_the_classes_are_those_of_the_whole_query():
    # Class 2 is predicted in error, never true; class 1 is true in the second image only.
    counts = [[[2, 0, 1], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 2, 0], [0, 0, 0]]]
    cell = score([run(counts)], ["u", "v"], 300, 0)
    assert cell["patch_miou"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-4)
    # Resamples of one image alone: 2/3 or 1, the absent class leaves the mean.
    assert cell["patch_miou_ci_low"] == pytest.approx(2 / 3, abs=1e-4)
    assert cell["patch_miou_ci_high"] == 1


def test_frames_of_one_unit_are_drawn_together():
    together = score([run(A)], ["u", "u"], 200, 0)
    assert together["patch_miou_ci_low"] == together["patch_miou_ci_high"]
    apart = score([run(A)], ["u", "v"], 200, 0)
    assert apart["patch_miou_ci_low"] < apart["patch_miou_ci_high"]


def test_units_collect_their_images():
    ids = ["v0", "u0", "v1"]
    rows = summary.records([run([*A, A[0]])], ids)
    units = dict(zip(ids, "vuv", strict=True))
    counts = counts_of(rows[rows["level"] == "patch"], units, ["u", "v"])
    assert counts.shape == (1, 2, 2, 3)
    assert counts[0, 0].tolist() == [[1, 3, 1], [2, 2, 4]]  # u: hits, true, predicted
    assert counts[0, 1].tolist() == [[4, 4, 4], [2, 2, 2]]  # v: twice the first image


def test_the_probe_reports_its_c_and_its_edges():
    runs = [run(A, s, head="linear", k=0, c=c, at_edge=c > 5) for s, c in enumerate([1.0, 0.1, 10])]
    cell = score(runs, ["u", "v"], 100, 0)
    assert (cell["c_median"], cell["c_at_edge_share"]) == (1.0, 0.3333)
    assert "c_median" not in score([run(A)], ["u", "v"], 100, 0)


def test_classes_that_the_support_lacks_are_counted():
    cell = score([run(A, 0, absent=1), run(A, 1, absent=2)], ["u", "v"], 100, 0)
    assert cell["classes_absent_from_support"] == 1.5


def test_the_headline_has_its_layer_shots_and_k():
    assert summary.is_headline(run(A, k=10), 0, 2, 10)
    assert summary.is_headline(run(A, k=0), 0, 2, 10)
    assert not summary.is_headline(run(A, k=3), 0, 2, 10)
    assert not summary.is_headline(run(A, k=10, layer=1), 0, 2, 10)
    assert not summary.is_headline(run(A, k=10, shots=1), 0, 2, 10)


def test_a_sweep_has_one_row_a_value_and_no_pixels_where_none_were_counted():
    only_patches = run(B, 0, variant="prune", k=3)
    only_patches = Run(
        **vars(only_patches) | {"counts": {"patch": ImageCounts.of(np.asarray(B), 2)}}
    )
    runs = [run(A, 0, k=3), run(B, 1, k=3), run(A, 0, k=1), run(A, 1, k=1), only_patches]
    table = summary.sweep(runs, "k")
    assert table[["variant", "k"]].to_numpy().tolist() == [["prune", 3], ["raw", 1], ["raw", 3]]
    first, second = iou(3 / 5, 3 / 5), iou(5 / 8, 0)
    assert table["patch_miou"].tolist() == pytest.approx(
        [second, first, (first + second) / 2], abs=1e-4
    )
    assert table["pixel_miou"].isna().tolist() == [True, False, False]


def test_class_scores_by_hand():
    counts = [[[2, 0, 1], [1, 4, 0], [0, 0, 0]]]
    table = summary.class_scores({("knn", "raw"): [run(counts)]}, ["road", "car", "sky"])
    assert table["class"].tolist() == ["road", "car", "sky"]
    assert table["iou"].tolist()[:2] == [0.5, 0.8]
    assert table["f1"].tolist()[:2] == pytest.approx([4 / 6, 8 / 9], abs=1e-4)
    assert table["pixel_share"].tolist() == [0.375, 0.625, 0]
    assert table.loc[2, ["iou", "f1"]].isna().all()


@pytest.mark.parametrize("level", ["pixel", "patch"])
def test_records_give_the_scores_and_the_interval_of_the_runs_back(level):
    changes = {"variants": ["raw", "prune_random"], "heads": ["knn", "linear"], "shots": 2}
    known = [support(random_labels(2, seed=s), noisy, seed=s) for s in range(3)]
    runs = list(task(query(random_labels(9), noisy), **changes).run(known, "test"))
    units = ["a", "b", "c", "a", "d", "b", "e", "f", "a"]
    headline: dict[tuple[str, str], list[Run]] = {}
    for one in runs:
        headline.setdefault((one.head, one.variant), []).append(one)
    table = summary.records(runs, [f"image {i}" for i in range(9)])
    assert list(table.columns) == summary.RECORDS
    assert (table["count"] > 0).all()
    assert {head for head, _ in headline} == {"knn", "linear", "majority"}
    for members in headline.values():
        cell = score(members, units, 300, 5)
        counts = unit_counts(members, units, level)
        assert counts.shape == (len(members), 6, 3, 3)
        weights = np.concatenate(list(SharedResampler(300, 5).unit_chunks(6)))
        present = np.ones(3, dtype=bool)
        drawn = mean_iou(np.einsum("bu,ruij->brij", weights, counts), present).mean(axis=1)
        expected = [round(float(end), 4) for end in interval(drawn)]
        assert [cell[f"{level}_miou_ci_low"], cell[f"{level}_miou_ci_high"]] == expected
        of_seeds = summary.seed_scores(members, level)
        assert cell[f"{level}_miou"] == round(float(of_seeds.mean()), 4)
        assert cell[f"{level}_miou_std"] == round(float(of_seeds.std(ddof=1)), 4)
        assert mean_iou(counts.sum(axis=1), present).mean() == pytest.approx(of_seeds.mean())


def test_records_survive_parquet(tmp_path):
    runs = [run(A), run(B, 1)]
    table = summary.records(runs, ["x", "y"])
    table.to_parquet(tmp_path / "r.parquet", index=False)
    back = pd.read_parquet(tmp_path / "r.parquet")
    counts = counts_of(back[back["level"] == "patch"], {"x": "x", "y": "y"}, ["x", "y"])
    matrices = unit_counts(runs, ["x", "y"], "patch")
    hits, true = np.diagonal(matrices, axis1=2, axis2=3), matrices.sum(axis=3)
    assert np.array_equal(counts, np.stack([hits, true, matrices.sum(axis=2)], axis=-1))


def test_without_runs_a_sweep_is_an_empty_table_with_its_columns():
    table = summary.sweep([], "k")
    assert len(table) == 0
    assert list(table.columns[:4]) == ["head", "variant", "k", "pixel_miou"]
