import numpy as np
import pandas as pd
import pytest

from patchlens.features.moments import Moments, spectrum
from patchlens.files import write_json
from patchlens.report.measures import Measure, NotRun, measure
from patchlens.tasks import resample
from patchlens.tasks.resample import SharedResampler
from report.court import UNITS, about, write_cell, write_index


def named(metric: str) -> Measure:
    found = measure(metric)
    assert found is not None
    return found


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
    write_json({"protocol": {}}, folder / "variance.json")
    score = named("variance.top1").score(SharedResampler(30, 0), "town", "one", "raw")
    for weights, sample in zip(score.draws.units, score.samples[:, 0], strict=True):
        drawn = np.concatenate([images[i] for i, n in enumerate(weights) for _ in range(n)])
        assert sample == pytest.approx(float(spectrum(drawn.var(axis=0))["top1"]), rel=1e-5)
    pooled = np.concatenate(images).var(axis=0)
    assert score.point == pytest.approx([float(spectrum(pooled)["top1"])], rel=1e-5)
    assert (score.seeds, len(score.units)) == ([0], 4)


def test_draws_are_made_once_a_dataset_and_differ_between_datasets_and_seeds():
    members = {"seeds": 5, "units": 20}
    town = SharedResampler(300, 0).draws("town", **members)
    assert SharedResampler(300, 0).draws("town", **members) is town
    resample._draws.cache_clear()
    again = SharedResampler(300, 0).draws("town", **members)
    assert again is not town
    assert np.array_equal(town.units, again.units)
    assert np.array_equal(town.seeds, again.seeds)
    others = [SharedResampler(300, 0).draws("farm", **members)]
    others.append(SharedResampler(300, 1).draws("town", **members))
    for other in others:
        assert not np.array_equal(town.units, other.units)
        assert not np.array_equal(town.seeds, other.seeds)


def test_each_resample_draws_as_many_seeds_and_units_as_there_are():
    draws = SharedResampler(700, 0).draws("town", seeds=5, units=20)
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
    score = named("segmentation.knn.pixel_miou").score(SharedResampler(50, 0), "town", "one", "raw")
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
    write_json({"protocol": {}}, folder / "variance.json")
    score = named("variance.top1").score(SharedResampler(20, 0), "town", "one", "raw")
    assert score.units == ["s0", "s1"]


@pytest.mark.parametrize("variant", ["prune", "keep_top", "prune_random"])
def test_where_nothing_is_pruned_pruning_says_nothing(tmp_path, monkeypatch, variant):
    monkeypatch.chdir(tmp_path)
    write_index("town", [f"u{i:02}" for i in range(UNITS)])
    runs = {("knn", name): about(20) for name in ("raw", variant)}
    write_cell("town", "one", runs, protocol={"prune_m_used": 0})
    metric = named("segmentation.knn.pixel_miou")
    with pytest.raises(NotRun, match=f"no dimension is pruned, so {variant} has no effect"):
        metric.score(SharedResampler(50, 0), "town", "one", variant)
    assert len(metric.score(SharedResampler(50, 0), "town", "one", "raw").point) == 5
