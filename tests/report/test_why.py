"""`patchlens why` on cells written by hand: every number is one of theirs."""

import json

import pandas as pd
import pytest

from configured import configured
from patchlens import paths
from patchlens.errors import DataError
from patchlens.features.cell import Cell
from patchlens.settings.datasets import Collected, Query, Support, View
from patchlens.tasks.variance import why

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


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> Collected:
    monkeypatch.chdir(tmp_path)
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


def told(dataset: Collected, untrained: str) -> str:
    asked = configured(datasets={"d": dataset})
    return why.text(Cell(dataset="d", model="m", settings=asked), untrained)


def test_the_text_holds_the_numbers_of_the_cells(dataset):
    text = told(dataset, "floor")
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


def test_the_untrained_vit_is_not_set_beside_itself(dataset):
    text = told(dataset, "m")
    assert "floor" not in text
    assert "`m` raw" not in text


def test_a_cell_that_was_not_run_stops_it_with_the_remedy(dataset):
    (paths.cell(dataset="d", model="m") / "sweep.json").unlink()
    with pytest.raises(DataError, match=r"sweep\.json: missing; run `dvc repro"):
        told(dataset, "floor")
