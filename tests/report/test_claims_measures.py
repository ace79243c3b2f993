import numpy as np
import pandas as pd
import pytest

from patchlens.features.moments import Moments, spectrum
from patchlens.report.draws import Lottery, NotRun
from patchlens.report.measures import METRICS, variance
from report.court import UNITS, about, write_cell, write_index


def test_variance_of_a_resample_is_that_of_the_pooled_patches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images = [rng.normal(loc=i, scale=[1, 2, 3], size=(20 + i, 3)) for i in range(4)]
    parts = [Moments.of(x[None, :, None].astype(np.float32)) for x in images]
    rows = [
        (f"q00{i}", d, int(m.count[0]), m.total[0, d], m.squares[0, d])
        for i, m in enumerate(parts)
        for d in (2, 0, 1)
    ]
    write_index("town", [f"q00{i}" for i in range(4)])
    folder = tmp_path / "metrics/cells/town/one"
    folder.mkdir(parents=True)
    table = pd.DataFrame(rows, columns=["image_id", "dimension", "count", "total", "squares"])
    order = pd.CategoricalDtype(["q003", "q001", "q002", "q000"])
    table["image_id"] = table["image_id"].astype(order)
    table.to_parquet(folder / "variance.records.parquet")
    score = variance(Lottery(30, 0), "town", "one", "raw", name="top1")
    for weights, sample in zip(score.draws.units, score.samples[:, 0], strict=True):
        drawn = np.concatenate([images[i] for i, n in enumerate(weights) for _ in range(n)])
        assert sample == pytest.approx(float(spectrum(drawn.var(axis=0))["top1"]), rel=1e-5)
    pooled = np.concatenate(images).var(axis=0)
    assert score.point == pytest.approx([float(spectrum(pooled)["top1"])], rel=1e-5)
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


def test_frames_of_a_sequence_are_one_unit_of_the_spectrum(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_index("town", ["s0", "s0", "s1"])
    folder = tmp_path / "metrics/cells/town/one"
    folder.mkdir(parents=True)
    rows = [(f"q00{i}", d, 10, 1.0 * i, 5.0 + i + d) for i in range(3) for d in range(2)]
    columns = ["image_id", "dimension", "count", "total", "squares"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "variance.records.parquet")
    score = variance(Lottery(20, 0), "town", "one", "raw", name="top1")
    assert score.units == ["s0", "s1"]


@pytest.mark.parametrize("variant", ["prune", "keep_top", "prune_random"])
def test_where_nothing_is_pruned_pruning_says_nothing(tmp_path, monkeypatch, variant):
    monkeypatch.chdir(tmp_path)
    write_index("town", [f"u{i:02}" for i in range(UNITS)])
    runs = {("knn", name): about(20) for name in ("raw", variant)}
    write_cell("town", "one", runs, protocol={"prune_m_used": 0})
    metric = METRICS["segmentation.knn.pixel_miou"]
    with pytest.raises(NotRun, match=f"no dimension is pruned, so {variant} has no effect"):
        metric(Lottery(50, 0), "town", "one", variant)
    assert len(metric(Lottery(50, 0), "town", "one", "raw").point) == 5
