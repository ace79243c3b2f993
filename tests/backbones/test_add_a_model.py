"""Every example of docs/add-a-model.md loads, on files as it describes them."""

import copy
import hashlib
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from pydantic import TypeAdapter
from torch import Tensor

from patchlens.backbones import convert as module
from patchlens.backbones.families import FAMILIES
from patchlens.backbones.load import load, provenance
from patchlens.backbones.registry import read
from patchlens.errors import DataError
from patchlens.settings.models import Model

PAGE = Path(__file__).parents[2] / "docs/add-a-model.md"
TINY = {"embed_dim": 24, "depth": 2, "img_size": 32}
Convert = Callable[..., Path]


def blocks(kind: str) -> list[dict[str, Any]]:
    """The YAML blocks of the page that are marked so."""
    text = PAGE.read_text(encoding="utf-8")
    return [yaml.safe_load(b) for b in re.findall(rf"```yaml {kind}\n(.*?)```", text, re.DOTALL)]


TAG, HUB, OWN, CODE, OF_REGISTRY = (block["models"] for block in blocks(r"params\.yaml"))
(ENTRY,) = blocks("registry")


def theirs(arch: str, args: dict[str, Any]) -> dict[str, Tensor]:
    """Random weights under the names that the page's mappings expect."""
    torch.manual_seed(0)
    model = timm.create_model(arch, num_classes=0, **args)
    named = {"head.last.weight": torch.zeros(3)}
    for name, value in model.state_dict().items():
        named[re.sub(r"^blocks\.", "layers.", name)] = torch.randn_like(value)
    return {f"module.backbone.{name}": value for name, value in named.items()}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of the second example, shrunk, and its file."""
    settings = OWN["mine"]
    args = settings["arch_args"] | TINY
    named = theirs(settings["arch"], args)
    named = {name.replace(".norm.", ".tokens_norm."): v for name, v in named.items()}
    content = {"teacher": named | {"predictor.weight": torch.zeros(2)}, "epoch": 3}
    config = type("Config", (), {"__module__": "project"})
    project = types.ModuleType("project")
    project.Config = config  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "project", project)
    torch.save(content | {"args": config()}, tmp_path / "mine.pth")
    digest = hashlib.sha256((tmp_path / "mine.pth").read_bytes()).hexdigest()
    changes = {"file": str(tmp_path / "mine.pth"), "arch_args": args, "sha256": digest}
    return copy.deepcopy(settings) | changes


def tokens(path: Path) -> Tensor:
    images = torch.arange(3 * 32 * 48).reshape(1, 3, 32, 48).to(torch.uint8)
    return load(path)(images, layers=[-1], norm=True)[0].patches


def test_the_tag_exists() -> None:
    TypeAdapter(Model).validate_python(TAG["deit3"])
    assert timm.models.is_model_pretrained(TAG["deit3"]["tag"])
    assert module.create("here", TAG["deit3"]["tag"], {"depth": 1}, "tag").embed_dim == 768


def test_the_page_lists_all_families_of_the_hub() -> None:
    TypeAdapter(Model).validate_python(HUB["dinov2_hf"])
    rows = re.findall(
        r"^\| [A-Z][^|]+ \| (`.*`) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]
    assert sorted(listed) == sorted(FAMILIES)


def test_the_own_function_is_run_as_the_page_says(
    tmp_path: Path, own_file: Callable[[str, str], None]
) -> None:
    own_file(
        "models/page_example.py",
        "from torch import nn\n\ndef backbone(checkpoint):\n"
        "    map = nn.Conv2d(3, 5, 16, 16)\n    return lambda x: with_cls(map(x).flatten(2).mT)\n"
        "\ndef with_cls(tokens):\n    return nn.functional.pad(tokens, (0, 0, 1, 0))\n",
    )
    target = CODE["own"]["target"].replace("mine", "page_example")
    settings = TypeAdapter(Model).validate_python(CODE["own"] | {"target": target})
    module.convert("own", settings, Path("own"), work=tmp_path)
    found = load(Path("own"), own=settings)
    images = torch.zeros(1, 3, 32, 48, dtype=torch.uint8)
    assert found(images, layers=[0], norm=True)[0].patches.shape == (1, 2, 3, 5)


def test_the_own_file_loads_by_settings_alone(convert: Convert, own: dict[str, Any]) -> None:
    path = convert(own)
    assert provenance(path)["position"] == "dino"
    assert tokens(path).shape == (1, 2, 3, 24)
    weights = torch.load(own["file"], weights_only=False)["teacher"]
    from safetensors.torch import load_file

    found = load_file(path)["blocks.1.mlp.fc2.weight"]
    assert torch.equal(found, weights["module.backbone.layers.1.mlp.fc2.weight"])


@pytest.mark.parametrize("key", ["key", "prefix", "beside", "drop", "rename", "pickled"])
def test_each_key_of_the_example_is_needed(convert: Convert, own: dict[str, Any], key: str) -> None:
    del own["mapping"][key]
    with pytest.raises(DataError, match=r"mine\.pth: "):
        convert(own)


def test_the_number_of_heads_changes_no_shape(convert: Convert, own: dict[str, Any]) -> None:
    right = tokens(convert(own))
    wrong = tokens(convert(own | {"arch_args": TINY}, "wrong.safetensors"))
    assert not torch.allclose(right, wrong, atol=1e-3)


@pytest.mark.parametrize("prefix", ["module.backbone.", "backbone."])
@pytest.mark.parametrize("nested", [True, False])
def test_the_entry_loads_what_it_describes(
    convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, nested: bool
) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    tiny = ENTRY["example_vits16"] | {"arch_args": TINY}
    (folder / "example.yaml").write_text(yaml.safe_dump({"example_vits16": tiny}), "utf-8")
    known = read.entries(folder)
    monkeypatch.setattr(module, "find", lambda name, _: known[name])
    named = theirs(tiny["arch"], TINY)
    named = {name.replace("module.backbone.", prefix): value for name, value in named.items()}
    torch.save({"teacher": named} if nested else named, tmp_path / "example_vits16.pth")
    settings = OF_REGISTRY["example"] | {"file": str(tmp_path / "example_vits16.pth")}
    path = convert(settings)
    assert provenance(path)["origin"].startswith("example_vits16: ")
    assert tokens(path).shape == (1, 2, 3, 24)
