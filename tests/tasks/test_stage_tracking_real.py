"""The tracking stage on samples of MOT17, BDD100K and DAVIS, with real features."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import TypeAdapter
from trackeval import Evaluator
from trackeval.datasets import MotChallenge2DBox

from patchlens import paths
from patchlens.settings.datasets import Collected, Query, View
from patchlens.settings.features import Features
from patchlens.settings.models import Model
from patchlens.stages import extract, index, prune, tracking, weights
from patchlens.tasks.track_scores import METRICS
from tasks.tracked import SETTINGS, UNCERTAINTY
from tasks.world import PRUNE

SHARED = Path(__file__).parents[2] / "../shared"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def real(kind: str, data: Path, split: str, patches: list[int], variants: list[str]) -> dict:
    """The stages from the folder of samples to the cell, with real features."""
    file = SHARED / "weights/dinov2_vits14.safetensors"
    if not file.is_file() or not data.is_dir():
        pytest.skip("no folder `shared` with weights and samples beside the repository")
    found = Collected(
        kind=kind,
        root=os.fspath(data),
        view=View(mode="whole", grid="equal", patches=patches),
        support=None,
        query=Query(split=split, images="all", per="total", unit="sequence"),
    )
    about = {"source": "file", "file": os.fspath(file), "arch": "vit_small_patch14_dinov2"}
    about |= {"sha256": sha256(file.read_bytes()).hexdigest(), "position": "dino"}
    weights.run("m", TypeAdapter(Model).validate_python(about))
    index.run("d", found)
    features = Features(layer=-1, layer_sweep=[], norm=True, dtype="float16", batch_size=8)
    extract.run("d", "m", found, features, "cpu")
    prune.run("d", "m", "support", 1)
    tracking.run("d", "m", found, variants, PRUNE, SETTINGS, UNCERTAINTY, "cpu")
    return json.loads((paths.cell("d", "m") / "tracking.json").read_text())


def test_real_mot17_is_scored_with_its_preprocessing(here):
    cell = real("mot17", SHARED / "data/MOT17", "train", [7, 12], ["raw", "prune_random"])
    assert cell["protocol"]["scored_by"].endswith("preprocessing of MOT17")
    assert cell["protocol"]["videos"] == 5
    link = cell["link"]["raw"]
    assert link["deta"] == 1
    assert 0.8 < link["assa"] <= 1
    assert link["mota"] == pytest.approx(1 - link["idsw"] / cell["protocol"]["boxes"], abs=1e-4)
    assert cell["association"]["raw"]["d1"] > 3 * cell["association"]["raw"]["chance_d1"]
    stems = sorted(p.name for p in (paths.tracks("d", "m") / "raw/mot").iterdir())
    assert stems[0] == "MOT17-02-FRCNN.txt"  # the official name, which scorers look for
    theirs = official(SHARED / "data/MOT17/train", paths.tracks("d", "m") / "raw/mot")
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
    found, _ = evaluator.evaluate([MotChallenge2DBox(config)], list(METRICS.values()))
    combined = found["MotChallenge2DBox"]["ours"]["COMBINED_SEQ"]["pedestrian"]
    return {
        "assa": combined["HOTA"]["AssA"].mean(),
        "hota": combined["HOTA"]["HOTA"].mean(),
        "deta": combined["HOTA"]["DetA"].mean(),
        "idf1": combined["Identity"]["IDF1"],
        "idsw": combined["CLEAR"]["IDSW"],
        "mota": combined["CLEAR"]["MOTA"],
    }


def test_real_bdd100k_is_scored_with_its_preprocessing(here):
    cell = real("bdd100k_track", SHARED / "data/bdd100k_track", "val", [9, 16], ["raw"])
    assert "BDD100K" in cell["protocol"]["scored_by"]
    link = cell["link"]["raw"]
    assert link["deta"] == 1
    assert 0.6 < link["assa"] <= 1
    assert cell["association"]["raw"]["d1"] > 3 * cell["association"]["raw"]["chance_d1"]


def few_of_davis(root: Path, sequence: str, frames: int) -> Path:
    source = SHARED / "data/DAVIS"
    if not source.is_dir():
        pytest.skip("no folder `shared` with samples beside the repository")
    for part in ("JPEGImages", "Annotations"):
        (root / part / "480p" / sequence).mkdir(parents=True)
        for path in sorted((source / part / "480p" / sequence).iterdir())[:frames]:
            shutil.copy(path, root / part / "480p" / sequence)
    (root / "ImageSets/2016").mkdir(parents=True)
    (root / "ImageSets/2016/val.txt").write_text(f"{sequence}\n")
    return root


def test_real_davis_is_propagated(here):
    root = few_of_davis(here / "davis", "car-shadow", 5)
    cell = real("davis2016", root, "val", [17, 30], ["raw", "prune_random"])
    scores = cell["davis"]["raw"]
    assert 0.6 < scores["j_mean"] < 1
    assert 0.4 < scores["f_mean"] < 1
    assert scores["jf_mean"] == pytest.approx((scores["j_mean"] + scores["f_mean"]) / 2, abs=1e-4)
    assert "link" not in cell
    assert cell["protocol"]["objects"] == 1
    written = sorted((paths.tracks("d", "m") / "raw/davis/car-shadow").iterdir())
    assert [p.name for p in written] == [f"{i:05}.png" for i in range(5)]
    first, given = (
        np.asarray(Image.open(p))
        for p in (written[0], root / "Annotations/480p/car-shadow/00000.png")
    )
    assert np.array_equal(first, given)
    assert pd.read_csv(paths.cell("d", "m") / "tracking.csv").empty
