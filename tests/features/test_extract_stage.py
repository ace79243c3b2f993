"""The extract stage: what it tells the backbone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configured import configured
from patchlens.settings.datasets import Collected, View
from patchlens.settings.features import Features
from patchlens.stages import extract, extraction

FEATURES = Features(layer=-1, layer_sweep=[], norm=True, dtype="float32", batch_size=2)


class Opened(Exception):
    """Carries what the backbone was opened with."""


@pytest.mark.parametrize(("gsd", "metres"), [(0.5, 128.0), (None, None)])
def test_a_backbone_is_told_what_ground_a_view_covers(
    gsd: float | None, metres: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path, ground: float | None) -> Any:
        raise Opened(path.name, ground)

    monkeypatch.setattr(extraction, "load", load)
    monkeypatch.setattr(extraction, "Index", SimpleNamespace(of=lambda *places: None))
    view = View(mode="tiles", grid="paper", tile=256, pixels=[224, 224], gsd=gsd)
    dataset = Collected(kind="folder", root="own", view=view, support=None, query=None)
    asked = configured(datasets={"own": dataset}, features=FEATURES)
    with pytest.raises(Opened) as told:
        extract.run(dataset="own", model="scalemae", settings=asked)
    assert told.value.args == ("scalemae.safetensors", metres)
