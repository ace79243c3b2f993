"""`source: registry` in params.yaml: the entry says everything, and the weight file repeats it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from patchlens.backbones import convert as module
from patchlens.backbones.load import load, provenance
from patchlens.backbones.registry.read import find
from patchlens.errors import DataError, SettingsError

TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 32}
Convert = Callable[..., Path]


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """`placed("mae_vitb16")`: settings of a file that is tiny, and so is the entry."""

    def place(name: str, **surplus: Any) -> dict[str, Any]:
        entry = find(name, "test")
        entry = entry.model_copy(update={"arch_args": entry.arch_args | TINY})
        model = timm.create_model(entry.arch, num_classes=0, **entry.arch_args)
        tensors = dict(model.state_dict()) | surplus
        content = {entry.mapping.key[0]: tensors} if entry.mapping.key else tensors
        torch.save(content, tmp_path / "w.pth")
        # Without the published hash: the tiny file is another one.
        hashes = {"sha256": None, "md5": None, "md5_starts": None, "bytes": None}
        source = entry.source.model_copy(update=hashes)
        entry = entry.model_copy(update={"source": source})
        monkeypatch.setattr(module, "find", lambda *_: entry)
        return {"source": "registry", "model": name, "file": str(tmp_path / "w.pth")}

    return place


def test_the_weight_file_says_what_the_entry_says(convert: Convert, placed: Any) -> None:
    settings = placed("mae_vitb16")
    about = provenance(convert(settings))
    digest = hashlib.sha256(Path(settings["file"]).read_bytes()).hexdigest()
    # Claims know weights by texts in `origin`.
    assert about["origin"].startswith("mae_vitb16: ")
    assert "mae_pretrain_vit_base.pth" in about["origin"]
    assert about["origin"].endswith(f", sha256 {digest}")
    entry = find("mae_vitb16", "test")
    for key in ("licence", "objective", "data", "citation", "position", "interpolation", "arch"):
        assert about[key] == getattr(entry, key)
    assert (json.loads(about["mean"]), json.loads(about["std"])) == (entry.mean, entry.std)
    assert json.loads(about["arch_args"]) == TINY
    assert about["source"] == "registry"
    assert load(convert(settings)).width == 24


def test_position_and_interpolation_may_be_chosen(convert: Convert, placed: Any) -> None:
    settings = placed("mae_vitb16") | {"position": "dino", "interpolation": "bilinear"}
    about = provenance(convert(settings))
    assert (about["position"], about["interpolation"]) == ("dino", "bilinear")


@pytest.mark.parametrize("key", ["arch", "mean", "tag", "drop"])
def test_nothing_else_may_be_changed(convert: Convert, key: str) -> None:
    with pytest.raises(ValueError, match=f"registry.{key}\n  Extra inputs are not permitted"):
        convert({"source": "registry", "model": "mae_vitb16", key: "x"})


def test_a_key_that_the_entry_does_not_explain_is_an_error(convert: Convert, placed: Any) -> None:
    settings = placed("mae_vitb16", **{"decoder.weight": torch.zeros(1)})
    with pytest.raises(DataError, match=r"1 unexpected: decoder\.weight"):
        convert(settings)


def test_an_unknown_name_says_where_it_stands(convert: Convert) -> None:
    with pytest.raises(SettingsError) as caught:
        convert({"source": "registry", "model": "mae_b16"})
    assert str(caught.value).startswith(
        "params.yaml: models.m.model: 'mae_b16' is not in the registry"
    )
