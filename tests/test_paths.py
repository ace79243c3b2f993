"""Where things lie, and that a dataset and a model cannot be swapped on the way there."""

import inspect
from pathlib import Path

import pytest

from patchlens import paths
from patchlens.names import DatasetName, ModelName
from patchlens.plan import cost
from patchlens.settings.datasets import Collected, View
from patchlens.settings.load import Settings

VIEW = View(mode="whole", grid="paper", pixels=[8, 8])


def test_images_lie_at_the_users_root_or_where_fetch_put_them() -> None:
    dataset = Collected(kind="ade20k", view=VIEW, support=None, query=None)
    assert paths.images("scenes", dataset) == Path("data/raw/scenes")
    placed = dataset.model_copy(update={"root": "disk/ade"})
    assert paths.images("scenes", placed) == Path("disk/ade")
    unpacked = dataset.model_copy(update={"archives": "disk/zips"})
    assert paths.images("scenes", unpacked) == Path("data/raw/scenes")


OF_CELL = [
    function
    for function in [*vars(paths).values(), Settings.cell, cost.cell]
    if inspect.isfunction(function)
    and {DatasetName, ModelName} <= set(inspect.get_annotations(function).values())
]


def test_what_belongs_to_a_cell_is_found() -> None:
    named = {function.__qualname__ for function in OF_CELL}
    assert {"cell", "features", "degraded", "moments", "tracks", "Settings.cell"} <= named


@pytest.mark.parametrize("function", OF_CELL, ids=lambda f: f.__qualname__)
def test_a_cell_is_named_by_keywords_only(function: object) -> None:
    kinds = inspect.signature(function).parameters
    assert kinds["dataset"].kind is kinds["model"].kind is inspect.Parameter.KEYWORD_ONLY
