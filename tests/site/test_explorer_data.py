"""What the stage explorer writes is what the evaluation finds."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import explored
from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.errors import DataError
from patchlens.features.cell import Cell
from patchlens.features.store import FeatureFile
from patchlens.tasks.segmentation.inputs import open_inputs
from patchlens.tasks.segmentation.labels import patch_labels
from patchlens.tasks.segmentation.neighbours import first_support, neighbours

pytestmark = pytest.mark.usefixtures("run")
GRID = (8, 16)
PATCHES = GRID[0] * GRID[1]


def columns() -> list[tuple[int, str, str]]:
    found = explored.part("city", "patches")["columns"]
    return [(c, column["model"], column["variant"]) for c, column in enumerate(found)]


def fitted(model: str, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of bank and query patches after the variant, by numpy alone."""
    bank_ids = [image["id"] for image in explored.part("city", "patches")["bank"]]
    ids = [image["id"] for image in explored.part("city", "patches")["images"]]
    folder = paths.features(dataset="city", model=model)
    bank, query = (
        FeatureFile(folder / f"{split}.safetensors").images(wanted, layer)
        for split, wanted in (("support", bank_ids), ("query", ids))
        for layer in FeatureFile(folder / f"{split}.safetensors").header.layers[:1]
    )
    bank, query = bank.reshape(-1, bank.shape[-1]), query.reshape(-1, query.shape[-1])
    mean, std = bank.mean(axis=0), bank.std(axis=0)
    if variant == "zscore":
        return (bank - mean) / std, (query - mean) / std
    if variant == "prune":
        kept = np.sort(np.argsort(-bank.var(axis=0))[round(0.25 * bank.shape[1]) :])
        return bank[:, kept], query[:, kept]
    return bank, query


def test_neighbours_are_those_that_numpy_finds_for_the_same_features() -> None:
    found = explored.part("city", "patches")
    assert {(model, variant) for _, model, variant in columns()} == {
        (model, variant) for model in explored.MODELS for variant in ("raw", "zscore", "prune")
    }
    for c, model, variant in columns():
        bank, query = fitted(model, variant)
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, bank)]
        cosines = (unit[0] @ unit[1].T).reshape(len(found["images"]), PATCHES, -1)
        for row in range(len(found["images"])):
            one = explored.script("city", f"patches/{row}.js")["found"][c]
            places = explored.unpacked(one["places"], "<u2").reshape(PATCHES, -1)
            shown = explored.unpacked(one["similarity"], "<i2").reshape(PATCHES, -1) * one["step"]
            expected = -np.sort(-cosines[row], axis=1)[:, : found["nearest"]]
            np.testing.assert_allclose(shown, expected, atol=6e-5)
            there = np.take_along_axis(cosines[row], places.astype(np.int64), axis=1)
            np.testing.assert_allclose(there, expected, atol=1e-6)


def test_the_bank_is_the_support_of_the_first_seed_with_its_labels() -> None:
    found = explored.part("city", "patches")
    assert found["seed"] == 4
    index = Index(paths.index("city"), paths.raw("city"))
    ids = [image["id"] for image in found["bank"]]
    assert ids == index.support_ids(4, 2)
    labels = [patch_labels(index.mask(i), GRID, len(index.classes), "majority") for i in ids]
    shown = explored.unpacked(found["bank_labels"]["8×16"], "u1")
    assert shown.tolist() == np.stack(labels).ravel().tolist()


def test_the_predicted_segmentation_scores_what_the_records_of_the_evaluation_say() -> None:
    index = Index(paths.index("city"), paths.raw("city"))
    images = explored.part("city", "patches")["images"]
    for c, model, variant in columns():
        records = pd.read_parquet(
            paths.cell(dataset="city", model=model) / "segmentation.records.parquet"
        )
        mine = (records["head"] == "knn") & (records["variant"] == variant)
        mine &= (records["seed"] == 4) & (records["level"] == "pixel")
        for row, image in enumerate(images):
            one = explored.script("city", f"patches/{row}.js")["found"][c]
            data = base64.b64decode(one["predicted"].partition(",")[2])
            predicted = np.asarray(Image.open(io.BytesIO(data))).astype(np.int64)
            mask = index.mask(image["id"])
            table = np.zeros((len(index.classes),) * 2, dtype=np.int64)
            np.add.at(table, (mask[mask != 255], predicted[mask != 255]), 1)
            of_image = records[mine & (records["image_id"] == image["id"])]
            counted = np.zeros_like(table)
            counted[of_image["true"], of_image["predicted"]] = of_image["count"]
            assert (table == counted).all()
            assert one["accuracy"] == pytest.approx(np.trace(table) / table.sum(), abs=1e-4)


def test_switches_of_a_video_are_those_that_trackeval_counts() -> None:
    videos = explored.part("video", "tracks")["sequences"]
    assert len(videos) == 1
    assert len(videos[0]["frames"]) == 40
    for column in explored.script("video", "tracks/0.js")["columns"]:
        records = pd.read_parquet(
            paths.cell(dataset="video", model=column["model"]) / "tracking.records.parquet"
        )
        mine = (records["head"] == "link") & (records["variant"] == column["variant"])
        counted = records[mine & (records["count"] == "idsw")]["value"].sum()
        assert column["switches"] == counted
        marks = [box[5] for frame in column["boxes"] for box in frame]
        assert sum(marks) == counted
    assert counted > 0


def test_answers_of_retrieval_are_right_where_the_fine_class_is_that_of_the_query() -> None:
    index = Index(paths.index("city"), paths.raw("city"))
    objects = index.objects.set_index(["image_id", "x0", "y0", "x1", "y1"])["fine_class"]

    def fine(place: dict) -> str:
        return objects.at[(place["image"]["id"], *place["box"])]

    lists = [column["queries"] for column in explored.part("city", "lists")["columns"]]
    assert len(lists) == 6
    seen = set()
    for queries in lists:
        assert [query["box"] for query in queries] == [query["box"] for query in lists[0]]
        for query in queries:
            similarity = [one["similarity"] for one in query["found"]]
            assert similarity == sorted(similarity, reverse=True)
            for one in query["found"]:
                assert one["right"] == (fine(one) == fine(query))
                assert one["image"]["id"] != query["image"]["id"]
                seen.add(one["right"])
    assert seen == {True, False}


def test_identification_is_right_where_the_patch_itself_is_found() -> None:
    columns = explored.part("city", "copies")["columns"]
    assert columns
    for column in columns:
        conditions = [(one["degradation"], one["severity"]) for one in column["answers"]]
        assert conditions == [("blur", 1), ("blur", 3), ("shift", 4)]
        for one in column["answers"]:
            same = one["found"]["image"]["id"] == column["query"]["image"]["id"]
            assert one["found"]["right"] == (same and one["found"]["box"] == column["query"]["box"])


def test_maps_of_dimensions_are_the_features_on_one_scale() -> None:
    parts = explored.part("city", "maps")
    assert parts
    for model, part in parts.items():
        file = FeatureFile(paths.features(dataset="city", model=model) / "query.safetensors")
        values = file.images([i["id"] for i in part["images"]], file.header.layers[0])
        assert part["dimensions"]
        for one in part["dimensions"]:
            assert len(one["maps"]) == len(part["images"]) > 0
            true = values[..., one["dimension"]]
            for row, name in enumerate(one["maps"]):
                level = np.asarray(Image.open(paths.EXPLORER / "city" / name)) / 255
                shown = one["low"] + level * (one["high"] - one["low"])
                scale = one["high"] - one["low"]
                np.testing.assert_allclose(shown, true[row], atol=scale / 400)


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in paths.EXPLORER.rglob("*") if p.is_file()}

    before = content()
    explored.explore()
    assert content() == before


def test_missing_tracks_leave_nothing_half_written(run: Path) -> None:
    before = (paths.EXPLORER / "datasets.json").read_text(encoding="utf-8")
    assert json.loads(before)["video"] == ["features", "tracks"]
    [path] = (paths.tracks(dataset="video", model="vit") / "prune/mot").glob("*.txt")
    content = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(DataError, match=r"prune/mot/.*: missing; run `dvc repro"):
            explored.explore()
    finally:
        path.write_bytes(content)
    assert (paths.EXPLORER / "datasets.json").read_text(encoding="utf-8") == before
    assert not list(paths.EXPLORER.parent.glob(".explorer*"))


def test_a_variant_that_leaves_nothing_to_tell_patches_apart_by_is_left_out(run: Path) -> None:
    for m, left in ((0.9, 1), (0.5, 3)):  # of five dimensions; a cosine of one is a sign
        prune = explored.PRUNE.model_copy(update={"m": m})
        chosen = explored.SETTINGS.model_copy(update={"prune": prune})
        inputs = open_inputs(Cell(dataset="city", model="pixels", settings=chosen))
        ids = inputs.cell.query.header.image_ids[:1]
        found = neighbours(inputs, first_support(inputs), "prune", ids)
        assert (found is None) == (left == 1)
