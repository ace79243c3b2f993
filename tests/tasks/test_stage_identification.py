"""Degrade and identification end to end: a miniature minicity, and real images with a real ViT."""

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from cells import compute
from configured import configured
from patchlens import paths
from patchlens.backbones import weights
from patchlens.datasets import indexing as index
from patchlens.datasets import render
from patchlens.datasets.index import Index
from patchlens.display.sheet import RIGHT
from patchlens.errors import DataError, SettingsError
from patchlens.features import extract as extraction
from patchlens.features.cell import Cell
from patchlens.features.store import FeatureFile
from patchlens.settings.datasets import Dataset, Minicity, Query, Support, View
from patchlens.settings.features import Features, Prune
from patchlens.settings.load import Settings
from patchlens.settings.models import Model, PixelsModel, UntrainedModel
from patchlens.settings.uncertainty import Uncertainty
from patchlens.tasks.identification import degrade, show
from patchlens.tasks.identification import run as identification
from patchlens.tasks.identification.copies import Copy, copies
from patchlens.tasks.identification.metrics import weighted
from patchlens.tasks.identification.settings import Degradations, Identification
from patchlens.tasks.resample import SharedResampler, scored
from tasks import real

VIEW = View(mode="whole", grid="equal", patches=[8, 16])
FEATURES = Features(layer=-1, layer_sweep=[-2], norm=True, dtype="float16", batch_size=4)
PRUNE = Prune(m=0.26, select="fixed", choices=[0.26], fit_on="support", random_draws=2, pca_drop=1)
UNCERTAINTY = Uncertainty(resamples=100, claim_resamples=10_000, seed=0)
VARIANTS = ("raw", "zscore", "prune_random", "pca_whiten")
TASK = Identification(
    datasets=["d"],
    images=2,
    patches=6,
    granularities=[1, 2, 4],
    distance="cosine",
    degradations=Degradations(blur=[2.0], jpeg=[20.0], shift=[4.0], rotation=[10.0], scale=[0.3]),
    seed=0,
)
CITY = Minicity(
    kind="minicity",
    stills=3,
    videos=0,
    view=VIEW,
    support=Support(split="support", images=2, per="total", seeds=[0, 1]),
    query=Query(split="query", images="all", per="total", unit="image"),
)
SMALL = UntrainedModel(
    source="untrained",
    arch="vit_tiny_patch16_224",
    arch_args={"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
    seed=0,
)


def asked(dataset: Dataset, task: Identification = TASK, **changes) -> Settings:
    """Settings of dataset `d`."""
    sections = {"datasets": {"d": dataset}, "identification": task, "features": FEATURES}
    sections |= {"prune": PRUNE, "uncertainty": UNCERTAINTY, "shots": 2}
    return configured(**sections | changes)


def cell(settings: Settings) -> Cell:
    return Cell(dataset="d", model="m", settings=settings)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered, indexed, extracted and ranked."""
    folder = tmp_path_factory.mktemp("city")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        render.run("d", CITY)
        prepare(CITY, SMALL)
    return folder


def prepare(dataset: Dataset, model: Model) -> None:
    index.run("d", dataset)
    weights.run("m", model)
    compute("extract", dataset="d", model="m", settings=asked(dataset))
    compute("prune", dataset="d", model="m", settings=asked(dataset))


def run(dataset: Dataset = CITY, task: Identification = TASK, variants=VARIANTS) -> dict:
    compute("degrade", dataset="d", model="m", settings=asked(dataset, task))
    identify(dataset, task, variants)
    return json.loads((paths.cell(dataset="d", model="m") / "identification.json").read_text())


def identify(dataset: Dataset = CITY, task: Identification = TASK, variants=VARIANTS) -> None:
    compute(
        "identification", dataset="d", model="m", settings=asked(dataset, task, variants=variants)
    )


def records() -> pd.DataFrame:
    return pd.read_parquet(paths.cell(dataset="d", model="m") / "identification.records.parquet")


def test_the_stages_write_cell_curves_and_records_that_agree(city, monkeypatch):
    monkeypatch.chdir(city)
    found = run()
    assert set(found) == {"protocol", "patch", "patch_2", "patch_4", "object"}
    assert found["protocol"]["fit"] == "support"
    assert (found["protocol"]["degraded_images"], found["protocol"]["copies"]) == (2, 10)
    table = records()
    weigh = partial(weighted, index=cell(asked(CITY)).index)
    curve = pd.read_csv(paths.cell(dataset="d", model="m") / "identification.csv")
    galleries = {"patch": 3 * 128, "patch_2": 3 * 32, "patch_4": 3 * 8}
    for head in ("patch", "patch_2", "patch_4", "object"):
        assert set(found[head]) == set(VARIANTS)
        for variant, scores in found[head].items():
            rows = table[(table["head"] == head) & (table["variant"] == variant)]
            assert rows["draw"].nunique() == (2 if variant == "prune_random" else 1)
            counts = {
                "queries": rows["queries"].sum() / rows["draw"].nunique(),
                "gallery": scores["gallery"],
            }
            again = scored(weigh, rows, SharedResampler(100, 0))[head][variant]
            assert again | counts == scores
            assert scores["gallery"] == galleries.get(head, scores["gallery"])
            assert 0 <= scores["top1"] <= scores["top5"] <= 1
            assert scores["robustness_ci_low"] <= scores["robustness"]
            of = curve[(curve["head"] == head) & (curve["variant"] == variant)]
            whole = of[of["size"] == "all"]
            assert whole["queries"].sum() == scores["queries"]
            by_degradation = whole.dropna().groupby("degradation")["top1"].mean()
            assert by_degradation.mean() == pytest.approx(scores["robustness"], abs=2e-4)
    patches = curve[(curve["head"] == "patch") & (curve["variant"] == "raw")]
    assert patches["degradation"].tolist() == ["blur", "jpeg", "shift", "rotation", "scale"]
    assert patches["queries"].tolist() == [12] * 5
    # A block of 4 × 4 patches is larger than the whole image at a scale of 0.3: an empty score.
    shrunk = curve[(curve["head"] == "patch_4") & (curve["degradation"] == "scale")]
    assert (shrunk["queries"] == 0).all()
    assert shrunk["top1"].isna().all()
    assert found["object"]["raw"]["top1"] > 5 / found["object"]["raw"]["gallery"]


def test_copies_hold_the_headline_layer_of_the_degraded_images(city, monkeypatch):
    monkeypatch.chdir(city)
    compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    file = FeatureFile(paths.degraded(dataset="d", model="m"))
    clean = FeatureFile(paths.features(dataset="d", model="m") / "query.safetensors")
    assert file.header.layers == clean.header.layers[:1]
    assert file.header.grid == (8, 16)
    assert len(file.header.image_ids) == 10
    ids = [i.split("|")[0] for i in file.header.image_ids]
    copied = file.images(file.header.image_ids, file.header.layers[0])
    own = clean.images(ids, file.header.layers[0])
    assert not np.array_equal(copied[0], own[0])
    assert np.corrcoef(copied[1].ravel(), own[1].ravel())[0, 1] > 0.9  # JPEG changes little


def test_features_that_do_not_notice_the_degradation_identify_perfectly(city, monkeypatch):
    monkeypatch.chdir(city)
    task = TASK.model_copy(update={"degradations": Degradations(blur=[1.0, 2.0])})
    compute("degrade", dataset="d", model="m", settings=asked(CITY, task))
    path = paths.degraded(dataset="d", model="m")
    file = FeatureFile(path)
    clean = FeatureFile(paths.features(dataset="d", model="m") / "query.safetensors")
    layer = clean.header.layers[0]
    unmoved = clean.images([i.split("|")[0] for i in file.header.image_ids], layer)
    about = {key: json.dumps(value) for key, value in vars(file.header).items()}
    save_file({f"layer_{layer}": unmoved.astype(np.float16)}, path, metadata=about)
    identify(task=task)
    found = json.loads((paths.cell(dataset="d", model="m") / "identification.json").read_text())
    for head in ("patch", "patch_2", "patch_4", "object"):
        assert set(found[head]) == set(VARIANTS)
        for scores in found[head].values():
            assert scores["robustness"] == scores["top1_ci_low"] == 1.0


def test_two_runs_write_the_same_bytes(city, monkeypatch):
    monkeypatch.chdir(city)

    def written() -> dict[str, bytes]:
        run()
        files = [
            *paths.cell(dataset="d", model="m").glob("identification.*"),
            paths.degraded(dataset="d", model="m"),
        ]
        return {path.name: path.read_bytes() for path in files}

    first = written()
    assert len(first) == 4
    assert written() == first


def test_the_pixels_floor_runs_and_without_support_variants_are_fitted_on_the_gallery(
    tmp_path, monkeypatch, city
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/d").symlink_to(city / "data/raw/d")
    alone = CITY.model_copy(update={"support": None})
    prepare(alone, PixelsModel(source="pixels", patch_size=8))
    found = run(alone)
    assert found["protocol"]["fit"] == "transductive"
    assert found["patch"]["raw"]["robustness"] > 10 / found["patch"]["raw"]["gallery"]


def test_a_dataset_without_objects_has_no_object_head(city, tmp_path, monkeypatch):
    monkeypatch.chdir(city)
    table = paths.index("d") / "objects.parquet"
    kept = table.read_bytes()
    try:
        pd.read_parquet(table).iloc[:0].to_parquet(table)
        assert set(run()) == {"protocol", "patch", "patch_2", "patch_4"}
    finally:
        table.write_bytes(kept)


def test_areas_are_those_of_the_masks_and_of_the_boxes_inside_the_image(city, monkeypatch):
    monkeypatch.chdir(city)
    made = Index(paths.index("d"), paths.raw("d"))
    image_id = made.query["image_id"].iloc[0]
    shown = made.objects[made.objects["image_id"] == image_id]
    areas = identification.object_areas(made, image_id, shown.index.to_numpy())
    assert areas.sum(axis=(1, 2)).tolist() == shown["area"].tolist()
    assert areas.sum(axis=0).max() == 1
    boxes = shown.iloc[[0] * 5].copy()
    boxes["mask_value"] = pd.array([None] * 5, dtype="Int64")
    boxes[["x0", "y0", "x1", "y1"]] = [
        [-9, 2, 6, 5],
        [1.4, 1.4, 3.6, 2.6],
        [0, 0, 999, 999],
        [0, 0, 9, 9],
        [-9, 0, -1, 9],
    ]
    boxes = boxes.set_axis([4, 3, 2, 1, 0])
    made.__dict__["objects"] = boxes  # instead of the table in the file
    areas = identification.object_areas(made, image_id, np.array([4, 3, 2]))
    # The second box holds the centres of pixels in rows 1, 2 and columns 1, 2, 3.
    assert areas.sum(axis=(1, 2)).tolist() == [18, 6, 128 * 256]
    assert areas[0, 2:5, :6].all()
    assert areas[1, 1:3, 1:4].all()


def test_missing_or_foreign_copies_are_an_error_that_names_the_stage(city, monkeypatch):
    monkeypatch.chdir(city)
    path = paths.degraded(dataset="d", model="m")
    path.unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"safetensors: missing; run `dvc repro"):
        identify()
    compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    file = FeatureFile(path)
    about = {key: json.dumps(value) for key, value in vars(file.header).items()}
    save_file(load_file(path), path, metadata=about | {"weights": json.dumps("other")})
    with pytest.raises(DataError, match=r"its weights is other, .* run `dvc repro degrade`"):
        identify()
    more = TASK.model_copy(update={"degradations": Degradations(blur=[2.0, 9.0])})
    compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    with pytest.raises(DataError, match=r"no features of image '.*\|blur\|9'"):
        identify(task=more)


def test_an_interrupted_degrade_goes_on_where_it_stopped(city, monkeypatch):
    monkeypatch.chdir(city)
    compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    whole = paths.degraded(dataset="d", model="m").read_bytes()
    paths.degraded(dataset="d", model="m").unlink()
    monkeypatch.setattr(extraction, "SHARD", 3)
    original, made = Copy.of, []

    def degraded(self: Copy, image: Image.Image, seed: int) -> Image.Image:
        made.append(self.copy_id)
        if len(made) == 9:
            raise KeyboardInterrupt
        return original(self, image, seed)

    monkeypatch.setattr(Copy, "of", degraded)
    with pytest.raises(KeyboardInterrupt):
        compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    assert not paths.degraded(dataset="d", model="m").exists()
    before = set(made[1:4])
    made[:] = ["after"] * 9
    compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    assert not before & set(made[10:])  # the first of all is read again for its size
    assert paths.degraded(dataset="d", model="m").read_bytes() == whole


def test_nothing_of_a_run_with_another_seed_is_used(city, monkeypatch):
    monkeypatch.chdir(city)
    noisy = TASK.model_copy(update={"degradations": Degradations(noise=[20.0, 30.0])})
    # Seeds whose first images in hash order are the same: only the noise differs.
    ids = Index(paths.index("d"), Path()).query["image_id"]
    tasks = [noisy.model_copy(update={"seed": seed, "images": "all"}) for seed in range(20)]
    orders = [[copy.image_id for copy in copies(ids, task)] for task in tasks]
    other = tasks[orders.index(orders[0], 1)]
    compute("degrade", dataset="d", model="m", settings=asked(CITY, other))
    whole = paths.degraded(dataset="d", model="m").read_bytes()
    kept = SimpleNamespace(rmtree=lambda path: None)  # as if killed just before
    monkeypatch.setattr(degrade, "shutil", kept)
    compute("degrade", dataset="d", model="m", settings=asked(CITY, tasks[0]))
    assert paths.degraded(dataset="d", model="m").read_bytes() != whole
    monkeypatch.undo()
    monkeypatch.chdir(city)
    compute("degrade", dataset="d", model="m", settings=asked(CITY, other))
    assert paths.degraded(dataset="d", model="m").read_bytes() == whole


def test_a_layer_that_does_not_exist_is_an_error_that_names_the_setting(city, monkeypatch):
    monkeypatch.chdir(city)
    deep = FEATURES.model_copy(update={"layer": -9})
    with pytest.raises(SettingsError, match=r"features\.layer"):
        compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK, features=deep))


def test_no_query_at_all_is_an_error_that_names_the_severities(city, monkeypatch):
    monkeypatch.chdir(city)
    away = TASK.model_copy(update={"degradations": Degradations(shift=[999.0])})
    with pytest.raises(SettingsError, match=r"identification\.degradations: no patch of any copy"):
        run(task=away)


def test_the_sheet_is_drawn_the_same_twice(city, tmp_path, monkeypatch):
    monkeypatch.chdir(city)
    compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    sheets = [tmp_path / "first.png", tmp_path / "second.png"]
    for path in sheets:
        show.run(path, cell(asked(CITY)))
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    with Image.open(sheets[0]) as image:
        assert min(image.size) > 300


def test_the_sheet_frames_as_right_what_is_the_true_place(city, tmp_path, monkeypatch):
    monkeypatch.chdir(city)
    task = TASK.model_copy(
        update={"degradations": Degradations(jpeg=[95.0], noise=[200.0], shift=[16.0, 500.0])}
    )
    compute("degrade", dataset="d", model="m", settings=asked(CITY, task))
    drawn = []
    monkeypatch.setattr(show, "sheet", lambda title, rows, path: drawn.extend(rows))
    monkeypatch.setattr(show, "whole_file", nullcontext)
    show.run(tmp_path / "none.png", cell(asked(CITY, task)))
    named = {row[0].label.split("\n")[0]: row for row in drawn}
    assert named.keys() == {"jpeg", "noise", "shift"}
    jpeg, noise, shift = named["jpeg"], named["noise"], named["shift"]
    assert jpeg[2].label == "found\nright"
    assert noise[2].label == "found\nwrong"
    true = jpeg[0]
    x0, y0, x1, y1 = true.box
    assert jpeg[1].box == jpeg[2].box == true.box
    assert shift[1].box == (x0 + 16, y0 + 16, x1 + 16, y1 + 16)
    assert shift[3:] == ["500\nnot in the copy", ""]  # shifted out of it
    for _, query, found, *_ in drawn:
        same = np.array_equal(found.image, true.image) and found.box == true.box
        assert (found.label == "found\nright") == (found.look == RIGHT) == same
        assert query.label in ("95\nquery", "200\nquery", "16\nquery")


@pytest.mark.parametrize(
    ("kind", "place", "split"),
    [
        # Objects are masks; objects are boxes, some of them partly outside their image.
        pytest.param(
            "davis2016",
            lambda here: real.davis(here / "DAVIS", "car-shadow", "dog"),
            "val",
            marks=pytest.mark.slow,
        ),
        ("mot17", lambda here: real.sample("MOT17"), "train"),
    ],
    ids=["davis2016", "mot17"],
)
def test_real_images_with_a_real_vit_are_far_above_chance(kind, place, split, here):
    root = place(here)
    query = Query(split=split, images=4, per="total", unit="image")
    dataset = real.dataset(kind, root, [8, 16], query)
    prepare(dataset, real.vit())
    found = run(dataset, variants=("raw", "prune"))
    patch, thing = found["patch"]["raw"], found["object"]["raw"]
    assert patch["gallery"] == 4 * 128
    assert patch["robustness"] > 40 / patch["gallery"]
    objects = Index(paths.index("d"), root).objects
    ids = FeatureFile(paths.features(dataset="d", model="m") / "query.safetensors").header.image_ids
    shown = objects[objects["image_id"].isin(ids) & objects["evaluated"]]
    assert thing["gallery"] == len(shown)
    chance = (shown.groupby("instance").size() / len(shown)).max()
    assert thing["top1"] > chance + 0.3 * (1 - chance)


def test_a_granularity_beyond_the_grid_is_an_error_that_names_the_setting(city, monkeypatch):
    monkeypatch.chdir(city)
    compute("degrade", dataset="d", model="m", settings=asked(CITY, TASK))
    coarse = TASK.model_copy(update={"granularities": [1, 99]})
    with pytest.raises(SettingsError, match=r"granularities: 99 exceeds the grid of"):
        identify(task=coarse)
