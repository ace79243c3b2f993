"""Tiny ViTs: small enough to be built in every test."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from pydantic import TypeAdapter
from torch import Tensor

from fileserver import Site
from patchlens.backbones.convert import convert as convert_model
from patchlens.backbones.vit import VitBackbone
from patchlens.settings.models import Model
from shared import SHARED

TINY = {"embed_dim": 24, "depth": 3, "num_heads": 2, "patch_size": 4, "img_size": 16}
MEAN, STD = [0.5, 0.4, 0.3], [0.1, 0.2, 0.3]
ARCHS = {
    "cls": ("vit_tiny_patch16_224", {}),
    "registers": ("vit_small_patch14_reg4_dinov2", {"init_values": 1.0}),
    "bare": ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}),
    "beit": ("beit_base_patch16_224", {"global_pool": "token"}),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Threads of models this small wait for each other, and for other processes, at full load."""
    torch.set_num_threads(1)


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """`tiny("cls", ...)`: a timm model whose every parameter is random, norms included."""

    def make(kind: str = "cls", **changes: Any) -> Any:
        arch, more = ARCHS[kind]
        model = timm.create_model(arch, num_classes=0, **(TINY | more | changes))
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.3, generator=generator)
        return model.eval()

    return make


@pytest.fixture
def wrap() -> Callable[..., VitBackbone]:
    """`wrap(model, position="dino")`: a timm model behind the contract."""

    def make(model: Any, position: Any = "timm") -> VitBackbone:
        return VitBackbone(model, mean=MEAN, std=STD, interpolation="bicubic", position=position)

    return make


@pytest.fixture
def images() -> Callable[..., Tensor]:
    """`images(batch, height, width)`: noise."""

    def make(batch: int = 2, height: int = 16, width: int = 16) -> Tensor:
        generator = torch.Generator().manual_seed(batch + height + width)
        size = (batch, 3, height, width)
        return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)

    return make


@pytest.fixture
def normed() -> Callable[[Tensor], Tensor]:
    """The input that a model with this mean and std wants, computed in the plain way."""

    def apply(images: Tensor) -> Tensor:
        mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
        return ((images.double() / 255 - mean) / std).float()

    return apply


@pytest.fixture
def endpoint(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the site the Hugging Face hub, with an empty cache."""
    home = f"http://127.0.0.1:{site.port}"
    monkeypatch.setattr(constants, "ENDPOINT", home)
    template = home + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


@pytest.fixture(scope="session")
def weights() -> Path:
    """Real ViT-S/14 weights beside the checkout."""
    path = SHARED / "weights" / "dinov2_vits14.safetensors"
    if not path.is_file():
        pytest.skip("no folder `shared` with weights beside the repository")
    return path


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., Path]:
    """`convert({...})`: the converted weight file of the model `m` with these settings."""

    def write(settings: dict[str, Any], name: str = "m.safetensors") -> Path:
        if settings["source"] == "file" and Path(settings["file"]).is_file():
            digest = hashlib.sha256(Path(settings["file"]).read_bytes()).hexdigest()
            settings = {"sha256": digest} | settings
        model: Model = TypeAdapter(Model).validate_python(settings)
        convert_model("m", model, tmp_path / name, work=tmp_path / "work")
        return tmp_path / name

    return write


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """`own_file("models/mine.py", text)`: a user's module below the working folder."""

    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir()
        file.write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(file.parent)  # and taken away again

    return write
