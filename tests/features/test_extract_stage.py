"""The extract stage: what it tells the backbone, and what it notes of its own speed."""

import json
from pathlib import Path
from typing import Any

import pytest

from cells import compute
from configured import configured
from patchlens import paths
from patchlens.backbones import weights
from patchlens.datasets import indexing as index
from patchlens.datasets import render
from patchlens.features import extraction
from patchlens.features.device import machine
from patchlens.features.extract import Extractor
from patchlens.settings.datasets import Collected, Minicity, Query, Support, View
from patchlens.settings.features import Features
from patchlens.settings.models import PixelsModel

FEATURES = Features(layer=-1, layer_sweep=[], norm=True, dtype="float32", batch_size=2)


class Opened(Exception):
    """Carries what the backbone was opened with."""


@pytest.mark.parametrize(("gsd", "metres"), [(0.5, 128.0), (None, None)])
def test_a_backbone_is_told_what_ground_a_view_covers(
    gsd: float | None, metres: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path, ground: float | None, *_: Any) -> Any:
        raise Opened(path.name, ground)

    monkeypatch.setattr(extraction, "load", load)
    view = View(mode="tiles", grid="paper", tile=256, pixels=[224, 224], gsd=gsd)
    dataset = Collected(kind="folder", root="own", view=view, support=None, query=None)
    asked = configured(datasets={"own": dataset}, features=FEATURES)
    with pytest.raises(Opened) as told:
        compute("extract", dataset="own", model="scalemae", settings=asked)
    assert told.value.args == ("scalemae.safetensors", metres)


@pytest.fixture
def city(here: Path) -> Minicity:
    """One support and one query image of minicity, indexed, and `pixels` as the model."""
    dataset = Minicity(
        kind="minicity",
        stills=1,
        videos=0,
        view=View(mode="whole", grid="equal", patches=[8, 16]),
        support=Support(split="support", images=1, per="total", seeds=[0]),
        query=Query(split="query", images="all", per="total", unit="image"),
    )
    render.run("city", dataset)
    index.run("city", dataset)
    weights.run("pixels", PixelsModel(source="pixels", patch_size=8))
    return dataset


@pytest.mark.parametrize(("runs", "layers"), [(["own"], [1, 0]), ([], [1])])
def test_layers_are_extracted_where_they_are_read(
    runs: list[str], layers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(cell: Any, features: Features) -> Any:
        raise Opened([features.layer, *features.layer_sweep])

    monkeypatch.setattr(extraction, "open_extraction", opened)
    view = View(mode="whole", grid="equal", patches=[2, 2])
    dataset = Collected(kind="davis2017", view=view, support=None, query=None)
    features = FEATURES.model_copy(update={"layer": 1, "layer_sweep": [0]})
    asked = configured(runs={"segmentation": runs}, datasets={"own": dataset}, features=features)
    with pytest.raises(Opened) as told:
        compute("extract", dataset="own", model="pixels", settings=asked)
    assert told.value.args == (layers,)


def test_speed_and_machine_are_noted_beside_the_results(city: Minicity) -> None:
    asked = configured(datasets={"city": city}, features=FEATURES)
    results = paths.cell(dataset="city", model="pixels") / "extract.json"
    written = []
    for _ in range(2):
        compute("extract", dataset="city", model="pixels", settings=asked)
        written.append(results.read_bytes())
        speed = json.loads(paths.cost(dataset="city", model="pixels").read_text())
        assert speed.pop("images_per_second") > 0
        assert speed == machine("cpu")
    assert written[0] == written[1]
    assert set(json.loads(written[0])) == {
        *("parameters_m", "gflops_per_image", "architecture", "origin", "position")
    }


def test_a_run_that_found_all_shards_measured_no_speed(
    city: Minicity, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Extractor.run

    def twice(*args: Any) -> float | None:
        once(*args)
        return once(*args)

    monkeypatch.setattr(Extractor, "run", twice)
    asked = configured(datasets={"city": city}, features=FEATURES)
    compute("extract", dataset="city", model="pixels", settings=asked)
    speed = json.loads(paths.cost(dataset="city", model="pixels").read_text())
    assert speed["images_per_second"] is None
