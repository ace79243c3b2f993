"""`patchlens why` on cells written by hand: every number of the page is one of theirs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from configured import configured
from patchlens import paths
from patchlens.errors import DataError
from patchlens.features.cell import Cell
from patchlens.settings.datasets import Collected, Query, Support, View
from patchlens.tasks.variance import why
from tasks.test_stages_fit_on import QUERY, write_features, write_index
from tasks.world import noisy, random_labels

ENCODED = {"row": 0.9, "column": 0.1, "brightness": 0.2, "edges": 0.3}


def write_cell(model: str, top: float, raw: float) -> None:
    cell = paths.cell(dataset="d", model=model)
    cell.mkdir(parents=True)
    variance = {
        "top_1pct": top,
        "top_10pct": top,
        "participation": 1.5,
        "pca_participation": 2.5,
        "protocol": {"width": 6, "patches": 12, "images": 3, "layer": 7, "norm": "True"},
    }
    variance |= {f"{cue}_top": r for cue, r in ENCODED.items()}
    variance |= {f"{cue}_rest": 0.05 for cue in ENCODED}
    (cell / "variance.json").write_text(json.dumps(variance))
    pd.DataFrame(
        {
            "dimension": [4, 0, 1, 2, 3, 5],
            "share": [top, *([(1 - top) / 5] * 5)],
            "kurtosis": 3.0,
        }
        | {f"r_{cue}": r for cue, r in ENCODED.items()}
    ).to_csv(cell / "variance_dimensions.csv", index=False)
    about = {"k": 10, "distance": "cosine", "shots": 8, "seeds": 5, "query_images": 3}
    family = {"score": raw + 0.05, "score_std": 0.01, "oracle_m": 0.26, "oracle_gain": 0.05}
    knn = {
        "raw": {"score": raw, "score_std": 0.02},
        "zscore": {"score": raw + 0.01, "score_std": 0.0},
        "pca_whiten": {"score": raw + 0.031, "score_std": 0.0},
        "prune": family,
        "prune_random": family | {"score": raw - 0.01},
        "auto": {"chosen_m": 0.17, "score": raw + 0.04, "score_std": 0.0},
    }
    sweep = {"protocol": about | {"retrieval_queries": 0}, "knn": knn}
    (cell / "sweep.json").write_text(json.dumps(sweep))
    names = ["raw", "zscore", "pca_whiten", "prune", "keep_top", "prune_random"]
    rows = [("knn", name, m, raw) for name in names for m in (0.2, 0.5)]
    pd.DataFrame(rows, columns=["head", "variant", "m", "score"]).to_csv(
        cell / "sweep.csv", index=False
    )


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> Collected:
    monkeypatch.chdir(tmp_path)
    labels = random_labels(7)
    write_index(tmp_path, labels)
    write_features("query", QUERY, noisy(labels[4:]))
    write_cell("m", top=0.8, raw=0.4)
    write_cell("floor", top=0.3, raw=0.1)
    return Collected(
        kind="folder",
        root=str(tmp_path),
        view=View(mode="whole", grid="equal", patches=[2, 2]),
        support=Support(split="train", images=2, per="total", seeds=[0, 1]),
        query=Query(split="val", images="all", per="total", unit="image"),
    )


def rows(text: str) -> dict[str, list[str]]:
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    return {line[1]: line[2:] for line in lines if len(line) == 4}


def write(dataset: Collected, untrained: str) -> Path:
    asked = configured(datasets={"d": dataset})
    return why.write(Cell(dataset="d", model="m", settings=asked), untrained)


def test_the_page_holds_the_numbers_of_the_cells(dataset):
    text = write(dataset, "floor").read_text()
    assert "`m`: the top 1 of 6 dimensions hold 80.0 % of the variance" in text
    assert "`floor`: the top 1 of 6 dimensions hold 30.0 % of the variance" in text
    assert "they correlate most with row: mean |r| 0.90, against 0.05 for all other" in text
    found = rows(text)
    assert found["raw"] == ["40.0 ± 2.0", "+0.0"]
    assert found["prune, best m (0.26)"] == ["45.0 ± 1.0", "+5.0"]
    assert found["prune, m chosen on the support (0.17)"] == ["44.0", "+4.0"]
    assert found["prune_random, best m (0.26)"] == ["39.0 ± 1.0", "-1.0"]
    assert found["best rival: pca_whiten"] == ["43.1", "+3.1"]
    assert found["`floor` raw"] == ["10.0 ± 2.0", "-30.0"]


def test_every_figure_of_the_page_is_there_and_not_blank(dataset):
    page = write(dataset, "floor")
    shown = [part.split(")")[0] for part in page.read_text().split("](")[1:]]
    assert shown == ["spectrum.png", "dimensions.png", "sweep.png"]
    for name in shown:
        pixels = np.asarray(Image.open(page.with_name(name)).convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_the_untrained_vit_is_not_set_beside_itself(dataset):
    text = write(dataset, "m").read_text()
    assert "floor" not in text
    assert "`m` raw" not in text


def test_a_cell_that_was_not_run_stops_it_with_the_remedy_and_leaves_nothing(dataset):
    (paths.cell(dataset="d", model="m") / "sweep.csv").unlink()
    with pytest.raises(DataError, match=r"sweep\.csv: missing; .*dvc repro.*sweep\.datasets"):
        write(dataset, "floor")
    assert not list(Path("reports/why").glob("*"))
