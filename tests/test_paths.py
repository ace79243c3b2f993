"""Where the images of a dataset are read from."""

from pathlib import Path

from patchlens import paths
from patchlens.settings.datasets import Collected, View

VIEW = View(mode="whole", grid="paper", pixels=[8, 8])


def test_images_lie_at_the_users_root_or_where_fetch_put_them() -> None:
    dataset = Collected(kind="ade20k", view=VIEW, support=None, query=None)
    assert paths.images("scenes", dataset) == Path("data/raw/scenes")
    placed = dataset.model_copy(update={"root": "disk/ade"})
    assert paths.images("scenes", placed) == Path("disk/ade")
    unpacked = dataset.model_copy(update={"archives": "disk/zips"})
    assert paths.images("scenes", unpacked) == Path("data/raw/scenes")
