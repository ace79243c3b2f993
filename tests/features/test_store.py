from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from memory import printed
from patchlens.errors import DataError
from patchlens.features.store import FeatureFile, Header, write

IDS = ["c", "a", "b"]


def header(**changes) -> Header:
    fields = {
        "dataset": "d",
        "split": "query",
        "model": "m",
        "weights": "f" * 64,
        "image_ids": IDS,
        "grid": (2, 3),
        "width": 4,
        "layers": [11, 5],
        "norm": True,
        "dtype": "float32",
        "view": "whole images at 32×48",
        "patch_size": 16,
    }
    return Header(**fields | changes)


def tokens(dtype="float32", seed=0) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=(3, 2, 3, 4)).astype(dtype) for n in (11, 5)}


def store(folder: Path, values: dict[int, np.ndarray], about: Header) -> Path:
    """Write in two parts a layer, the first with one image."""
    parts: dict[int, list[Path]] = {}
    for layer, array in values.items():
        for i, rows in enumerate((array[:1], array[1:])):
            part = folder / f"{layer}-{i}"
            part.write_bytes(rows.tobytes())
            parts.setdefault(layer, []).append(part)
    out = folder / "out.safetensors"
    write(about, parts, out)
    return out


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_features_come_back_exactly_by_image_and_layer(tmp_path, dtype):
    values = tokens(dtype)
    file = FeatureFile(store(tmp_path, values, header(dtype=dtype)))
    for layer in (11, 5):
        found = file.images(["a", "c"], layer)
        assert found.dtype == np.float32
        assert np.array_equal(found, values[layer][[1, 0]].astype(np.float32))


def test_the_header_comes_back_whole(tmp_path):
    about = header(image_ids=['ü "quoted"', "a/b", "c"])
    assert FeatureFile(store(tmp_path, tokens(), about)).header == about


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_safetensors_library_reads_the_file(tmp_path, dtype):
    values = tokens(dtype)
    path = store(tmp_path, values, header(dtype=dtype))
    loaded = load_file(path)
    assert set(loaded) == {"layer_11", "layer_5"}
    for layer, array in values.items():
        assert loaded[f"layer_{layer}"].dtype == np.dtype(dtype)
        assert np.array_equal(loaded[f"layer_{layer}"], array)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["model"] == '"m"'
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_missing_files_images_and_layers_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.safetensors: missing; run `dvc repro`"):
        FeatureFile(tmp_path / "none.safetensors")
    file = FeatureFile(store(tmp_path, tokens(), header()))
    with pytest.raises(DataError, match="no features of image 'z'"):
        file.images(["a", "z"], 11)
    with pytest.raises(DataError, match=r"no layer 0; the file has \[11, 5\]"):
        file.images(["a"], 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_number_names_its_image(tmp_path, bad):
    values = tokens("float16")
    values[5][2, 1, 2, 3] = bad
    file = FeatureFile(store(tmp_path, values, header(dtype="float16")))
    assert np.isfinite(file.images(IDS, 11)).all()
    assert np.isfinite(file.images(["a", "c"], 5)).all()
    with pytest.raises(DataError, match="image 'b' has a NaN or infinite feature"):
        file.images(IDS, 5)


def test_parts_that_do_not_fill_the_shape_leave_no_file(tmp_path):
    values = tokens()
    values[5] = values[5][:2]
    with pytest.raises(DataError, match="bytes of features"):
        store(tmp_path, values, header())
    assert not (tmp_path / "out.safetensors").exists()
    assert not list(tmp_path.glob(".*partial"))


READ_ONE = """
import sys
from pathlib import Path
from memory import peak
from patchlens.features.store import FeatureFile
before = peak()
file = FeatureFile(Path(sys.argv[1]))
assert file.images(["400"], 0)[0, 0, 0, 0] == 7
print(peak() - before)
"""


def test_reading_one_image_does_not_read_the_file(tmp_path):
    ids = [str(i) for i in range(640)]
    values = np.zeros((640, 8, 16, 512), np.float16)  # 80 MiB
    values[400] = 7
    (tmp_path / "part").write_bytes(values.tobytes())
    about = header(image_ids=ids, grid=(8, 16), width=512, layers=[0], dtype="float16")
    write(about, {0: [tmp_path / "part"]}, tmp_path / "big.safetensors")
    assert int(printed(READ_ONE, str(tmp_path / "big.safetensors"))) < 8 * 1024  # KiB
