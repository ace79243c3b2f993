import numpy as np
import pandas as pd
import pytest

from patchlens.features.moments import Moments, spectrum
from patchlens.report.draws import Lottery
from patchlens.report.measures import METRICS, seed_miou, spectra, variance
from patchlens.tasks.scores import mean_iou
from report.court import UNITS, about, write_cell, write_index


def test_seed_miou_is_the_score_of_the_summed_confusion_matrix_of_each_seed():
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 50, (3, 4, 5, 5))  # runs, units, true, predicted
    confusion[:, :, 2] = 0  # a class that the query does not hold
    confusion[:, 1:, 3] = confusion[:, 1:, :, 3] = 0  # one that is in unit 0 only
    counts = np.stack(
        [np.diagonal(confusion, axis1=2, axis2=3), confusion.sum(axis=3), confusion.sum(axis=2)],
        axis=-1,
    ).astype(float)
    weights = np.array([[1.0, 1, 1, 1], [0, 2, 0, 2]])
    of_seed = np.array([[True, False], [False, True], [False, True]])  # the second has two draws
    present = np.array([True, True, False, True, True])
    found = seed_miou(counts, weights, of_seed)
    for row, weight in zip(found, weights, strict=True):
        summed = np.tensordot(weight, confusion, ([0], [1])).astype(int)
        scores = mean_iou(summed, present)
        assert row == pytest.approx([scores[0], (scores[1] + scores[2]) / 2])


def test_spectra_are_the_spectrum_of_each_row():
    rng = np.random.default_rng(0)
    for width in (1, 3, 120):
        rows = rng.exponential(size=(6, width))
        rows[0] = 0  # features that do not vary
        found = spectra(rows)
        for i, row in enumerate(rows):
            expected = spectrum(row)
            assert {name: float(found[name][i]) for name in found} == pytest.approx(expected)


def test_variance_of_a_resample_is_that_of_the_pooled_patches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images = [rng.normal(loc=i, scale=[1, 2, 3], size=(20 + i, 3)) for i in range(4)]
    parts = [Moments.of(x[None, :, None].astype(np.float32)) for x in images]
    rows = [
        (f"q{i}", d, int(m.count[0]), m.total[0, d], m.squares[0, d])
        for i, m in enumerate(parts)
        for d in (2, 0, 1)
    ]
    folder = tmp_path / "metrics/cells/town/one"
    folder.mkdir(parents=True)
    table = pd.DataFrame(rows, columns=["image_id", "dimension", "count", "total", "squares"])
    order = pd.CategoricalDtype(["q3", "q1", "q2", "q0"])
    table["image_id"] = table["image_id"].astype(order)
    table.to_parquet(folder / "variance.records.parquet")
    score = variance(Lottery(30, 0), "town", "one", "raw", name="top1")
    for weights, sample in zip(score.draws.units, score.samples[:, 0], strict=True):
        drawn = np.concatenate([images[i] for i, n in enumerate(weights) for _ in range(n)])
        assert sample == pytest.approx(spectrum(drawn.var(axis=0))["top1"], rel=1e-5)
    pooled = np.concatenate(images).var(axis=0)
    assert score.point == pytest.approx([spectrum(pooled)["top1"]], rel=1e-5)
    assert (score.seeds, len(score.units)) == ([0], 4)


def test_draws_are_made_once_a_dataset_and_differ_between_datasets_and_seeds():
    lottery = Lottery(300, 0)
    town = lottery.draw("town", 5, 20)
    assert lottery.draw("town", 5, 20) is town
    again = Lottery(300, 0).draw("town", 5, 20)
    assert np.array_equal(town.units, again.units)
    assert np.array_equal(town.seeds, again.seeds)
    for other in (lottery.draw("farm", 5, 20), Lottery(300, 1).draw("town", 5, 20)):
        assert not np.array_equal(town.units, other.units)
        assert not np.array_equal(town.seeds, other.seeds)


def test_each_resample_draws_as_many_seeds_and_units_as_there_are():
    draws = Lottery(700, 0).draw("town", 5, 20)
    assert draws.units.shape == (700, 20)
    assert (draws.units.sum(axis=1) == 20).all()
    np.testing.assert_allclose(draws.seeds.sum(axis=1), 1)
    assert np.isin((5 * draws.seeds).round(9), range(6)).all()
    # Multinomial counts: mean 1, variance 1 − 1/n.
    assert draws.units.mean(axis=0) == pytest.approx(np.ones(20), abs=0.2)
    assert draws.units.var() == pytest.approx(1 - 1 / 20, rel=0.05)
    chunks = np.concatenate(list(draws.chunks()))
    assert np.array_equal(chunks, draws.units)


def test_the_point_of_a_segmentation_metric_is_its_score_of_each_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_index("town", [f"u{i:02}" for i in range(UNITS)])
    write_cell("town", "one", {("knn", "raw"): about(20, noise=9)})
    score = METRICS["segmentation.knn.pixel_miou"](Lottery(50, 0), "town", "one", "raw")
    wrong = about(20, noise=9).sum(axis=1)
    assert score.point == pytest.approx((100 * UNITS - wrong) / (100 * UNITS + wrong))
    drawn = about(20, noise=9) @ score.draws.units.T.astype(float)  # [S, B]
    assert pytest.approx((100 * UNITS - drawn) / (100 * UNITS + drawn)) == score.samples.T


def test_chance_is_the_score_of_guesses_as_frequent_and_blind_to_the_truth():
    # 60 of class 0 and 40 of class 1; 30 are called 0 and 70 are called 1, whatever they are.
    counts = np.array([[[[50.0, 60, 30], [1, 40, 70]]]])
    found = seed_miou(counts, np.ones((1, 1)), np.array([[True]]), chance=True)
    ious = (18 / (60 + 30 - 18), 28 / (40 + 70 - 28))
    assert found == pytest.approx(np.mean(ious))


def test_blind_guesses_are_at_chance_and_the_majority_is_below_them():
    rng = np.random.default_rng(0)
    true, guess = rng.integers(0, 4, 100_000), rng.integers(0, 4, 100_000)
    counts = (
        np.array(
            [
                [
                    [[(true == guess)[true == c].sum(), (true == c).sum(), (guess == c).sum()]]
                    for c in range(4)
                ]
            ]
        )
        .reshape(1, 1, 4, 3)
        .astype(float)
    )
    one = np.ones((1, 1)), np.array([[True]])
    blind = seed_miou(counts, *one)
    assert seed_miou(counts, *one, chance=True) == pytest.approx(blind, abs=0.005)
    assert blind > 0.13  # the majority head: 1/4 of a quarter
