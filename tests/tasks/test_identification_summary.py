"""From hits to scores: by hand."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from patchlens.tasks.identification.copies import Copy
from patchlens.tasks.identification.heads import NO_BIN, Head
from patchlens.tasks.identification.metrics import weighted
from patchlens.tasks.identification.summary import counts, curves, records, scores
from patchlens.tasks.resample import SharedResampler, scored


def cell(rows: pd.DataFrame, resamples: int) -> dict[str, float]:
    """What is written of the one head and variant of these records."""
    weigh = partial(weighted, index=None)
    return scored(weigh, rows, SharedResampler(resamples, 0))["patch"]["raw"]


CONDITIONS = [("blur", 1.0), ("blur", 2.0), ("shift", 1.0)]


def table(rows: list[tuple]) -> pd.DataFrame:
    """Rows of (unit, degradation, severity, hits1, hits5, queries), one head, variant and draw."""
    names = ["unit", "degradation", "severity", "hits1", "hits5", "queries"]
    made = pd.DataFrame(rows, columns=names)
    return made.assign(head="patch", variant="raw", draw=0, size="all")


WORKED = table(
    [
        ("a", "blur", 1.0, 3, 4, 4),
        ("a", "blur", 2.0, 1, 2, 4),
        ("a", "shift", 1.0, 1, 1, 1),
        ("b", "blur", 1.0, 1, 4, 4),
        ("b", "blur", 2.0, 0, 0, 4),
        ("b", "shift", 1.0, 0, 1, 1),
    ]
)


def test_robustness_is_the_mean_of_degradations_and_top1_that_of_queries():
    found = cell(WORKED, 50)
    # blur: (4/8 + 1/8) / 2 = 0.3125, shift: 1/2; six hits of 18 queries.
    assert found["robustness"] == pytest.approx((0.3125 + 0.5) / 2, abs=1e-4)
    assert found["top1"] == pytest.approx(6 / 18, abs=1e-4)
    assert found["top5"] == pytest.approx(12 / 18, abs=1e-4)


def test_the_interval_spans_the_source_images():
    found = cell(WORKED, 200)
    # Only a, or only b: (0.75 + 0.25) / 2 and 1; (0.25 + 0) / 2 and 0.
    assert found["robustness_ci_high"] == pytest.approx((0.5 + 1) / 2)
    assert found["robustness_ci_low"] == pytest.approx(0.125 / 2, abs=1e-4)
    assert found["top1_ci_low"] == pytest.approx(1 / 9, abs=1e-4)
    one = cell(WORKED[WORKED["unit"] == "a"], 20)
    assert one["top1_ci_low"] == one["top1"] == one["top1_ci_high"]


def test_conditions_without_queries_leave_the_means():
    conditions, found = counts(WORKED[WORKED["degradation"] == "blur"])
    assert conditions == CONDITIONS[:2]
    assert scores(conditions, found.sum(axis=0))["robustness"] == pytest.approx(0.3125)
    # In a resample of b alone, c's shift is gone: blur is what is left.
    rows = pd.concat(
        [WORKED[WORKED["degradation"] == "blur"], table([("c", "shift", 1.0, 2, 2, 2)])]
    )
    conditions, found = counts(rows)
    weights = np.array([[1, 1, 1], [0, 2, 0], [0, 0, 2]], dtype=float)
    drawn = scores(conditions, np.einsum("bu,uck->bck", weights, found))
    assert drawn["robustness"].tolist() == pytest.approx([(0.3125 + 1) / 2, 0.125, 1.0])
    assert np.isnan(scores(conditions, 0 * found[0])["top1"])
    assert np.isfinite(list(cell(rows, 300).values())).all()


def test_draws_are_averaged_and_queries_counted_once():
    hits = WORKED["hits1"].to_numpy()
    again = WORKED.assign(draw=1, hits1=0)
    found = cell(pd.concat([WORKED, again]), 50)
    assert found["top1"] == pytest.approx(hits.sum() / 2 / 18, abs=1e-4)
    curve = curves(pd.concat([WORKED, again]), {"patch": 9}, CONDITIONS, SharedResampler(20, 0))
    assert curve["queries"].tolist() == [8, 8, 2]
    assert curve["top1"].tolist() == [0.25, 0.0625, 0.25]


def test_counts_take_categories_of_other_rows_for_nothing():
    names = ["unit", "degradation", "size"]
    other = table([("z", "scale", 9.0, 1, 1, 1)]).assign(head="object")
    rows = pd.concat([WORKED, other]).astype(dict.fromkeys(names, "category"))
    conditions, found = counts(rows[rows["head"] == "patch"])
    assert conditions == CONDITIONS
    assert found.shape == (2, 3, 3)


def test_records_count_hits_of_every_copy_and_size():
    copies = [Copy("a", "blur", 1.0), Copy("a", "shift", 1.0), Copy("b", "blur", 1.0)]
    sizes = [2, 0, 3]  # queries of each copy; the second has none
    queries = [csr_array((n, 4)) for n in sizes]
    bins = np.array([0, 3, 1, 1, 1])
    head = Head("object", [], np.arange(4), queries, np.zeros(5, int), bins)
    top1 = np.array([True, False, True, False, False])
    found = records(head, "prune", 2, (top1, np.ones(5, bool)), copies)
    assert set(found["head"]) == {"object"}
    assert set(found["variant"]) == {"prune"}
    assert set(found["draw"]) == {2}
    shown = found[["unit", "degradation", "size", "hits1", "hits5", "queries"]]
    assert shown.to_numpy().tolist() == [
        ["a", "blur", "<1", 1, 1, 1],
        ["a", "blur", ">16", 0, 1, 1],
        ["b", "blur", "1–4", 1, 3, 3],
    ]
    patch = Head("patch", [], np.arange(4), queries, np.zeros(5, int), np.full(5, NO_BIN))
    sized = records(patch, "raw", 0, (top1, top1), copies)
    assert sized["size"].tolist() == ["all", "all"]


def test_curves_have_a_row_for_every_condition_in_the_order_of_the_settings():
    objects = table(
        [("a", "shift", 1.0, 1, 1, 2), ("b", "shift", 1.0, 1, 1, 1), ("a", "blur", 2.0, 0, 1, 1)]
    ).assign(head="object", size=["<1", ">16", "<1"])
    found = curves(
        pd.concat([WORKED, objects]), {"patch": 9, "object": 5}, CONDITIONS, SharedResampler(20, 0)
    )
    of_objects = found[found["head"] == "object"].drop(
        columns=["head", "variant", "top5", "top1_ci_low", "top1_ci_high"]
    )
    assert of_objects.astype(object).fillna("none").to_numpy().tolist() == [
        ["blur", 1.0, "all", "none", 0, 5],
        ["blur", 2.0, "all", 0.0, 1, 5],
        ["blur", 2.0, "<1", 0.0, 1, 5],
        ["shift", 1.0, "all", 0.6667, 3, 5],
        ["shift", 1.0, "<1", 0.5, 2, 5],
        ["shift", 1.0, ">16", 1.0, 1, 5],
    ]
    of_patches = found[found["head"] == "patch"]
    assert of_patches["top1"].tolist() == [0.5, 0.125, 0.5]
    assert of_patches["top5"].tolist() == [1.0, 0.25, 1.0]
    assert of_patches["queries"].tolist() == [8, 8, 2]
