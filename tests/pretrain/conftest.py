"""A few rendered frames, shared by all tests of the pre-training."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """Five stills and three frames of a video, uint8 [8, 4, 128, 256]."""
    from patchlens.pretrain.frames import rendered

    scenes = [(1_000_000 + i, 0, 1) for i in range(5)] + [(1_000_005, 3, 2)]
    return rendered(scenes, tmp_path_factory.mktemp("frames"), jobs=1)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs append to pretrain/tried of the working folder: never to the repository's."""
    monkeypatch.chdir(tmp_path)
