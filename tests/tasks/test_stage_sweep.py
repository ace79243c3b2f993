"""The sweep stage on the tiny world of test_stages_fit_on: what it writes, and that it agrees."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cells import compute
from configured import configured
from patchlens import paths
from patchlens.datasets import tables
from patchlens.errors import DataError, SettingsError
from patchlens.settings.datasets import Collected, Query, Support, View
from patchlens.settings.load import Settings
from patchlens.settings.uncertainty import Uncertainty
from patchlens.tasks.sweep import run as sweep_run
from patchlens.tasks.sweep.settings import Sweep
from tasks.test_stages_fit_on import QUERY, SUPPORT, write_features, write_index
from tasks.world import PRUNE, noisy, random_labels, settings

TASK = settings(
    variants=["raw", "zscore", "prune", "keep_top", "prune_random", "pca_whiten"],
    heads=["knn", "linear"],
    k=3,
)
CHOICES = PRUNE.model_copy(update={"m": 0.34, "choices": [0.17, 0.34, 0.67], "random_draws": 1})
SWEEP = Sweep(
    datasets=["d"], images="all", heads=["knn", "linear"], rivals=["zscore", "pca_whiten"]
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """The world and what the stages make of it."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = random_labels(7)
        write_index(folder, made)
        write_features("support", SUPPORT, noisy(made[:4]))
        write_features("query", QUERY, noisy(made[4:]))
        run(world(folder))
    return folder


@pytest.fixture
def dataset(swept, tmp_path, monkeypatch) -> Collected:
    """A copy, as the working folder."""
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return world(tmp_path)


def world(root: Path) -> Collected:
    return Collected(
        kind="folder",
        root=str(root),
        view=View(mode="whole", grid="equal", patches=[2, 2]),
        support=Support(split="train", images=2, per="total", seeds=[0, 1]),
        query=Query(split="val", images="all", per="total", unit="image"),
    )


def of(dataset: Collected, **changes) -> Settings:
    """Settings of dataset `d`."""
    uncertainty = Uncertainty(resamples=100, claim_resamples=10_000, seed=0)
    sections = {"prune": CHOICES, "segmentation": TASK, "sweep": SWEEP, "uncertainty": uncertainty}
    return configured(datasets={"d": dataset}, **sections | changes)


def run(dataset, chosen=CHOICES, swept=SWEEP) -> tuple[pd.DataFrame, dict]:
    asked = of(dataset, prune=chosen, sweep=swept)
    compute("prune", dataset="d", model="m", settings=asked)
    headline(asked)
    return again(dataset, chosen, swept)


def again(dataset, chosen=CHOICES, swept=SWEEP) -> tuple[pd.DataFrame, dict]:
    """The stage alone, of which the others know nothing."""
    compute("sweep", dataset="d", model="m", settings=of(dataset, prune=chosen, sweep=swept))
    return written()


def written() -> tuple[pd.DataFrame, dict]:
    cell = paths.cell(dataset="d", model="m")
    return pd.read_csv(cell / "sweep.csv"), json.loads((cell / "sweep.json").read_text())


def headline(asked: Settings) -> dict:
    compute("segmentation", dataset="d", model="m", settings=asked)
    return json.loads((paths.cell(dataset="d", model="m") / "segmentation.json").read_text())


def test_the_headline_m_has_the_headline_scores(dataset):
    table, cell = written()
    expected = json.loads((paths.cell(dataset="d", model="m") / "segmentation.json").read_text())
    assert expected["protocol"]["prune_m_used"] == 2
    rows = table[table["dimensions"] == 2].set_index(["head", "variant"])
    for variant in ("raw", "zscore", "prune", "keep_top", "prune_random"):
        score = expected["knn"][variant]["patch_miou"]
        assert rows.at[("knn", variant), "score"] == score
        assert rows.at[("knn", variant), "score_std"] == expected["knn"][variant]["patch_miou_std"]
    assert cell["knn"]["raw"]["score"] == expected["knn"]["raw"]["patch_miou"]
    for line in ("raw", "zscore"):  # each with the C that its own folds choose
        assert cell["linear"][line]["score"] == expected["linear"][line]["patch_miou"]


def test_the_probe_takes_the_c_that_the_headline_chose(dataset):
    table, _ = written()
    path = paths.cell(dataset="d", model="m") / "segmentation_c.csv"
    chosen = pd.read_csv(path)
    # Of every seed, and of variants without an m alone: another m changes nothing here.
    assert sorted(chosen["variant"]) == sorted(["raw", "zscore", "pca_whiten"] * 2)
    assert set(chosen["c"]) <= set(TASK.linear.c)
    chosen.assign(c=1e-6).to_csv(path, index=False)  # so strong that no feature counts
    compute("sweep", dataset="d", model="m", settings=of(dataset))
    other = pd.read_csv(paths.cell(dataset="d", model="m") / "sweep.csv")
    for head, differs in (("linear", True), ("knn", False)):
        scores = [of.loc[of["head"] == head, "score"].tolist() for of in (table, other)]
        assert (scores[0] != scores[1]) == differs


def test_without_the_headline_the_sweep_says_what_makes_it(dataset):
    (paths.cell(dataset="d", model="m") / "segmentation_c.csv").unlink()
    with pytest.raises(DataError, match=r"segmentation_c\.csv: missing; run `dvc repro"):
        compute("sweep", dataset="d", model="m", settings=of(dataset))


def test_raw_and_the_rivals_are_level_lines_and_families_have_every_m(dataset):
    table, _ = written()
    for _, rows in table.groupby(["head", "variant"]):
        assert rows["dimensions"].tolist() == [1, 2, 4]
    lines = table[table["variant"].isin(["raw", "zscore", "pca_whiten"])]
    assert set(lines["variant"]) == {"raw", "zscore", "pca_whiten"}
    assert (lines.groupby(["head", "variant"])["score"].nunique() == 1).all()
    assert set(table["head"]) == {"knn", "linear"}


def test_a_count_of_images_sweeps_the_first_in_hash_order_and_says_how_many(dataset):
    _, whole = written()
    _, part = again(dataset, swept=SWEEP.model_copy(update={"images": 1}))
    assert (whole["protocol"]["query_images"], part["protocol"]["query_images"]) == (3, 1)
    assert whole["knn"] != part["knn"]
    _, more = again(dataset, swept=SWEEP.model_copy(update={"images": 99}))
    assert more == whole


def test_auto_reports_its_choice_and_what_it_gains_on_the_query(dataset):
    asked = CHOICES.model_copy(update={"select": "auto"})
    table, cell = again(dataset, asked)
    auto = headline(of(dataset, prune=asked))
    assert cell["knn"]["auto"]["chosen_m"] == pytest.approx(
        auto["protocol"]["prune_m_used"] / 6, abs=1e-4
    )
    assert cell["knn"]["auto"]["score"] == auto["knn"]["prune"]["patch_miou"]
    gain = auto["knn"]["prune"]["patch_miou"] - auto["knn"]["raw"]["patch_miou"]
    assert cell["knn"]["auto"]["gain"] == pytest.approx(gain, abs=2e-4)
    best = table[(table["head"] == "knn") & (table["variant"] == "prune")]["score"].max()
    assert cell["knn"]["prune"]["score"] == best


def test_a_fixed_m_is_not_chosen_on_the_support(dataset, monkeypatch):
    monkeypatch.setattr(sweep_run, "selected_m", lambda *_: pytest.fail("chosen"))
    _, cell = again(dataset)
    assert "auto" not in cell["knn"]


def test_two_runs_write_the_same_bytes(dataset):
    first = {p.name: p.read_bytes() for p in paths.cell(dataset="d", model="m").glob("sweep.*")}
    run(dataset)
    assert {
        p.name: p.read_bytes() for p in paths.cell(dataset="d", model="m").glob("sweep.*")
    } == first


def test_retrieval_without_objects_is_an_error_that_names_the_setting(dataset):
    index = paths.index("d") / "objects.parquet"
    with tables.rows_of(index, tables.OBJECTS):
        pass
    table = pd.read_parquet(paths.index("d") / "images.parquet")
    table = table.assign(sequence=None, frame=None, height=8, width=8)
    table.to_parquet(paths.index("d") / "images.parquet")
    swept = SWEEP.model_copy(update={"heads": ["retrieval"]})
    message = r"sweep\.heads: the query images of 'd' have no objects"
    with pytest.raises(SettingsError, match=message):
        again(dataset, swept=swept)


def test_choices_that_mean_no_dimension_of_this_model_are_an_error(dataset):
    chosen = CHOICES.model_copy(update={"choices": [0.01]})
    with pytest.raises(SettingsError, match=r"prune\.choices: none of them prunes between 1 and 5"):
        again(dataset, chosen)


def test_one_support_image_sweeps_without_a_choice_of_m(dataset):
    one = TASK.model_copy(update={"shots": 1})
    asked = of(dataset, segmentation=one)
    compute("prune", dataset="d", model="m", settings=asked)
    headline(asked)
    compute("sweep", dataset="d", model="m", settings=asked)
    cell = json.loads((paths.cell(dataset="d", model="m") / "sweep.json").read_text())
    assert "auto" not in cell["knn"]
    assert cell["protocol"]["shots"] == 1


def test_a_size_that_leaves_one_dimension_scores_the_prior_and_does_not_stop_the_sweep(dataset):
    table, _ = again(dataset, CHOICES.model_copy(update={"choices": [0.17, 0.83]}))
    lonely = table[(table["variant"] == "prune") & (table["dimensions"] == 5)]
    assert lonely["score"].between(0, 1).all()
    assert set(lonely["head"]) == {"knn", "linear"}
