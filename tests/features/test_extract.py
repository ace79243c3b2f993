from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from features.lab import extractor, header, ids, picture
from patchlens.backbones.contract import PatchTokens
from patchlens.errors import DataError, SettingsError
from patchlens.features import extract
from patchlens.features.extract import ImageSource
from patchlens.features.store import FeatureFile
from patchlens.settings.datasets import View

TILES = View(mode="tiles", grid="equal", tile=16, patches=[2, 2])


class Layered:
    """Layer n of a patch: its mean colour times n + 1, three dimensions."""

    patch_size, width, depth, parameters, interpolation = 8, 3, 4, 0, "bilinear"
    layers: ClassVar = list(range(depth))
    batches: list[int]

    def __init__(self) -> None:
        self.batches = []

    def to(self, device: torch.device) -> "Layered":
        return self

    def channels(self, norm: bool) -> int:
        return self.width

    def __call__(self, images, *, layers, norm):
        self.batches.append(len(images))
        mean = torch.nn.functional.avg_pool2d(images.float(), 8).permute(0, 2, 3, 1) / 255
        return [PatchTokens(mean * (n + 1) + (0 if norm else 100), None, None) for n in layers]


class Necked(Layered):
    """Its final norm leaves two of the three dimensions, as SAM's neck does."""

    def channels(self, norm: bool) -> int:
        return 2 if norm else 3

    def __call__(self, images, *, layers, norm):
        found = super().__call__(images, layers=layers, norm=norm)
        return [replace(t, patches=t.patches[..., : self.channels(norm)]) for t in found]


def run(folder, count=5, view=None, read=picture, backbone=None, **changes) -> FeatureFile:
    names, out = ids(count), folder / "out.safetensors"
    chosen = extractor(**({"view": view} if view else {}), backbone=backbone, **changes)
    dtype = changes.get("dtype", "float16")
    chosen.run(ImageSource(names, read), header(names, dtype), folder / "work", out)
    return FeatureFile(out)


def test_every_image_has_its_features_in_its_row(tmp_path):
    file = run(tmp_path, dtype="float32")
    assert file.header.grid == (4, 6)
    assert (file.header.width, file.header.layers) == (5, [0])
    for name in ids(5):
        found = file.images([name], 0)[0]
        pixels = np.asarray(picture(name), np.float64).reshape(4, 8, 6, 8, 3) / 255
        np.testing.assert_allclose(found[..., :3], pixels.mean(axis=(1, 3)), atol=1e-6)
        np.testing.assert_allclose(found[:, 0, 3], np.arange(4) / 4)
        np.testing.assert_allclose(found[0, :, 4], np.arange(6) / 6, atol=1e-6)


@pytest.mark.parametrize(("norm", "width"), [(True, 2), (False, 3)])
def test_a_final_norm_may_change_the_number_of_channels(tmp_path, norm, width):
    file = run(tmp_path, backbone=Necked(), norm=norm)
    assert file.header.width == width
    assert file.images(ids(5), 3).shape == (5, 4, 6, width)


def test_a_marked_patch_lands_where_it_is_in_the_image(tmp_path):
    def marked(image_id: str) -> Image.Image:
        values = np.zeros((32, 48, 3), np.uint8)
        i = int(image_id[-3:])
        row, column = divmod(i, 6)
        values[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255
        return Image.fromarray(values)

    file = run(tmp_path, count=24, view=TILES, read=marked)
    assert file.header.grid == (4, 6)
    red = file.images(ids(24), 0)[..., 0].reshape(24, 24)
    assert np.array_equal(red, np.eye(24))


def test_tiles_of_the_patch_grid_equal_the_whole_image_for_local_features(tmp_path):
    whole = run(tmp_path / "a", backbone=Layered()).images(ids(5), 3)
    tiled = run(tmp_path / "b", backbone=Layered(), view=TILES).images(ids(5), 3)
    assert np.array_equal(whole, tiled)


@pytest.mark.parametrize("view", [None, TILES])
def test_batches_of_any_size_give_the_same_file(tmp_path, view, monkeypatch):
    monkeypatch.setattr(extract, "SHARD", 3)
    said = set()
    for size in (1, 2, 3, 4, 100):
        folder = tmp_path / str(size)
        run(folder, 7, view, backbone=Layered(), layer_sweep=[0], batch_size=size)
        said.add((folder / "out.safetensors").read_bytes())
    assert len(said) == 1


def test_no_batch_is_larger_than_asked_tiles_included(tmp_path):
    backbone = Layered()
    run(tmp_path, 3, TILES, backbone=backbone, batch_size=4)
    assert max(backbone.batches) == 4
    assert sum(backbone.batches) == 3 * 6


def test_layers_are_absolute_the_headline_first_and_without_repeats(tmp_path):
    file = run(tmp_path, backbone=Layered(), layer=-1, layer_sweep=[0, 3, -3], dtype="float32")
    assert file.header.layers == [3, 0, 1]
    first = file.images(ids(5), 0)
    np.testing.assert_allclose(file.images(ids(5), 3), 4 * first, rtol=1e-6)
    np.testing.assert_allclose(file.images(ids(5), 1), 2 * first, rtol=1e-6)


def test_the_norm_setting_reaches_the_model(tmp_path):
    plain = run(tmp_path, 1, backbone=Layered(), norm=False).images(ids(1), 3)
    assert (plain >= 100).all()


class Large(Layered):
    """A feature of this value at layer 2."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def __call__(self, images, *, layers, norm):
        found = super().__call__(images, layers=layers, norm=norm)
        for layer, tokens in zip(layers, found, strict=True):
            tokens.patches[0, 1, 2, 0] = self.value if layer == 2 else 0
        return found


@pytest.mark.parametrize("value", [65520.0, -70000.0, 3e38])
def test_a_feature_beyond_float16_is_found_with_the_remedy(tmp_path, value):
    message = (
        rf"layer 2: a feature of {abs(value):g} is beyond float16 .65504.; set features\.dtype:"
    )
    with pytest.raises(DataError, match=message.replace("+", r"\+")):
        run(tmp_path, backbone=Large(value), layer=3, layer_sweep=[2])
    assert not (tmp_path / "out.safetensors").exists()
    file = run(tmp_path / "b", backbone=Large(value), layer=3, layer_sweep=[2], dtype="float32")
    assert file.images(ids(1), 2)[0, 1, 2, 0] == np.float32(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_feature_that_is_no_number_is_found_at_extraction(tmp_path, value, dtype):
    with pytest.raises(DataError, match="layer 2: a NaN or infinite feature; check the weights"):
        run(tmp_path, backbone=Large(value), layer=2, dtype=dtype)


def test_the_largest_value_of_float16_is_kept(tmp_path):
    assert run(tmp_path, backbone=Large(65504.0), layer=2).images(ids(1), 2).max() == 65504


def test_tiles_that_do_not_cover_an_image_name_it(tmp_path):
    def read(image_id: str) -> Image.Image:
        return picture(image_id, (30, 48) if image_id == "image 003" else (32, 48))

    with pytest.raises(DataError, match=r"image 'image 003': 30×48 pixels .*change view\.tile"):
        run(tmp_path, view=TILES, read=read)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("shard", [2, 100])
@pytest.mark.parametrize("size", [(48, 32), (32, 64)])
def test_an_image_with_another_grid_of_tiles_is_named(tmp_path, shard, size, monkeypatch):
    # 48 × 32 has as many tiles as 32 × 48: the count alone would not tell.
    def read(image_id: str) -> Image.Image:
        return picture(image_id, size if image_id >= "image 002" else (32, 48))

    monkeypatch.setattr(extract, "SHARD", shard)
    with pytest.raises(DataError, match=r"image 'image 002'.*all images must have the same size"):
        run(tmp_path, view=TILES, read=read)


def test_an_input_that_is_no_multiple_of_the_patch_is_refused():
    with pytest.raises(ValueError, match=r"\[30, 48\] is not a multiple of the patch size 8"):
        extractor(View(mode="whole", grid="paper", pixels=[30, 48]))


def test_a_layer_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="layer 4 does not exist"):
        extractor(backbone=Layered(), layer=4)


def test_shards_stay_for_the_caller_and_only_fresh_ones_give_a_rate(tmp_path):
    # A stage writes several files: a kill after the first must not lose its shards.
    names = ids(3)
    source = ImageSource(names, picture)
    rate = extractor().run(source, header(names), tmp_path / "work", tmp_path / "o")
    assert rate is not None
    assert rate > 0
    (tmp_path / "o").unlink()
    unread = ImageSource(
        names, lambda image_id: picture(image_id) if image_id == names[0] else None
    )
    assert extractor().run(unread, header(names), tmp_path / "work", tmp_path / "o") is None
    assert FeatureFile(tmp_path / "o").header.image_ids == names


def test_shards_of_another_model_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(extract, "SHARD", 1)
    names = ids(3)

    def broken(image_id: str) -> Image.Image:
        if image_id == "image 002":
            raise OSError("unplugged")
        return picture(image_id)

    with pytest.raises(OSError, match="unplugged"):
        extractor().run(ImageSource(names, broken), header(names), tmp_path / "w", tmp_path / "o")
    seen: list[str] = []

    def spy(image_id: str) -> Image.Image:
        seen.append(image_id)
        return picture(image_id)

    other = replace(header(names), weights="1" * 64)
    extractor().run(ImageSource(names, spy), other, tmp_path / "w", tmp_path / "o")
    assert set(seen) == set(names)
    seen.clear()
    extractor().run(ImageSource(names, spy), header(names), tmp_path / "w", tmp_path / "o")
    assert set(seen) == {"image 000", "image 002"}  # the first says how many tiles there are


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda shard: (shard / "3").write_bytes(b""),
        lambda shard: (shard / "3").write_bytes((shard / "3").read_bytes()[:-1]),
        lambda shard: (shard / "0").write_bytes((shard / "0").read_bytes() + b"x"),
        lambda shard: flip(shard / "0"),
        lambda shard: (shard / "0").unlink(),
        lambda shard: (shard / "check.json").unlink(),
        lambda shard: (shard / "check.json").write_bytes(b""),
        lambda shard: (shard / "check.json").write_bytes(b"\xff"),
        lambda shard: (shard / "check.json").write_text("{}"),
    ],
    ids=["empty", "cut", "long", "flipped", "gone", "unchecked", "void", "garbage", "of-none"],
)
def test_a_damaged_shard_is_discarded_with_a_note_and_made_again(
    tmp_path, monkeypatch, caplog, damage
):
    monkeypatch.setattr(extract, "SHARD", 2)
    options = {"backbone": Layered(), "layer_sweep": [0]}
    run(tmp_path, 6, **options)
    whole = (tmp_path / "out.safetensors").read_bytes()
    (tmp_path / "out.safetensors").unlink()
    [shard] = (tmp_path / "work").glob("*/00001")
    damage(shard)
    seen: list[str] = []

    def spy(image_id: str) -> Image.Image:
        seen.append(image_id)
        return picture(image_id)

    run(tmp_path, 6, read=spy, **options)
    assert (tmp_path / "out.safetensors").read_bytes() == whole
    assert set(seen) == {"image 000", "image 002", "image 003"}  # the first tells the tiles
    assert [record.getMessage() for record in caplog.records] == [
        f"{shard}: damaged; discarded and made again"
    ]
    (tmp_path / "out.safetensors").unlink()
    seen.clear()
    run(tmp_path, 6, read=spy, **options)  # what was made again is whole
    assert set(seen) == {"image 000"}


class Multiplied(Layered):
    """Mean colours through a matrix."""

    matrix: ClassVar = torch.linspace(-1, 1, 9).reshape(3, 3)

    def __call__(self, images, *, layers, norm):
        found = super().__call__(images, layers=layers, norm=norm)
        return [replace(t, patches=t.patches @ self.matrix) for t in found]


@pytest.mark.parametrize(("precision", "far"), [("bf16", 0.02), ("fp16", 0.002)])
def test_products_are_computed_in_the_precision_asked_for(tmp_path, precision, far):
    """Not exactly the features of float32, and as near as the precision is."""
    exact, rough = (
        run(folder, backbone=Multiplied(), dtype="float32", precision=one).images(ids(5), 3)
        for one, folder in (("fp32", tmp_path / "a"), (precision, tmp_path / "b"))
    )
    distance = np.abs(exact - rough).max()
    assert 0 < distance < far


def test_tf32_is_refused_where_there_is_none(tmp_path):
    with pytest.raises(SettingsError, match=r"features\.precision: tf32 needs a CUDA GPU"):
        run(tmp_path, precision="tf32")


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_ends_with_the_forward_pass(tf32):
    kinds = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [kind.allow_tf32 for kind in kinds]
    with extract.computed_in("tf32" if tf32 else "fp32", "cuda"):
        assert [kind.allow_tf32 for kind in kinds] == [tf32, tf32]
    assert [kind.allow_tf32 for kind in kinds] == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_score_states_another_precision_than_the_usual_one(precision):
    about = replace(header(ids(1)), layers=[0], precision=precision).protocol()
    assert about.get("precision", "fp32") == precision
    assert ("precision" in about) == (precision != "fp32")


@pytest.mark.parametrize("workers", [1, 4])
def test_images_that_decode_at_once_keep_their_order(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(torch, "get_num_threads", lambda: workers)
    meet = Barrier(workers, timeout=5)  # all workers decode at once, or it breaks

    def read(image_id):
        if image_id in ids(workers + 1)[1:]:  # the first is read alone, for its size
            meet.wait()
        return picture(image_id)

    file = run(tmp_path, count=9, read=read)
    assert np.array_equal(file.images(ids(9), 0), run(tmp_path, count=9).images(ids(9), 0))
