"""The tracking stage on samples of MOT17, BDD100K and DAVIS, with real features."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from trackeval import Evaluator
from trackeval.datasets import MotChallenge2DBox

from cells import compute
from patchlens import paths
from patchlens.settings.datasets import Query
from patchlens.tasks.tracking.track_scores import scorers
from tasks import real
from tasks.tracked import of

pytestmark = pytest.mark.usefixtures("here")


def real_cell(kind: str, root: Path, split: str, patches: list[int], variants: list[str]) -> dict:
    """The stages from the folder of samples to the cell, with real features."""
    query = Query(split=split, images="all", per="total", unit="sequence")
    found = real.dataset(kind, root, patches, query)
    real.prepare(found, real.vit())
    compute("tracking", dataset="d", model="m", settings=of(found, variants))
    return json.loads((paths.cell(dataset="d", model="m") / "tracking.json").read_text())


def test_real_mot17_is_scored_with_its_preprocessing():
    root = real.sample("MOT17")
    cell = real_cell("mot17", root, "train", [7, 12], ["raw", "prune_random"])
    assert cell["protocol"]["scored_by"].endswith("preprocessing of MOT17")
    assert cell["protocol"]["videos"] == 5
    link = cell["link"]["raw"]
    assert link["deta"] == 1
    assert 0.8 < link["assa"] <= 1
    assert link["mota"] == pytest.approx(1 - link["idsw"] / cell["protocol"]["boxes"], abs=1e-4)
    assert cell["association"]["raw"]["d1"] > 3 * cell["association"]["raw"]["chance_d1"]
    stems = sorted(p.name for p in (paths.tracks(dataset="d", model="m") / "raw/mot").iterdir())
    assert stems[0] == "MOT17-02-FRCNN.txt"  # the official name, which scorers look for
    theirs = official(root / "train", paths.tracks(dataset="d", model="m") / "raw/mot")
    assert {name: link[name] for name in theirs} == pytest.approx(theirs, abs=1e-4)


def official(truth: Path, results: Path) -> dict[str, float]:
    """What TrackEval's own evaluator says of the written files, all sequences combined."""
    lengths = {p.stem: len(list((truth / p.stem / "img1").iterdir())) for p in results.iterdir()}
    shutil.copytree(results, "theirs/ours/data")
    config = {"GT_FOLDER": str(truth), "TRACKERS_FOLDER": "theirs", "TRACKERS_TO_EVAL": ["ours"]}
    config |= {"SKIP_SPLIT_FOL": True, "SEQ_INFO": lengths, "PRINT_CONFIG": False}
    quiet = ("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "OUTPUT_SUMMARY")
    quiet += ("OUTPUT_DETAILED", "PLOT_CURVES")
    evaluator = Evaluator(dict.fromkeys(quiet, False) | {"LOG_ON_ERROR": None})
    found, _ = evaluator.evaluate([MotChallenge2DBox(config)], list(scorers().values()))
    combined = found["MotChallenge2DBox"]["ours"]["COMBINED_SEQ"]["pedestrian"]
    return {
        "assa": combined["HOTA"]["AssA"].mean(),
        "hota": combined["HOTA"]["HOTA"].mean(),
        "deta": combined["HOTA"]["DetA"].mean(),
        "idf1": combined["Identity"]["IDF1"],
        "idsw": combined["CLEAR"]["IDSW"],
        "mota": combined["CLEAR"]["MOTA"],
    }


def test_real_bdd100k_is_scored_with_its_preprocessing():
    cell = real_cell("bdd100k_track", real.sample("bdd100k_track"), "val", [9, 16], ["raw"])
    assert "BDD100K" in cell["protocol"]["scored_by"]
    link = cell["link"]["raw"]
    assert link["deta"] == 1
    assert 0.6 < link["assa"] <= 1
    assert cell["association"]["raw"]["d1"] > 3 * cell["association"]["raw"]["chance_d1"]


@pytest.mark.slow
def test_real_davis_is_propagated(here):
    root = real.davis(here / "davis", "car-shadow", frames=5)
    cell = real_cell("davis2016", root, "val", [17, 30], ["raw", "prune_random"])
    scores = cell["davis"]["raw"]
    assert 0.6 < scores["j_mean"] < 1
    assert 0.4 < scores["f_mean"] < 1
    assert scores["jf_mean"] == pytest.approx((scores["j_mean"] + scores["f_mean"]) / 2, abs=1e-4)
    assert "link" not in cell
    assert cell["protocol"]["objects"] == 1
    written = sorted((paths.tracks(dataset="d", model="m") / "raw/davis/car-shadow").iterdir())
    assert [p.name for p in written] == [f"{i:05}.png" for i in range(5)]
    first, given = (
        np.asarray(Image.open(p))
        for p in (written[0], root / "Annotations/480p/car-shadow/00000.png")
    )
    assert np.array_equal(first, given)
    assert pd.read_csv(paths.cell(dataset="d", model="m") / "tracking.csv").empty
