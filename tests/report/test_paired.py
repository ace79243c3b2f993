from typing import Any

import numpy as np
import pytest

from patchlens.report.paired import compared, level_with_best
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import SharedResampler
from patchlens.tasks.segmentation.metrics import run_miou

SCORE = Metric("score", "score")


def resamples(counts: np.ndarray, number: int, seed: int) -> np.ndarray:
    """MIoU of T1 in each resample of the units, as a mean over runs."""
    present = counts[..., 1].sum(axis=(0, 1)) > 0
    chunks = SharedResampler(number, seed).unit_chunks(counts.shape[1])
    return np.concatenate([run_miou(counts, w, present=present) for w in chunks]).mean(axis=1)


def images(hit_rates: np.ndarray) -> np.ndarray:
    """Counts of one run: each unit has 100 pixels of each of two classes."""
    hits = np.round(100 * hit_rates)
    counts = np.stack([hits, np.full_like(hits, 100), hits + (100 - hits)], axis=-1)
    return np.stack([counts, counts], axis=1)[None]


def test_the_clearly_worse_is_not_marked_and_the_equal_is():
    rng = np.random.default_rng(0)
    difficulty = rng.uniform(0.3, 0.9, 30)
    best = images(difficulty)
    equal = images(difficulty + np.resize([0.02, -0.03], 30))
    worse = images(difficulty - 0.05)
    samples = [resamples(counts, 500, 0) for counts in (worse, best, equal)]
    scores = [float(s.mean()) for s in samples]
    assert scores[1] == max(scores)
    # Unpaired, 0.05 would drown in the spread of the images; paired, it is seen.
    assert np.ptp(np.percentile(samples[1], [2.5, 97.5])) > 0.1
    assert level_with_best(samples, scores) == [False, True, True]


def test_the_best_is_level_with_itself_and_so_is_its_copy():
    sample = np.random.default_rng(0).normal(0.5, 0.1, 400)
    assert level_with_best([sample, sample.copy()], [0.5, 0.5]) == [True, True]


def test_a_difference_that_is_always_there_is_never_level_however_small():
    sample = np.random.default_rng(0).normal(0.5, 0.1, 400)
    assert level_with_best([sample - 1e-3, sample], [0.499, 0.5]) == [False, True]


def test_a_row_that_only_rounding_puts_behind_is_level():
    # Published scores are rounded: the first of two equal ones is called the best.
    sample = np.random.default_rng(0).normal(0.5, 0.1, 400)
    assert level_with_best([sample, sample + 1e-6], [0.5, 0.5]) == [True, True]


def test_all_rows_of_a_dataset_get_the_same_draws():
    counts = images(np.random.default_rng(0).uniform(0.3, 0.9, 12))
    assert np.array_equal(resamples(counts, 200, 4), resamples(counts, 200, 4))
    # The same units with all pixels doubled score the same in each resample.
    np.testing.assert_allclose(resamples(2 * counts, 200, 4), resamples(counts, 200, 4))


@pytest.mark.parametrize("seeds", [1, 3])
def test_resamples_average_over_runs(seeds):
    rng = np.random.default_rng(0)
    runs = [images(rng.uniform(0.3, 0.9, 8)) for _ in range(seeds)]
    apart = np.mean([resamples(one, 100, 0) for one in runs], axis=0)
    np.testing.assert_allclose(resamples(np.concatenate(runs), 100, 0), apart)


def rows_of(*names: str, scores: list[float], ceiling: str = "-") -> list[dict[str, Any]]:
    return [
        dict(zip(("model", "variant"), name.split(), strict=True), score=score)
        | {"role": "ceiling" if name.startswith(ceiling) else "rival"}
        for name, score in zip(names, scores, strict=True)
    ]


def test_models_are_compared_within_a_variant_and_variants_with_raw_of_their_model():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 2000)
    scores = [0.5, 0.4, 0.7, 0.41, 0.499]
    rows = rows_of("a raw", "b raw", "a zscore", "b zscore", "c raw", scores=scores)
    samples = [score + noise for score in scores[:4]] + [0.499 + rng.normal(0, 0.01, 2000)]
    found = compared(rows, samples, SCORE)
    assert [row["level_with_best"] for row in found] == [False, False, True, False, False]
    assert [row["level_with_best_model"] for row in found] == [True, False, True, False, True]
    assert found[2]["gain"] == 0.2
    assert found[2]["gain_ci_low"] == found[2]["gain_ci_high"] == 0.2  # paired: no noise is left
    assert found[3]["gain"] == 0.01
    assert not {"gain", "gain_ci_low", "behind"} & found[0].keys()
    assert (found[1]["behind"], found[1]["behind_ci_low"]) == (0.1, 0.1)
    assert found[3]["behind"] == 0.29  # within its variant
    assert found[4]["behind_ci_low"] < 0 < found[4]["behind"]


def test_a_ceiling_is_shown_with_its_gains_and_is_never_the_best():
    scores = [0.9, 0.95, 0.5, 0.4]
    rows = rows_of("top raw", "top prune", "a raw", "b raw", scores=scores, ceiling="top")
    found = compared(rows, [np.full(10, score) for score in scores], SCORE)
    assert [row["level_with_best"] for row in found] == [False, False, True, False]
    assert [row["level_with_best_model"] for row in found] == [False, False, True, False]
    assert found[1]["gain"] == 0.05
    assert "behind" not in found[0] | found[1] | found[2]
    assert found[3]["behind"] == 0.1


def test_where_less_is_better_a_gain_is_a_fall():
    samples = [np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 4.0])]
    fewer = Metric("score", "score", unit="number", higher_is_better=False)
    raw, other = compared(rows_of("a raw", "a prune", scores=[4.0, 2.5]), samples, fewer)
    assert (raw["level_with_best"], other["level_with_best"]) == (False, True)
    assert other["gain"] == 1.5
    assert 1 <= other["gain_ci_low"] <= other["gain_ci_high"] <= 2


def test_resamples_in_which_a_row_has_nothing_to_score_are_left_out():
    samples = [np.array([0.5, np.nan, 0.5]), np.array([0.7, 0.1, 0.7])]
    raw, other = compared(rows_of("a raw", "a prune", scores=[0.5, 0.7]), samples, SCORE)
    assert (raw["level_with_best"], other["level_with_best"]) == (False, True)
    assert (other["gain"], other["gain_ci_low"], other["gain_ci_high"]) == (0.2, 0.2, 0.2)
