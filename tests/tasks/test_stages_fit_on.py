import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from cells import compute
from configured import configured
from patchlens import paths
from patchlens.api.protocol import settings_for
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.cell import Cell
from patchlens.features.store import Header, write
from patchlens.settings.datasets import Collected, Query, Support, View
from patchlens.settings.load import Settings
from patchlens.settings.uncertainty import Limits, Uncertainty
from patchlens.tasks.retrieval.settings import Retrieval
from patchlens.tasks.segmentation import few_shot, inputs
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.segmentation.words import caption
from tasks.world import CLASSES, PRUNE, noisy, random_labels, settings

SUPPORT, QUERY = ["s0", "s1", "s2", "s3"], ["q0", "q1", "q2"]
SEEDS = {0: ["s2", "s0"], 1: ["s1", "s3"]}
NAMES = ["raw", "center", "zscore", "prune", "keep_top", "prune_random", "pca_drop_top"]


def write_index(root: Path, labels: np.ndarray) -> None:
    folder = paths.index("d")
    folder.mkdir(parents=True)
    for name, label in zip(SUPPORT + QUERY, labels, strict=True):
        Image.fromarray(label.repeat(4, axis=0).repeat(4, axis=1)).save(root / f"{name}.png")
    ids = SUPPORT + QUERY
    files = [f"{i}.png" for i in ids]
    pd.DataFrame({"image_id": ids, "path": files, "mask": files}).to_parquet(
        folder / "images.parquet"
    )
    pd.DataFrame({"image_id": []}).to_parquet(folder / "objects.parquet")
    chosen = [(s, "all", rank, i) for s, names in SEEDS.items() for rank, i in enumerate(names)]
    pd.DataFrame(chosen, columns=["seed", "pool", "rank", "image_id"]).to_parquet(
        folder / "support.parquet"
    )
    pd.DataFrame({"image_id": QUERY, "unit": QUERY}).to_parquet(folder / "query.parquet")
    about = {
        "reader": "folder",
        "classes": ["road", "car", "sky"],
        "labels": {str(i): i for i in range(CLASSES)},
        "palette": [],
    }
    (folder / "dataset.json").write_text(json.dumps(about))


def write_features(split: str, names: list[str], values: np.ndarray) -> None:
    header = Header("d", split, "m", "0" * 64, names, (2, 2), 6, [0], True, "float32", "whole", 8)
    part = Path("part")
    part.write_bytes(values.astype(np.float32).tobytes())
    write(header, {0: [part]}, paths.features(dataset="d", model="m") / f"{split}.safetensors")


def settings_of(root: Path, fit_on: str = "support", **changes: Any) -> Settings:
    chosen = PRUNE.model_copy(update={"fit_on": fit_on})
    dataset = Collected(
        kind="folder",
        root=str(root),
        view=View(mode="whole", grid="equal", patches=[2, 2]),
        support=Support(split="train", images=2, per="total", seeds=[0, 1]),
        query=Query(split="val", images="all", per="total", unit="image"),
    )
    given = {"heads": ["knn", "linear"], "k_sweep": [1, 3], "shots_sweep": [1]} | changes
    task = settings(variants=NAMES, **given)
    return configured(
        datasets={"d": dataset},
        prune=chosen,
        segmentation=task,
        uncertainty=Uncertainty(resamples=100, claim_resamples=10_000, seed=0),
    )


def run(root: Path, fit_on: str, **changes: Any) -> tuple[dict[str, np.ndarray], dict]:
    asked = settings_of(root, fit_on, **changes)
    compute("prune", dataset="d", model="m", settings=asked)
    compute("segmentation", dataset="d", model="m", settings=asked)
    cell = json.loads((paths.cell(dataset="d", model="m") / "segmentation.json").read_text())
    return load_file(paths.moments(dataset="d", model="m")), cell


@pytest.fixture
def labels(tmp_path, monkeypatch) -> np.ndarray:
    monkeypatch.chdir(tmp_path)
    made = random_labels(7)
    write_index(tmp_path, made)
    write_features("support", SUPPORT, noisy(made[:4]))
    write_features("query", QUERY, noisy(made[4:]))
    return made


def test_the_ranking_is_that_of_each_seeds_own_support_images(labels, tmp_path):
    moments, _ = run(tmp_path, "support")
    features = noisy(labels[:4]).astype(np.float64)
    for row, names in enumerate(SEEDS.values()):
        own = features[[SUPPORT.index(i) for i in names]].reshape(-1, 6)
        np.testing.assert_allclose(moments["mean"][row], own.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(moments["variance"][row], own.var(axis=0), rtol=1e-9)
        assert np.array_equal(moments["ranking"][row], np.argsort(-own.var(axis=0)))
    assert not np.array_equal(moments["ranking"][0], moments["ranking"][1])


@pytest.mark.parametrize(("fit_on", "same"), [("support", True), ("dataset", False)])
def test_other_query_features_change_nothing_that_is_fitted_on_the_support(
    labels, tmp_path, fit_on, same
):
    before, _ = run(tmp_path, fit_on)
    scale = np.array([1, 1, 1, 50, 9, 1], np.float32)
    write_features("query", QUERY, noisy(labels[4:]) * scale + 3)
    after, _ = run(tmp_path, fit_on)
    for key in ("mean", "variance", "ranking"):
        assert (before[key].tobytes() == after[key].tobytes()) is same
    assert before["total"][:4].tobytes() == after["total"][:4].tobytes()
    assert before["total"][4:].tobytes() != after["total"][4:].tobytes()


def test_the_scores_of_one_query_image_do_not_depend_on_the_others(labels, tmp_path):
    def of_first() -> pd.DataFrame:
        table = pd.read_parquet(paths.cell(dataset="d", model="m") / "segmentation.records.parquet")
        return table[table["image_id"] == "q0"].astype({"image_id": str}).reset_index(drop=True)

    run(tmp_path, "support")
    before = of_first()
    features = noisy(labels[4:])
    features[1:] = -40 * features[1:] + 7
    write_features("query", QUERY, features)
    run(tmp_path, "support")
    pd.testing.assert_frame_equal(of_first(), before)


def test_the_stage_writes_the_cell_the_sweeps_and_the_protocol(labels, tmp_path):
    _, cell = run(tmp_path, "support")
    assert set(cell) == {"protocol", "knn", "linear", "majority"}
    assert list(cell["knn"]) == sorted(NAMES)
    assert cell["protocol"]["bank_patches"] == 8
    assert cell["protocol"]["query_patches"] == 12
    assert cell["protocol"]["prune_m_used"] == 2
    out = paths.cell(dataset="d", model="m")
    k = pd.read_csv(out / "segmentation_k.csv")
    assert sorted(set(zip(k["variant"], k["k"], strict=True))) == [
        (name, value) for name in sorted(NAMES) for value in (1, 3)
    ]
    shots = pd.read_csv(out / "segmentation_shots.csv")
    assert shots[["head", "shots"]].to_numpy().tolist() == [
        ["knn", 1],
        ["knn", 2],
        ["linear", 1],
        ["linear", 2],
    ]
    # The sweeps hold the headline's own numbers.
    raw = k[(k["variant"] == "raw") & (k["k"] == 1)].iloc[0]
    assert raw["pixel_miou"] == cell["knn"]["raw"]["pixel_miou"]
    assert shots.iloc[1]["pixel_miou"] == cell["knn"]["raw"]["pixel_miou"]


@pytest.mark.usefixtures("labels")
def test_images_without_class_masks_stop_segmentation_with_the_remedy(tmp_path):
    path = paths.index("d") / "images.parquet"
    pd.read_parquet(path).assign(mask=None).to_parquet(path)
    with pytest.raises(SettingsError, match=r"datasets\.d uses have no class masks; remove it"):
        run(tmp_path, "support")


@pytest.mark.parametrize(("held", "reads"), [(1 << 26, 1), (0, 2)])
def test_masks_beyond_what_memory_may_hold_are_read_again(
    labels, tmp_path, monkeypatch, held, reads
):
    run(tmp_path, "support")
    monkeypatch.setattr(inputs, "HELD", held)
    asked = Counter()
    read = Index.mask
    monkeypatch.setattr(Index, "mask", lambda index, i: asked.update([i]) or read(index, i))
    opened = inputs.open_inputs(Cell(dataset="d", model="m", settings=settings_of(tmp_path)))
    asked.clear()
    for image_id in QUERY * reads:
        assert np.array_equal(
            opened.mask(image_id)[::4, ::4], labels[(SUPPORT + QUERY).index(image_id)]
        )
    assert set(asked.values()) == ({reads} if not held else set())


def test_an_approximate_index_is_stored_and_every_row_says_its_recall(labels, tmp_path):
    knn = settings().knn.model_copy(update={"index": "ivf", "storage": "fp16", "nprobe": 9})
    _, cell = run(tmp_path, "support", heads=["knn"], knn=knn)
    about = cell["protocol"]
    assert (about["knn_index"], about["knn_storage"], about["knn_nprobe"]) == ("ivf", "fp16", 9)
    assert about["knn_recall_queries"] == 1000
    recalls = {variant: row.get("knn_recall") for variant, row in cell["knn"].items()}
    assert all(0.95 <= recall <= 1 for recall in recalls.values())
    assert about["knn_recall_least"] <= min(recalls.values())
    folder = paths.knn(dataset="d", model="m")
    banks = json.loads((folder / "banks.json").read_text())["banks"]
    assert {f"{seed}-raw-0-0-{shots}.faiss" for seed in (0, 1) for shots in (1, 2)} <= set(banks)
    assert sorted(path.name for path in folder.glob("*.faiss")) == banks
    text = caption(pd.DataFrame([about | {"variant": "raw", "role": "", "seeds": 2}]))
    assert "approximate (index ivf, storage fp16, nprobe 9): recall of at least" in text


def test_too_little_recall_stops_the_stage_and_leaves_nothing(labels, tmp_path):
    # Codes of 8 bits, learned on one patch, tell no patch from another.
    knn = settings().knn.model_copy(update={"storage": "sq8", "train": 1})
    with pytest.raises(SettingsError, match=r"storage sq8 has recall@1 0\.\d+ on 12 query patches"):
        run(tmp_path, "support", heads=["knn"], knn=knn)
    assert not paths.knn(dataset="d", model="m").exists()
    assert not (paths.cell(dataset="d", model="m") / "segmentation.json").exists()


def test_a_bank_that_stays_in_its_file_gives_every_score_of_one_in_memory(
    labels, tmp_path, monkeypatch
):
    _, whole = run(tmp_path, "support", heads=["knn"])
    monkeypatch.setattr(Limits, "bank", 1.0)
    held: list[bool] = []
    original = few_shot.Support.in_file
    spy = lambda self, *of: held.append(original(self, *of)) or held[-1]  # noqa: E731
    monkeypatch.setattr(few_shot.Support, "in_file", spy)
    _, parts = run(tmp_path, "support", heads=["knn"])
    assert held
    assert all(held)
    assert parts == whole
    with pytest.raises(SettingsError, match=r"limits\.memory_gb: too little for the linear probe"):
        run(tmp_path, "support", heads=["linear"])


def test_from_python_settings_are_taken_that_a_file_may_lack(tmp_path):
    own = settings_of(tmp_path).datasets["d"]

    def given(**options: Any) -> Settings:
        asked = {"k": 1, "k_sweep": []} | options
        return settings_for("segmentation", "d", own, "m", variant=None, options=asked)

    found = given(knn={"index": "ivf", "nprobe": 5}, memory_gb=8)
    assert (found.section(Segmentation).knn.index, found.limits.memory_gb) == ("ivf", 8)
    assert found.limits.bank == 3.5e9
    assert given().section(Segmentation).knn.exact
    assert given().limits.bank is None
    with pytest.raises(SettingsError, match=r"knn\.recall: 1\.5 is out of range; allowed: 0"):
        given(knn={"recall": 1.5})
    own = own.model_copy(update={"support": None})
    asked = settings_for("retrieval", "d", own, "m", variant=None, options={"queries": 300})
    assert asked.section(Retrieval).queries == 300
