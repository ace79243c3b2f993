"""From the records of T1 to counts by run, unit and class."""

import json

import pandas as pd
import pytest

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.tasks.segmentation.metrics import counts_of, weighted

COLUMNS = ["seed", "draw", "image_id", "true", "predicted", "count"]
UNITS = {"i": "b", "j": "a", "k": "b"}


def table(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def test_counts_by_hand():
    rows = [
        (3, 0, "i", 0, 0, 5),
        (3, 0, "i", 0, 1, 2),
        (3, 0, "k", 1, 1, 1),
        (3, 0, "j", 1, 0, 4),
        (7, 1, "j", 1, 1, 6),
    ]
    counts = counts_of(table(rows), UNITS, ["a", "b"])
    assert counts.shape == (2, 2, 2, 3)
    # Unit a = j, unit b = i and k; (hits, true, predicted) of classes 0 and 1.
    assert counts[0].tolist() == [[[0, 0, 4], [0, 4, 0]], [[5, 7, 5], [1, 1, 3]]]
    assert counts[1].tolist() == [[[0, 0, 0], [6, 6, 6]], [[0, 0, 0], [0, 0, 0]]]


def test_each_seed_and_draw_is_a_run_of_its_own():
    rows = [(s, d, "i", 0, 0, 1 + 10 * s + d) for s in (0, 1) for d in (0, 1)]
    counts = counts_of(table(rows), UNITS, ["a", "b"])
    assert counts[:, 1, 0, 0].tolist() == [1, 2, 11, 12]


@pytest.fixture
def index(here) -> Index:
    folder = paths.index("town")
    folder.mkdir(parents=True)
    about = {"reader": "folder", "classes": ["x", "y"], "palette": [], "labels": {}}
    (folder / "dataset.json").write_text(json.dumps(about))
    units = UNITS | {"z": "z"}
    query = pd.DataFrame({"image_id": list(units), "unit": list(units.values())})
    query.to_parquet(folder / "query.parquet")
    return Index(folder, here)


def test_a_unit_without_records_still_takes_part_in_the_draws(index):
    found = weighted(table([(0, 0, "i", 0, 0, 5)]).assign(level="pixel"), index)
    assert found.units == ["a", "b", "z"]
    assert found.point()["pixel_miou"].tolist() == [1.0]
