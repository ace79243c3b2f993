"""On equal data, `evaluate` gives the pipeline's cell to the bit: same functions, same numbers."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

import patchlens as pl
from api import town
from cells import compute
from patchlens import paths
from patchlens.backbones import weights
from patchlens.datasets import indexing
from patchlens.settings.load import Settings, load
from patchlens.tasks.known import known

MODEL = town.VIT["arch"]
VIEW = {"mode": "whole", "grid": "equal", "patches": [4, 4]}
SUPPORT = {"split": "support", "images": 3, "per": "total", "seeds": [0, 1]}
QUERY = {"split": "query", "images": "all", "per": "total", "unit": "image"}
DATASETS = {
    "stills": {"view": VIEW, "support": SUPPORT, "query": QUERY},
    "videos": {
        "view": VIEW,
        "support": None,
        "query": QUERY | {"split": "video", "unit": "sequence"},
    },
}
OF = {
    "segmentation": "stills",
    "identification": "stills",
    "retrieval": "videos",
    "tracking": "videos",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A workspace in which the stages of all four tasks have run."""
    folder = tmp_path_factory.mktemp("run")
    town.lay(folder / "town")
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    place = {"kind": "folder", "root": str(folder / "town")}
    params |= {
        "device": "cpu",
        "fetch": {"made": [], "downloaded": [], "placed": [*DATASETS]},
        "datasets": {name: place | entry for name, entry in DATASETS.items()},
        "models": {MODEL: town.VIT},
        "extract": {"datasets": [*DATASETS]},
    }
    params["features"]["layer_sweep"] = [-2]
    params["prune"] |= {"random_draws": 2, "choices": [0.26, 0.5]}
    params["segmentation"] |= {"shots": 3, "shots_sweep": [1], "k": 5, "k_sweep": [3]}
    params["segmentation"]["variants"] = ["raw", "zscore", "prune", "prune_random", "pca_whiten"]
    params["segmentation"]["linear"]["c"] = [0.1, 1.0]
    params["identification"] |= {"images": 3, "patches": 4, "granularities": [1, 2]}
    params["identification"]["degradations"] = {"blur": [1], "shift": [2]}
    params["retrieval"] |= {"relevant": ["instance"]}
    params["tracking"] |= {"deltas": [1, 2], "thresholds": [0.0, 0.9]}
    params["uncertainty"]["resamples"] = 100
    for task in ("segmentation", "selection", "sweep", "identification", "retrieval", "tracking"):
        params[task]["datasets"] = [OF[task]] if task in OF else []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        settings: Settings = load(paths.PARAMS, known())
        weights.run(MODEL, settings.models[MODEL])
        for name in DATASETS:
            indexing.run(name, settings.datasets[name])
            for stage in ("extract", "prune"):
                compute(stage, dataset=name, model=MODEL, settings=settings)
        compute("degrade", dataset="stills", model=MODEL, settings=settings)
        for task, name in OF.items():
            compute(task, dataset=name, model=MODEL, settings=settings)
    return folder


@pytest.fixture(scope="module")
def backbone() -> object:
    return pl.load_backbone(town.VIT)


def files(folder: Path) -> set[Path]:
    return {*folder.rglob("*")}


@pytest.mark.parametrize("task", OF)
def test_numbers_records_curves_and_protocol_are_those_of_the_cell(
    run: Path, backbone, task: str, here: Path
) -> None:
    before = files(run)
    name = OF[task]
    data = pl.load_dataset("folder", run / "town", name=name, **DATASETS[name])
    found = pl.evaluate(backbone, data, task, params=run / "params.yaml", device="cpu")
    cell = run / paths.cell(dataset=name, model=MODEL)
    stage = json.loads((cell / f"{task}.json").read_text())
    assert {**found.metrics, "protocol": found.protocol} == stage
    assert len(found.metrics) >= 1
    records = pd.read_parquet(cell / f"{task}.records.parquet")
    pd.testing.assert_frame_equal(found.records, records, check_categorical=False)
    for end, table in found.curves.items():
        written = cell / (f"{task}_{end}.csv" if end else f"{task}.csv")
        found.write("again", here)
        again = here / (f"again_{end}.csv" if end else "again.csv")
        assert again.read_bytes() == written.read_bytes()
        assert len(table)
    assert files(run) == before


def test_arrays_give_the_numbers_of_the_same_files(run: Path, backbone) -> None:
    images, masks = town.stills(16)
    chosen = {"shots": 3, "seeds": 2, "patches": (4, 4)}
    arrays = pl.from_arrays(images, masks, classes=town.CLASSES, name="stills", **chosen)
    folder = pl.load_dataset("folder", run / "town", name="stills", query="query", **chosen)
    asked = {"k": 5, "heads": ["knn"], "resamples": 100, "variant": ["raw", "prune"]}
    one, other = (pl.evaluate(backbone, data, **asked) for data in (arrays, folder))
    assert one.metrics == other.metrics
    assert one.protocol == other.protocol
    assert (
        pl.SegmentationProbe(arrays, k=5).score(backbone)
        == (one.metrics["knn"]["raw"]["pixel_miou"])
    )


@pytest.mark.parametrize("task", ["retrieval", "tracking", "identification"])
def test_boxes_in_arrays_give_the_numbers_of_the_same_files(
    backbone, task: str, tmp_path: Path
) -> None:
    town.lay_boxes(tmp_path)
    images, boxes, names = town.videos()
    ids = [f"{name}/{i % 4 + 1:06d}" for i, name in enumerate(names)]
    given = {"boxes": boxes, "instances": [[1, 2]] * 8, "sequences": names, "names": ids}
    arrays = pl.from_arrays(images, **given, patches=(4, 4), name="videos")
    chosen = {"support": None, "query": "query", "unit": "sequence", "patches": (4, 4)}
    folder = pl.load_dataset("folder", tmp_path, name="videos", **chosen)
    assert vars(folder.index).keys() <= vars(arrays.index).keys()
    pd.testing.assert_frame_equal(arrays.index.objects, folder.index.objects)
    asked = {"resamples": 100, "variant": ["raw", "prune"]}
    if task == "identification":
        asked |= {"images": 4, "degradations": {"blur": [1]}, "granularities": [1, 2]}
    one, other = (pl.evaluate(backbone, data, task, **asked) for data in (arrays, folder))
    assert one.metrics == other.metrics
    assert one.protocol == other.protocol
    pd.testing.assert_frame_equal(one.records, other.records)
    assert len(one.metrics) >= 1
