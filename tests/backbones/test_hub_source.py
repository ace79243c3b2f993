"""`source: hub`: each family of transformers against its class, and what a repository may hold."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

import patchlens as pl
from fileserver import Site, named
from patchlens.backbones.contract import flop
from patchlens.backbones.convert import convert
from patchlens.backbones.families import FAMILIES, FamilyBackbone
from patchlens.backbones.load import load, provenance
from patchlens.errors import DataError, PatchlensError, SettingsError, SourceError
from patchlens.plan.code import _model_code
from patchlens.plan.models import download, shape
from patchlens.settings.models import HubModel, Model

REPO, COMMIT = "who/what", "a" * 40
PROCESSOR = {
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.1, 0.2, 0.3],
    "resample": 3,
    "rescale_factor": 1 / 255,
}
VIT: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
REGISTERS = VIT | {"num_register_tokens": 4}
RELATIVE = VIT | {"use_relative_position_bias": True, "use_mean_pooling": False}
PACKED = {k: v for k, v in VIT.items() if k != "image_size"} | {"num_patches": 16}
TEXT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2} | {
    "intermediate_size": 16,
    "vocab_size": 20,
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 1),
}
MAPS: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
STAGES: dict[str, Any] = {"embed_dim": 8, "num_heads": [1, 2, 2, 4]}
SWIN = STAGES | {"image_size": 64, "depths": [2, 2, 2, 2], "window_size": 2}
DECODER = {
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 16,
}
# model_type -> the class that is saved, and the arguments of its config.
SAVED: dict[str, tuple[str, dict[str, Any]]] = {
    "beit": ("BeitModel", RELATIVE),
    "clip": ("CLIPModel", {"vision_config": VIT, "text_config": TEXT, "projection_dim": 8}),
    "clip_vision_model": ("CLIPVisionModel", VIT),
    "convnext": ("ConvNextForImageClassification", MAPS),
    "convnextv2": ("ConvNextV2Model", MAPS),
    "data2vec-vision": ("Data2VecVisionModel", RELATIVE),
    "deit": ("DeiTForImageClassificationWithTeacher", VIT),
    "dinov2": ("Dinov2ForImageClassification", VIT),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", REGISTERS),
    "dinov3_convnext": ("DINOv3ConvNextModel", MAPS),
    "dinov3_vit": ("DINOv3ViTModel", REGISTERS),
    "hiera": ("HieraModel", STAGES | {"image_size": [64, 64], "depths": [1, 1, 1, 1]}),
    "ijepa": ("IJepaModel", VIT),
    "resnet": ("ResNetModel", MAPS | {"embedding_size": 8}),
    "siglip": ("SiglipModel", {"vision_config": VIT, "text_config": TEXT}),
    "siglip2": ("Siglip2Model", {"vision_config": PACKED, "text_config": TEXT}),
    "siglip2_vision_model": ("Siglip2VisionModel", PACKED),
    "siglip_vision_model": ("SiglipVisionModel", VIT),
    "swin": ("SwinForMaskedImageModeling", SWIN),
    "swinv2": ("Swinv2Model", SWIN),
    "vit": ("ViTForImageClassification", VIT),
    "vit_mae": ("ViTMAEForPreTraining", VIT | DECODER),
    "vit_msn": ("ViTMSNModel", VIT),
}


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def made(kind: str, **changes: Any) -> tuple[Any, Any]:
    """A random model of a family with all its heads, and its image tower."""
    name, arguments = SAVED[kind]
    cls: Any = getattr(transformers, name)
    torch.manual_seed(0)
    whole = cls(cls.config_class(**arguments | changes)).eval()
    for parameter in whole.parameters():
        parameter.data.normal_(0, 0.2)
    tower = getattr(whole, "vision_model", None)
    if tower is None:
        tower = whole if name.endswith("Model") else whole.base_model
    return whole, tower


def content(whole: Any) -> dict[str, bytes]:
    """The files that a repository has of a model."""
    with tempfile.TemporaryDirectory() as folder:
        whole.save_pretrained(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return files | {"preprocessor_config.json": json.dumps(PROCESSOR).encode()}


Serve = Callable[[dict[str, bytes]], None]
ONE: dict[str, dict[str, bytes]] = {}


@pytest.fixture
def serve(site: Site, endpoint: None) -> Serve:
    """`serve(files)`: a repository with these files, at the hub."""

    def put(files: dict[str, bytes]) -> None:
        for name, body in files.items():
            head = named(COMMIT, hashlib.sha256(body).hexdigest(), len(body))
            site.put(f"{REPO}/resolve/{COMMIT}/{name}", body, head=head)

    return put


@pytest.fixture
def small() -> dict[str, bytes]:
    """The files of a small DINOv2, made once."""
    if not ONE:
        ONE["dinov2"] = content(made("dinov2")[0])
    return dict(ONE["dinov2"])


def slot(**changes: Any) -> HubModel:
    keys = {"source": "hub", "repo": REPO, "revision": COMMIT} | changes
    found: HubModel = TypeAdapter(Model).validate_python(keys)
    return found


def converted(tmp_path: Path, **changes: Any) -> Path:
    convert("m", slot(**changes), tmp_path / "m.safetensors", work=tmp_path / "work")
    return tmp_path / "m.safetensors"


def images(*size: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randint(256, (2, 3, *size), dtype=torch.uint8, generator=generator)


def normed(batch: Tensor) -> Tensor:
    mean, std = (torch.tensor(PROCESSOR[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    return (batch / 255 - mean) / std


@torch.no_grad()
def expected(kind: str, model: Any, batch: Tensor, layer: int, norm: bool) -> Tensor:
    """The patches of a layer [B, N, D], by the documented outputs of the class."""
    pixels, size = normed(batch), batch.shape[-2:]
    if kind in ("swin", "swinv2"):
        tokens, grid = model.embeddings(pixels)
        more = {"output_hidden_states": True, "output_hidden_states_before_downsampling": True}
        out = model.encoder(tokens, grid, return_dict=True, **more)
        found = out.reshaped_hidden_states[layer].flatten(2).mT
        return model.layernorm(found) if norm and layer == -1 else found
    given: dict[str, Any] = {"pixel_values": pixels, "output_hidden_states": True}
    if kind.startswith("siglip2"):
        # As its image processor cuts an image: rows of patches, each with its channels last.
        cut = [one.permute(1, 2, 0).unfold(0, 8, 8).unfold(1, 8, 8) for one in pixels]
        rows = torch.stack([one.permute(0, 1, 3, 4, 2).reshape(-1, 8 * 8 * 3) for one in cut])
        shapes = torch.tensor([[size[0] // 8, size[1] // 8]] * 2)
        mask = torch.ones(2, rows.shape[1], dtype=torch.long)
        given |= {"pixel_values": rows, "pixel_attention_mask": mask, "spatial_shapes": shapes}
    elif kind not in ("dinov2", "dinov2_with_registers", "dinov3_vit", "dinov3_convnext") and not (
        kind.startswith(("convnext", "resnet"))
    ):
        given["interpolate_pos_encoding"] = True
    out = model(**given)
    if kind == "hiera":
        return out.reshaped_hidden_states[layer].flatten(1, 2)
    found = out.hidden_states[layer]
    if kind in ("siglip", "siglip2", "siglip_vision_model", "siglip2_vision_model"):
        return model.post_layernorm(found) if norm else found
    if kind.startswith("clip"):
        return (model.post_layernorm(found) if norm else found)[:, 1:]
    if found.ndim == 4:
        found = found.flatten(2).mT
        last = getattr(model, "layernorm", getattr(model, "layer_norm", None))
        return last(found) if norm and layer == -1 and last is not None else found
    if kind == "vit_mae":  # in the random order of the tokens that it keeps, which are all
        order = out.ids_restore.unsqueeze(-1).expand(-1, -1, found.shape[-1])
        found = torch.cat([found[:, :1], found[:, 1:].gather(1, order)], dim=1)
    normal = model.norm if kind == "dinov3_vit" else model.layernorm
    prefix = {"deit": 2, "ijepa": 0, "dinov2_with_registers": 5, "dinov3_vit": 5}.get(kind, 1)
    return (normal(found) if norm else found)[:, prefix:]


def test_every_family_is_compared() -> None:
    assert SAVED.keys() == FAMILIES.keys()


@pytest.mark.parametrize("kind", SAVED)
def test_a_family_equals_its_class(kind: str, serve: Serve, tmp_path: Path) -> None:
    whole, model = made(kind)
    serve(content(whole))
    path = converted(tmp_path)
    if kind == "vit_mae":
        model.config.mask_ratio = 0.0
    for layer in (-1, -2):
        backbone = load(path, layer=layer)
        assert isinstance(backbone, FamilyBackbone)
        sizes = [(64, 64)] if kind == "hiera" else [(64, 64), (128, 192)]
        for size in sizes:
            batch = images(*size)
            grid = tuple(side // backbone.patch_size for side in size)
            for norm in (False, True):
                fresh = made(kind)[1] if kind == "swin" else model  # it keeps what it met
                wanted = expected(kind, fresh, batch, layer, norm)
                [found] = backbone(batch, layers=[layer], norm=norm)
                assert found.patches.shape == (2, *grid, backbone.width)
                flat = found.patches.flatten(1, 2)
                torch.testing.assert_close(flat, wanted, rtol=1e-4, atol=1e-5)
            if found.cls is not None:
                assert found.cls.shape == (2, backbone.width)


def test_hiera_resamples_its_positions_at_another_size(serve: Serve, tmp_path: Path) -> None:
    whole, model = made("hiera")
    serve(content(whole))
    backbone, batch = load(converted(tmp_path)), images(64, 96)
    state = model.state_dict()
    name = "embeddings.position_embeddings"
    grid = state[name].mT.unflatten(2, (16, 16))
    moved = torch.nn.functional.interpolate(grid, size=(16, 24), mode="bicubic")
    state[name] = moved.flatten(2).mT
    _, other = made("hiera", image_size=[64, 96])
    other.load_state_dict(state)
    with torch.no_grad():
        out = other(normed(batch), output_hidden_states=True)
    [found] = backbone(batch, layers=[-1], norm=False)
    wanted = out.reshaped_hidden_states[-1]
    torch.testing.assert_close(found.patches, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(SettingsError, match="multiples of 32, not 64×80"):
        load(tmp_path / "m.safetensors", layer=2)(images(64, 80), layers=[2], norm=False)


def test_swin_is_not_given_less_than_a_window(serve: Serve, tmp_path: Path) -> None:
    serve(content(made("swin")[0]))
    backbone = load(converted(tmp_path))
    with pytest.raises(SettingsError, match=r"at least 64 pixels a side, .* not 32×64"):
        backbone(images(32, 64), layers=[-1], norm=False)


def test_what_a_repository_states_is_recorded(
    serve: Serve, small: dict[str, bytes], tmp_path: Path
) -> None:
    serve(small)
    came = convert("m", slot(), tmp_path / "m.safetensors", work=tmp_path / "work")
    digest = hashlib.sha256(small["model.safetensors"]).hexdigest()
    address = f"https://huggingface.co/{REPO}/resolve/{COMMIT}/model.safetensors"
    assert (came.source, came.revision, came.sha256) == (address, COMMIT, digest)
    about = provenance(tmp_path / "m.safetensors")
    assert about["origin"] == f"{REPO}: {address}, sha256 {digest}"
    assert (about["family"], about["arch"]) == ("dinov2", "Dinov2Model")
    assert json.loads(about["mean"]) == [0.5, 0.4, 0.3]
    assert about["transformers"] == transformers.__version__
    backbone = load(tmp_path / "m.safetensors")
    assert backbone.std == pytest.approx([0.1, 0.2, 0.3])
    assert (backbone.interpolation, backbone.patch_size, backbone.depth) == ("bicubic", 8, 2)
    own = load(converted(tmp_path, mean=[0.1] * 3, interpolation="bilinear"))
    assert (own.mean, own.interpolation) == ([0.1] * 3, "bilinear")


@pytest.mark.parametrize(
    ("said", "mean", "std"),
    [
        ({"do_normalize": False}, 0.0, 1.0),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [51] * 3}, 0.5, 0.2),
        ({"rescale_factor": 2 / 255, "image_mean": [1] * 3, "image_std": [0.5] * 3}, 0.5, 0.25),
    ],
)
def test_mean_and_std_are_of_images_in_0_to_1(
    serve: Serve,
    small: dict[str, bytes],
    tmp_path: Path,
    said: dict[str, Any],
    mean: float,
    std: float,
) -> None:
    serve(small | {"preprocessor_config.json": json.dumps(PROCESSOR | said).encode()})
    backbone = load(converted(tmp_path))
    assert backbone.mean == pytest.approx([mean] * 3)
    assert backbone.std == pytest.approx([std] * 3)


def edited(files: dict[str, bytes], name: str, **changes: Any) -> dict[str, bytes]:
    found = json.loads(files[name]) | changes
    found = {key: value for key, value in found.items() if value is not None}
    return files | {name: json.dumps(found).encode()}


def tensors(files: dict[str, bytes], tmp_path: Path) -> dict[str, Tensor]:
    path = tmp_path / "held.safetensors"
    path.write_bytes(files["model.safetensors"])
    return load_file(path)


def written(held: dict[str, Tensor], tmp_path: Path) -> bytes:
    save_file(held, tmp_path / "held.safetensors")
    return (tmp_path / "held.safetensors").read_bytes()


CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
Change = Callable[[dict[str, bytes], Path], dict[str, bytes]]
REFUSED: dict[str, tuple[Change, type[PatchlensError], str]] = {
    "own code": (
        lambda files, _: edited(files, CONFIG, auto_map={"AutoModel": "evil.Model"}),
        SettingsError,
        "its repository brings its own code, which is not run; bring it in by .* source: python",
    ),
    "timm": (
        lambda files, _: edited(files, CONFIG, model_type=None, architecture="vit_tiny_patch16"),
        SettingsError,
        "is a repository of timm; set source: timm and the tag, as in vit_tiny_patch16.<tag>",
    ),
    "a text model": (
        lambda files, _: edited(files, CONFIG, model_type="bert"),
        SettingsError,
        "model_type 'bert' is none of the families",
    ),
    "a config of another type": (
        lambda files, _: edited(files, CONFIG, hidden_size="many"),
        SettingsError,
        "config.json: .*hidden_size",
    ),
    "no config": (
        lambda files, _: {n: body for n, body in files.items() if n != CONFIG},
        SourceError,
        f"{REPO} has no config.json at {COMMIT}",
    ),
    "a config that is a list": (
        lambda files, _: files | {CONFIG: b"[]"},
        DataError,
        "is no JSON object",
    ),
    "no processor": (
        lambda files, _: {n: body for n, body in files.items() if n != PREPROCESSOR},
        SettingsError,
        r"m\.mean: who/what does not state mean or std or interpolation \(preprocessor_config",
    ),
    "no std": (
        lambda files, _: edited(files, PREPROCESSOR, image_std=None),
        SettingsError,
        r"m\.std: who/what does not state std",
    ),
    "nearest neighbours": (
        lambda files, _: edited(files, PREPROCESSOR, resample=0),
        SettingsError,
        r"m\.interpolation: who/what does not state interpolation",
    ),
    "pickles": (
        lambda files, _: (
            {n: b for n, b in files.items() if n != WEIGHTS} | {"pytorch_model.bin": b"\x80"}
        ),
        SourceError,
        f"who/what has no model.safetensors at {COMMIT}, and pickles are not read",
    ),
    "a pickle by another name": (
        lambda files, _: files | {WEIGHTS: b"\x80\x04]\x94."},
        SourceError,
        "not a readable safetensors file",
    ),
    "weights that are missing": (
        lambda files, path: (
            files
            | {
                WEIGHTS: written(
                    {n: t for n, t in tensors(files, path).items() if ".1.mlp" not in n}, path
                )
            }
        ),
        DataError,
        "model.safetensors lacks encoder.layer.1.mlp.fc1.bias, .*; this is no Dinov2Model",
    ),
    "weights of another shape": (
        lambda files, _: edited(files, CONFIG, hidden_size=32),
        DataError,
        "Dinov2Model cannot load it: ",
    ),
    "fewer blocks in the config": (
        lambda files, _: edited(files, CONFIG, num_hidden_layers=1),
        DataError,
        "model.safetensors has more blocks than config.json says: .*layer.1",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_refused(fault: str, serve: Serve, small: dict[str, bytes], tmp_path: Path) -> None:
    change, kind, message = REFUSED[fault]
    serve(change(small, tmp_path))
    with pytest.raises(kind, match=message) as caught:
        converted(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("revision", "main"),
        ("revision", "A" * 40),
        ("repo", "dinov2-small"),
        ("repo", "../what"),
        ("repo", "who/what/more"),
    ],
)
def test_a_repository_is_pinned(key: str, value: str) -> None:
    with pytest.raises(ValidationError, match=key):
        slot(**{key: value})


def test_keys_that_make_transformers_load_more_are_left_out(
    serve: Serve, small: dict[str, bytes], tmp_path: Path
) -> None:
    more = {
        "attn_implementation": "who/kernel",
        "_attn_implementation": "who/kernel",
        "quantization_config": {"quant_method": "awq"},
        "torch_dtype": "float16",
        "dtype": "float16",
        "hidden_dropout_prob": 0.5,
    }
    serve(edited(small, CONFIG, **more))
    backbone: Any = load(converted(tmp_path))
    assert backbone._model.config._attn_implementation == "sdpa"
    assert next(backbone._model.parameters()).dtype == torch.float32
    kept = json.loads(provenance(tmp_path / "m.safetensors")["config"])
    assert kept.keys() & more.keys() == {"hidden_dropout_prob"}


def test_shards_are_one_file(serve: Serve, small: dict[str, bytes], tmp_path: Path) -> None:
    serve(small)
    whole = converted(tmp_path).read_bytes()
    held = tensors(small, tmp_path)
    names = sorted(held)
    parts = {"one.safetensors": names[:5], "two.safetensors": names[5:]}
    files = {n: written({k: held[k] for k in part}, tmp_path) for n, part in parts.items()}
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    rest = {name: body for name, body in small.items() if name != WEIGHTS}
    other = "b" * 40

    def put(commit: str, index: dict[str, Any]) -> None:
        listed = {f"{WEIGHTS}.index.json": json.dumps(index).encode()}
        serve_at(commit, rest | files | listed)

    def serve_at(commit: str, some: dict[str, bytes]) -> None:
        for name, body in some.items():
            head = named(commit, hashlib.sha256(body).hexdigest(), len(body))
            site.put(f"{REPO}/resolve/{commit}/{name}", body, head=head)

    site = serve.__closure__[0].cell_contents  # type: ignore[attr-defined]
    put(other, index)
    found = converted(tmp_path, revision=other)
    assert load_file(found).keys() == load_file(tmp_path / "m.safetensors").keys()
    assert provenance(found)["sha256"] in whole.decode("latin1")
    put("c" * 40, {"weight_map": {"a": "../../evil.safetensors"}})
    with pytest.raises(SourceError, match="not an index of shards beside it"):
        converted(tmp_path, revision="c" * 40)


def test_a_hub_id_is_loaded_from_python(
    serve: Serve, small: dict[str, bytes], tmp_path: Path
) -> None:
    serve(small)
    backbone = pl.load_backbone(REPO, revision=COMMIT, cache=tmp_path)
    assert (backbone.name, backbone.patch_size, backbone.width) == (REPO, 8, 16)
    with pytest.raises(SettingsError, match="revision: this key is missing"):
        pl.load_backbone(REPO)


def test_the_plan_does_not_know_a_repository_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shape("m", slot()) is None
    planned = download("m", slot(), None)
    assert planned is not None
    assert (
        planned.address == planned.licence.removeprefix("see ") == f"https://huggingface.co/{REPO}"
    )


@pytest.mark.parametrize(
    ("kind", "layers"),
    [("convnext", {-1: (32, 32), 2: (16, 24)}), ("dinov2_with_registers", {-1: (8, 16)})],
)
def test_the_plan_counts_what_a_pass_costs(
    serve: Serve,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    layers: dict[int, tuple[int, int]],
) -> None:
    monkeypatch.chdir(tmp_path)
    serve(content(made(kind)[0]))
    Path("data/weights").mkdir(parents=True)
    path = converted(tmp_path).rename("data/weights/m.safetensors")
    for layer, (stride, width) in layers.items():
        found, backbone = shape("m", slot(), layer), load(path, layer=layer)
        assert found is not None
        assert (found.patch_size, found.width, found.depth) == (stride, width, backbone.depth)
        assert found.alike == tuple(backbone.layers)
        counted = flop(backbone, images(160, 96), layers=[layer], norm=False) / 2  # of two images
        assert found.flops((160 // stride, 96 // stride)) == pytest.approx(counted, rel=1e-3)
    with pytest.raises(SettingsError, match=r"models\.m: layer 4 does not exist"):
        shape("m", slot(), 4)


def test_its_results_are_stale_with_another_transformers() -> None:
    listed = _model_code("m", {"source": "hub", "repo": REPO, "revision": COMMIT})
    assert listed == f"{transformers.__version__}  transformers\n"
