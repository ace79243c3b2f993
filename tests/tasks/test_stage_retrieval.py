"""The retrieval stage: what it writes, on scenes whose scores are known and on real photographs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cells import compute
from configured import configured
from patchlens import paths
from patchlens.errors import SettingsError
from patchlens.settings.datasets import Dataset, Query
from patchlens.settings.load import Settings
from patchlens.settings.uncertainty import Uncertainty
from patchlens.tasks.resample import SharedResampler, interval
from patchlens.tasks.retrieval.settings import Retrieval
from tasks import real
from tasks.scene import GRID, box, dataset, image, write_features, write_index
from tasks.world import PRUNE

pytestmark = pytest.mark.usefixtures("here")
UNCERTAINTY = Uncertainty(resamples=200, claim_resamples=10_000, seed=0)
SETTINGS = Retrieval(
    datasets=["d"], relevant=["instance", "fine_class"], frame_distance=None, distance="cosine"
)
LEFT, RIGHT = (0, 0, 24, 32), (24, 0, 48, 32)  # pixels: columns 0–2 and 3–5 of the grid


def halves(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Patch maps [N, 4, 6, D] whose left half is one feature [N, D], the right half the other."""
    maps = np.repeat(np.stack([left, right], axis=1), 3, axis=1)
    return np.repeat(maps[:, None], GRID[0], axis=1)


def two_a_scene(root: Path, numbers: np.ndarray, values: np.ndarray, **fields) -> None:
    """Query images with an instance in either half, numbered `numbers` [N, 2]."""
    images = [image("s0", split="train")]
    for i, (left, right) in enumerate(numbers):
        kinds = [{"fine_class": f"kind {n // 10}"} for n in (left, right)]
        images.append(image(f"q{i}", box(left, *LEFT, **kinds[0]), box(right, *RIGHT, **kinds[1]),
                            **{key: value[i] for key, value in fields.items()}))  # fmt: skip
    write_index(root, images, support=["s0"])
    ids = [entry["image_id"] for entry in images[1:]]
    write_features("support", ["s0"], np.random.default_rng(0).normal(size=(1, *GRID, 6)))
    write_features("query", ids, values)


def of(found: Dataset, variants, settings=SETTINGS, chosen=PRUNE) -> Settings:
    """Settings of dataset `d`."""
    sections = {"prune": chosen, "retrieval": settings, "uncertainty": UNCERTAINTY}
    return configured(datasets={"d": found}, variants=variants, shots=1, **sections)


def run(root: Path, settings=SETTINGS, variants=("raw",), support=True, chosen=PRUNE) -> dict:
    asked = of(dataset(root, support=support), variants, settings, chosen)
    compute("prune", dataset="d", model="m", settings=asked)
    compute("retrieval", dataset="d", model="m", settings=asked)
    return json.loads((paths.cell(dataset="d", model="m") / "retrieval.json").read_text())


def oracle(numbers: np.ndarray) -> np.ndarray:
    """Features of which RoIAlign, which reaches into the next column, still tells all apart."""
    _, code = np.unique(numbers, return_inverse=True)
    one_hot = np.eye(6)[code.reshape(numbers.shape)]
    return halves(one_hot[:, 0], one_hot[:, 1])


NUMBERS = np.array([[10, 20], [20, 10], [11, 10], [21, 11], [21, 20]])


def test_an_oracle_scores_1_and_counts_are_told(here):
    two_a_scene(here, NUMBERS, oracle(NUMBERS))
    cell = run(here)
    assert cell["instance"]["raw"] == {
        **dict.fromkeys(["map", "r1", "r5", "r10"], 1.0),
        **{f"{m}_ci_{end}": 1.0 for m in ("map", "r1", "r5", "r10") for end in ("low", "high")},
    }
    about = cell["protocol"]
    assert (about["gallery"], about["queries_instance"], about["units_instance"]) == (10, 10, 4)
    assert about["fit"] == "support"
    assert about["left_out"] == "own image and sequence"
    assert about["chance_map_instance"] < 0.5


def test_records_hold_every_query_and_the_scores_are_their_means(here):
    values = np.random.default_rng(1).normal(size=(5, *GRID, 6))
    two_a_scene(here, NUMBERS, values)
    cell = run(here, variants=("raw", "prune_random"))
    table = pd.read_parquet(paths.cell(dataset="d", model="m") / "retrieval.records.parquet")
    assert list(table) == [
        "head", "variant", "draw", "unit", "query", "size", "ap", "hit1", "hit5", "hit10"
    ]  # fmt: skip
    draws = table[(table["head"] == "instance") & (table["variant"] == "prune_random")]
    assert sorted(draws["draw"].unique()) == [0, 1]  # as PRUNE.random_draws says
    assert cell["instance"]["prune_random"]["map"] == pytest.approx(draws["ap"].mean(), abs=1e-4)
    assert sorted(draws["unit"].unique()) == [10, 11, 20, 21]
    row = cell["instance"]["raw"]
    assert row["map_ci_low"] < row["map"] < row["map_ci_high"]
    sizes = pd.read_csv(paths.cell(dataset="d", model="m") / "retrieval_size.csv")
    assert sizes["queries"].tolist() == [10] * 4
    assert set(sizes["size"]) == {"4–16"}
    assert sizes["map"][0] == row["map"]


def test_intervals_are_those_of_resampled_instances(here):
    values = np.random.default_rng(1).normal(size=(5, *GRID, 6))
    two_a_scene(here, NUMBERS, values)
    cell = run(here)
    table = pd.read_parquet(paths.cell(dataset="d", model="m") / "retrieval.records.parquet")
    aps = {u: g["ap"].to_numpy() for u, g in table[table["head"] == "instance"].groupby("unit")}
    drawn = [
        np.concatenate([np.tile(ap, int(w)) for ap, w in zip(aps.values(), row, strict=True)])
        for weights in SharedResampler(200, 0).unit_chunks(4)
        for row in weights
    ]
    low, high = interval(np.array([one.mean() for one in drawn]))
    row = cell["instance"]["raw"]
    assert (row["map_ci_low"], row["map_ci_high"]) == pytest.approx((low, high), abs=1e-4)


def test_two_runs_write_the_same_bytes(here):
    two_a_scene(here, NUMBERS, oracle(NUMBERS))
    run(here)
    first = {p.name: p.read_bytes() for p in paths.cell(dataset="d", model="m").glob("retrieval*")}
    run(here)
    assert {
        p.name: p.read_bytes() for p in paths.cell(dataset="d", model="m").glob("retrieval*")
    } == first
    assert len(first) == 3


def test_a_variant_without_dimensions_scores_chance(here):
    two_a_scene(here, NUMBERS, oracle(NUMBERS))
    cell = run(here, variants=("raw", "keep_top"), chosen=PRUNE.model_copy(update={"m": 0.0}))
    assert cell["protocol"]["prune_m_used"] == 0
    assert cell["instance"]["keep_top"]["map"] == cell["protocol"]["chance_map_instance"]
    assert cell["fine_class"]["keep_top"]["r1"] == cell["protocol"]["chance_r1_fine_class"]


def test_a_head_without_a_query_is_left_out(here):
    # Every instance once: nothing to find but others of its kind.
    numbers = np.array([[10, 20], [11, 21]])
    two_a_scene(here, numbers, oracle(numbers))
    cell = run(here)
    assert "instance" not in cell
    # One right and one wrong, equally near: right first in half of the orders.
    assert cell["fine_class"]["raw"]["r1"] == 0.5


def test_frames_of_one_sequence_need_a_frame_distance(here):
    two_a_scene(here, NUMBERS, oracle(NUMBERS), sequence=["v"] * 5, frame=[0, 1, 2, 3, 12])
    message = r"no object of 'd' has a relevant object.*frame_distance"
    with pytest.raises(SettingsError, match=message):
        run(here)
    cell = run(here, SETTINGS.model_copy(update={"frame_distance": 10}))
    # Frame 12 and frames 0 to 2: instance 20 is in 0 and 1.
    assert cell["protocol"]["queries_instance"] == 3
    assert cell["protocol"]["left_out"].endswith("nearer than 10")


def test_objects_outside_or_not_evaluated_are_counted_and_neither_ask_nor_answer(here):
    images = [
        image("q0", box(1, *LEFT), box(2, 60, 0, 70, 9), box(3, *RIGHT, evaluated=False)),
        image("q1", box(1, *LEFT), box(2, *RIGHT)),
        image("q2"),
        image("q3", box(3, *LEFT)),
    ]
    write_index(here, images, support=[])
    write_features("query", ["q0", "q1", "q2", "q3"], np.ones((4, *GRID, 3)))
    cell = run(here, SETTINGS.model_copy(update={"relevant": ["instance"]}), support=False)
    about = cell["protocol"]
    assert (about["gallery"], about["objects_outside"], about["objects_not_evaluated"]) == (4, 1, 1)
    assert about["queries_instance"] == 2  # of 1 only: 2 and 3 have a single place each
    assert (about["fit"], about["split_fit"]) == ("transductive", "none")


def test_a_dataset_without_objects_is_an_error_that_names_the_setting(here):
    write_index(here, [image("q0")], support=[])
    write_features("query", ["q0"], np.ones((1, *GRID, 3)))
    with pytest.raises(
        SettingsError, match=r"retrieval\.datasets: the query images of 'd' have no"
    ):
        run(here, support=False)


def benchmark(root: Path, extracted: list[str]) -> None:
    images = [image("ask", box(0, *LEFT)), *(image(f"g{i}") for i in range(4))]
    grades = [("ask", "g0", "junk"), ("ask", "g1", "easy"), ("ask", "g3", "hard")]
    write_index(root, images, support=[], relevance=grades)
    # The box of the query looks like g0, then g1, g2, g3; the rest of its image like none.
    angle = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    values = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    other = values.copy()
    other[0] = -1
    maps = halves(values, other)
    maps[0, :, 2] = values[0]
    names = ["ask", "g0", "g1", "g2", "g3"]
    write_features("query", extracted, maps[[names.index(i) for i in extracted]])


def test_graded_images_are_scored_as_published(here):
    benchmark(here, ["g3", "ask", "g1", "g2", "g0"])
    cell = run(here, support=False)
    # Junk g0 aside, the list is g1 (easy), g2, g3 (hard).
    assert cell["easy"]["raw"]["map"] == 1
    assert cell["medium"]["raw"]["map"] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2, abs=1e-4)
    # Hard: easy is off the list as well: g2, g3.
    assert cell["hard"]["raw"]["map"] == pytest.approx((0 + 1 / 2) / 2)
    assert cell["protocol"]["queries_hard"] == 1
    # Ties keep the gallery's order there, so that a tied list is not chance.
    assert not [key for key in cell["protocol"] if key.startswith("chance")]
    assert "instance" not in cell


def test_a_graded_image_that_was_not_extracted_is_an_error(here):
    benchmark(here, ["ask", "g0", "g1", "g2"])
    with pytest.raises(SettingsError, match=r"datasets\.d\.query: image 'g3' is graded, but not"):
        run(here, support=False)


def real_cell(kind: str, folder: str, split: str, images: int) -> dict:
    """The stages from the folder of samples to the cell, with real features."""
    query = Query(split=split, images=images, per="total", unit="image")
    found = real.dataset(kind, real.sample(folder), [6, 6], query)
    real.prepare(found, real.vit())
    compute("retrieval", dataset="d", model="m", settings=of(found, ("raw", "pca_whiten")))
    return json.loads((paths.cell(dataset="d", model="m") / "retrieval.json").read_text())


@pytest.mark.slow  # as the groceries
def test_real_coil_views_find_their_object():
    cell = real_cell("coil100", "coil-100", "all", 48)
    assert cell["instance"]["raw"]["r1"] > 0.7
    assert cell["instance"]["raw"]["map"] > 3 * cell["protocol"]["chance_map_instance"]
    assert "fine_class" not in cell  # a class is one object


def test_real_groceries_find_their_product():
    cell = real_cell("grocerystore", "GroceryStore", "test", 60)
    assert "instance" not in cell  # every photograph is a thing of its own
    about = cell["protocol"]
    assert cell["fine_class"]["raw"]["map"] > 3 * about["chance_map_fine_class"]
    assert 10 < about["queries_fine_class"] <= 60
