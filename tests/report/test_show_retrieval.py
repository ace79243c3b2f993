"""The sheet of queries and their nearest."""

import numpy as np
import pytest
from PIL import Image, ImageColor

from configured import configured
from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.display.sheet import RIGHT, WRONG, Look
from patchlens.errors import SettingsError
from patchlens.features.cell import Cell
from patchlens.report import explorer
from patchlens.stored import read_json
from patchlens.tasks.annotated import objects_of
from patchlens.tasks.retrieval import show as show_retrieval
from patchlens.tasks.retrieval.settings import Retrieval
from tasks.scene import GRID, box, dataset, image, write_features, write_index

pytestmark = pytest.mark.usefixtures("here")
SETTINGS = Retrieval(
    datasets=["d"], relevant=["instance", "fine_class"], frame_distance=None, distance="cosine"
)


def write(root, numbers: list[int], values: np.ndarray, **more) -> None:
    """Images with one large object each; features [N, D], equal over the image."""
    images = [image(f"q{i}", box(n, 4, 4, 44, 28), **more) for i, n in enumerate(numbers)]
    write_index(root, images, support=[])
    maps = np.broadcast_to(values[:, None, None], (len(values), *GRID, values.shape[1]))
    write_features("query", [f"q{i}" for i in range(len(numbers))], maps)


def draw(root) -> np.ndarray:
    out = root / "sheet.png"
    asked = configured(datasets={"d": dataset(root, support=False)}, retrieval=SETTINGS)
    show_retrieval.run(out, Cell(dataset="d", model="m", settings=asked))
    return np.asarray(Image.open(out).convert("RGB")).astype(int)


def places_of(sheet: np.ndarray, look: Look) -> np.ndarray:
    return np.abs(sheet - ImageColor.getrgb(look[0])).max(axis=2) < 12


def pixels_of(sheet: np.ndarray, look: Look) -> int:
    return int(places_of(sheet, look).sum())


def plain(root, ids: list[str]) -> None:
    """Make the images grey, so that every colour of the sheet is that of a frame."""
    for image_id in ids:
        Image.new("RGB", (48, 32), "grey").save(root / f"{image_id}.png")


def test_an_oracle_frames_what_is_right_and_noise_frames_what_is_wrong(here):
    # More right ones than the ten nearest, and as many wrong ones before, between and after them.
    numbers = np.array([2, 1] * 12)
    write(here, numbers.tolist(), np.eye(3)[numbers])
    plain(here, [f"q{i}" for i in range(24)])
    oracle = draw(here)
    assert pixels_of(oracle, RIGHT) > 500
    assert pixels_of(oracle, WRONG) == 0
    rng = np.random.default_rng(0)
    write_features("query", [f"q{i}" for i in range(24)], rng.normal(size=(24, *GRID, 3)))
    noise = draw(here)
    assert pixels_of(noise, WRONG) > 500 < pixels_of(noise, RIGHT)


def test_the_nearest_come_first(here):
    # Every query has two right ones among eleven: ranks 1 and 2 of an oracle, in every row.
    numbers = np.array([0, 1, 2, 3] * 3) + 1
    write(here, numbers.tolist(), np.eye(5)[numbers])
    plain(here, [f"q{i}" for i in range(12)])
    sheet = draw(here)
    right, wrong = (np.flatnonzero(places_of(sheet, look).any(axis=0)) for look in (RIGHT, WRONG))
    assert right.max() < wrong.min()


def test_wrong_ones_are_framed_otherwise(here):
    # Each of two instances is nearest to the other one.
    write(here, [1, 2, 1, 2], np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]))
    sheet = draw(here)
    assert pixels_of(sheet, WRONG) > pixels_of(sheet, RIGHT) > 300


def test_the_same_features_give_the_same_bytes(here):
    write(here, [1, 2, 1, 2], np.random.default_rng(0).normal(size=(4, 3)))
    draw(here)
    first = (here / "sheet.png").read_bytes()
    draw(here)
    assert (here / "sheet.png").read_bytes() == first


def test_queries_are_of_different_instances_and_large_where_there_are_such(here):
    images = [image(f"q{i}", box(1, 0, 0, 48, 32), box(2 + i % 8, 0, 0, 4, 4)) for i in range(20)]
    index = write_index(here, images, support=[])
    found = objects_of(index, [f"q{i}" for i in range(20)], GRID)
    relevant, queries = show_retrieval.askers(found, SETTINGS)
    assert relevant == "instance"
    assert found.instance[queries[0]] == 1
    assert len(set(found.instance[queries])) == len(queries) == show_retrieval.QUERIES


def test_the_ten_nearest_are_of_the_list():
    on_list = np.arange(13) % 13 > 0
    found = show_retrieval.nearest(np.arange(13, 0, -1.0), on_list)
    assert found.tolist() == list(range(1, 11))
    assert show_retrieval.nearest(np.arange(3.0), np.array([True, False, True])).tolist() == [2, 0]


def test_without_instances_to_find_it_looks_for_the_fine_class(here):
    write(here, [1, 2, 3], np.eye(3))
    index = Index(paths.index("d"), here)
    found = objects_of(index, ["q0", "q1", "q2"], GRID)
    assert show_retrieval.askers(found, SETTINGS)[0] == "fine_class"


def test_nothing_to_find_is_an_error(here):
    write(here, [1, 1], np.eye(2), sequence="v", frame=0)
    with pytest.raises(SettingsError, match="no query of 'd' has a relevant object"):
        draw(here)


def test_graded_images_are_drawn_with_junk_off_the_list(here):
    images = [image("ask", box(0, 0, 0, 48, 32)), image("g0"), image("g1"), image("g2")]
    grades = [("ask", "g0", "junk"), ("ask", "g1", "easy")]
    write_index(here, images, support=[], relevance=grades)
    values = np.array([[1, 0], [1, 0], [1, 0.1], [1, 0.2]])
    maps = np.broadcast_to(values[:, None, None], (4, *GRID, 2))
    write_features("query", ["ask", "g0", "g1", "g2"], maps)
    sheet = draw(here)
    assert pixels_of(sheet, RIGHT) > 300 < pixels_of(sheet, WRONG)


def test_images_of_others_are_not_put_into_the_site(here):
    write(here, [1, 1], np.eye(2))
    runs = {task: ["d"] for task in ("identification", "retrieval", "tracking")}
    explorer.run(configured(datasets={"d": dataset(here, support=False)}, runs=runs))
    assert [path.name for path in paths.EXPLORER.iterdir()] == ["datasets.json"]
    assert read_json(paths.EXPLORER / "datasets.json", "") == {}
