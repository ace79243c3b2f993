"""`view.gsd`: metres a pixel of the dataset's images."""

from collections.abc import Callable
from typing import Any

import pytest

from patchlens.settings.datasets import View

Complaints = Callable[[dict[str, Any]], list[str]]
PLACE = "datasets.streets.view"  # tiles of 256


def test_it_is_the_ground_that_a_tile_covers() -> None:
    view = View(mode="tiles", grid="paper", tile=256, pixels=[224, 224], gsd=0.5)
    assert view.ground == 128
    assert view.describe(16) == "tiles of 256 at 224×224, 0.5 m per pixel"


def test_without_it_the_ground_is_unknown() -> None:
    view = View(mode="tiles", grid="equal", tile=256, patches=[14, 14])
    assert view.ground is None
    assert view.describe(16) == "tiles of 256 at 224×224"


def test_whole_images_cover_an_unknown_ground(complaints: Complaints) -> None:
    assert complaints({"datasets.minicity.view.gsd": 0.5}) == [
        "datasets.minicity.view: 'gsd' needs mode: tiles, so that the ground of a view is known"
    ]


@pytest.mark.parametrize("value", [0, -1.5])
def test_it_is_positive(complaints: Complaints, value: float) -> None:
    (message,) = complaints({f"{PLACE}.gsd": value})
    assert message.startswith(f"{PLACE}.gsd: ")


def test_a_number_is_taken(complaints: Complaints) -> None:
    assert complaints({f"{PLACE}.gsd": 2, "device": "gpu"})[0].startswith("device")
