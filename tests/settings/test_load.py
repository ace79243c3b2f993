"""Reading the file itself, and what the loaded settings answer."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from patchlens.errors import SettingsError
from patchlens.settings.datasets import View
from patchlens.settings.load import Settings, load
from patchlens.tasks.known import known

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
assert PRESETS
SHIPPED = [ROOT / "params.yaml", *PRESETS]


@pytest.fixture
def settings(tmp_path: Path, valid: Any) -> Settings:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(valid), encoding="utf-8")
    return load(path, known())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_settings_load(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = load(path, known())
    assert list(settings.models) == list(content["models"])
    assert list(settings.datasets) == list(content["datasets"])
    assert settings.segmentation.k == content["segmentation"]["k"]
    assert settings.segmentation.datasets


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(SettingsError) as caught:
        load(path, known())
    expected = f"{path}: no such file; run this in the folder that contains params.yaml"
    assert str(caught.value) == expected


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "---\n"])
def test_empty_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path, known())
    assert str(caught.value) == f"{path}: this file is empty; restore it, or write {{}} for none"


def test_a_file_that_is_a_list(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("- 1\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path, known())
    expected = f"{path}: (whole file): [1] (list) is invalid; allowed: a section with keys"
    assert str(caught.value) == expected


def test_text_in_another_encoding(tmp_path: Path, valid: Any) -> None:
    path = tmp_path / "params.yaml"
    text = yaml.safe_dump(valid)
    path.write_text(text, encoding="utf-8-sig")
    assert sorted(load(path, known()).datasets) == sorted(valid["datasets"])
    path.write_bytes(b"# eins\n# stra\xdfe\n" + text.encode())
    with pytest.raises(SettingsError) as caught:
        load(path, known())
    expected = f"{path}: line 2 is not UTF-8; save the file as UTF-8"
    assert str(caught.value) == expected


def test_yaml_mistake_is_one_line_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("device: cpu\nmodels: [a, b\nprune: 1\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path, known())
    message = str(caught.value)
    assert message.startswith(f"{path}: not valid YAML: ")
    assert "line 3" in message
    assert "\n" not in message


def test_settings_cannot_change_later(settings: Settings) -> None:
    with pytest.raises(ValidationError):
        settings.segmentation.k = 3
    assert settings.segmentation.k == 10


def test_names_are_looked_up_with_a_hint(settings: Settings) -> None:
    assert settings.made("minicity").kind == "minicity"
    assert settings.placed("streets").root == "camvid"
    assert settings.downloaded("scenes").kind == "ade20k"
    for look_up, name, message in (
        (settings.model, "dinno", "unknown model 'dinno'; allowed: dino, own, pixels, random; "
         "did you mean 'dino'?"),
        (settings.dataset, "street", "unknown dataset 'street'; allowed: minicity, own, scenes, "
         "streets; did you mean 'streets'?"),
        (settings.made, "streets", "unknown made dataset 'streets'; allowed: minicity"),
        (settings.placed, "minicity", "unknown placed dataset 'minicity'; allowed: own, streets"),
        (settings.downloaded, "own", "unknown downloaded dataset 'own'; allowed: scenes"),
    ):  # fmt: skip
        with pytest.raises(SettingsError) as caught:
            look_up(name)
        assert str(caught.value) == message


def test_equal_grids_scale_with_the_patch_and_paper_grids_do_not() -> None:
    equal = View(mode="whole", grid="equal", patches=[16, 32])
    paper = View(mode="tiles", grid="paper", tile=256, pixels=[224, 448])
    assert [equal.input_size(p) for p in (8, 14)] == [(128, 256), (224, 448)]
    assert [paper.input_size(p) for p in (8, 14)] == [(224, 448), (224, 448)]
    assert equal.describe(8) == "whole images at 128×256"
    assert paper.describe(16) == "tiles of 256 at 224×448"
