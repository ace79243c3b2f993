"""What `import patchlens` offers: lazily, with clear errors, and without a trace on the disk."""

import ast
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import patchlens as pl
from api import town
from patchlens.api.protocol import DEFAULT
from patchlens.features.variants import VARIANTS, fit
from tasks.world import fit_data

HOW = {"patch_size": 8, "mean": [0.5] * 3, "std": [0.25] * 3}
CHOSEN = {"classes": town.CLASSES, "shots": 2, "seeds": 2, "patches": (4, 4)}
CHEAP = {"heads": ["knn"], "k": 3, "resamples": 100}


@pytest.fixture(scope="module")
def data() -> pl.Data:
    images, masks = town.stills(8)
    return pl.from_arrays(images, masks, **CHOSEN)


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv2d(3, 8, 8, stride=8)


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import patchlens, sys; dir(patchlens);"
        "print(sorted({'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_stub_and_the_module_offer_the_same_names(root: Path) -> None:
    stub = ast.parse((root / "src/patchlens/__init__.pyi").read_text(encoding="utf-8"))
    names = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    [listed] = [ast.literal_eval(n.value) for n in stub.body if isinstance(n, ast.Assign)]
    assert listed == sorted(names) == pl.__all__ == dir(pl)
    for name, place in names.items():
        found = getattr(pl, name)
        assert f"{found.__module__}.{found.__name__}" == place
        assert found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no name 'evalute'"):
        pl.evalute  # noqa: B018


# What only curves, several datasets and the choice of m need.
LEFT_OUT = {
    "features": {"layer_sweep"},
    "prune": {"choices"},
    "sweep": {"heads", "images", "rivals"},
}
LEFT_OUT |= {"segmentation": {"k_sweep", "shots", "shots_sweep", "variants"}}


def test_without_arguments_the_protocol_is_that_of_the_default(root: Path) -> None:
    ours = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    default = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    compared = 0
    for section, keys in ours.items():
        if not isinstance(keys, dict):
            assert keys == default[section]
            continue
        left = LEFT_OUT.get(section, set()) | {"datasets"}
        assert {k: v for k, v in keys.items() if k not in left} == {
            k: v for k, v in default[section].items() if k not in left
        }
        compared += len(keys.keys() - left)
    assert compared > 30


def test_a_result_is_a_table_with_intervals(data, net) -> None:
    found = pl.evaluate(pl.wrap(net, **HOW), data, variant=["raw", "zscore"], **CHEAP)
    assert repr(found).splitlines()[0] == "segmentation of conv2d on arrays, 95 % intervals"
    assert repr(found).count("[") == 3  # two variants of k-NN, and the floor
    frame = found.frame.set_index(["head", "variant", "metric"])
    row = frame.loc[("knn", "raw", "pixel_miou")]
    assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    assert row["value"] == found.metrics["knn"]["raw"]["pixel_miou"]
    assert found.plot().to_dict()["title"] == "segmentation: conv2d on arrays"
    assert set(found.records["image_id"]) == {f"{i:06d}" for i in range(4, 8)}


def test_a_probe_reads_a_model_and_changes_nothing(data, net) -> None:
    net.train()
    probe = pl.SegmentationProbe(data, wrapping=HOW, k=3)
    first = probe.score(net)
    assert 0 <= first <= 1
    assert net.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert probe.score(net) == first
    before = net.weight.detach().clone()
    with torch.no_grad():
        net.weight.zero_()
    assert probe.score(net) < first
    with torch.no_grad():
        net.weight.copy_(before)


def test_a_probe_decodes_each_image_once(data, net, monkeypatch) -> None:
    read = list[str]()
    inner = type(data.index).image
    monkeypatch.setattr(type(data.index), "image", lambda self, i: read.append(i) or inner(self, i))
    probe = pl.SegmentationProbe(data, wrapping=HOW, k=3)
    probe.score(net)
    probe.score(net)
    assert len(read) == len(set(read)) > 4


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_of_arrays_is_that_of_the_stages(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 8)).astype(np.float32)
    variant = pl.Variant(name, m=0.25, pca_drop=2, seed=3)
    stage = fit(name, fit_data(x.reshape(-1, 8), m=2), variant.prune, seed=3, draw=0)
    found = variant.fit(x)(x)
    assert found.shape[:3] == (3, 4, 4)
    # Signs of principal components are free.
    np.testing.assert_allclose(abs(found.reshape(48, -1)), abs(stage(x.reshape(-1, 8))), atol=1e-4)
    np.testing.assert_allclose(variant.fit(x)(x[1]), found[1], atol=1e-5)


def test_extract_gives_one_vector_per_patch(net) -> None:
    backbone = pl.load_backbone({"source": "pixels", "patch_size": 8})
    images, _ = town.stills(3)
    found = pl.extract(backbone, images)
    assert (found.shape, found.dtype) == ((3, 4, 4, 5), np.float32)
    whole = images[1].reshape(4, 8, 4, 8, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(found[1, ..., :3], whole, atol=1e-6)
    assert pl.extract(pl.wrap(net, **HOW), images, patches=(2, 6)).shape == (3, 2, 6, 8)


def test_a_model_of_source_python_is_loaded_as_the_stages_do(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)  # and taken away again, with what the target adds
    text = """
import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Conv2d(3, 8, 8, stride=8)
"""
    Path("own.py").write_text(text)
    entry = {"source": "python", "target": "own.py:make", "trust_code": True} | HOW
    backbone = pl.load_backbone(entry)
    assert pl.extract(backbone, town.stills(2)[0]).shape == (2, 4, 4, 8)
    with pytest.raises(pl.PatchlensError, match="trust_code"):
        pl.load_backbone(entry | {"trust_code": False})


def test_a_cache_keeps_features_until_the_model_changes(data, net, here: Path) -> None:
    asked = CHEAP | {"cache": here / "kept"}
    first = pl.evaluate(pl.wrap(net, **HOW), data, **asked)
    made = {path: path.stat().st_mtime_ns for path in here.rglob("*.safetensors")}
    assert len(made) == 2
    again = pl.evaluate(pl.wrap(net, **HOW), data, **asked)
    assert again.metrics == first.metrics
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*.safetensors")} == made
    # The same weights in other code: the file is not that of this model.
    other = pl.wrap(lambda x: net(x).abs() + x.mean(), name="conv2d", **HOW)
    assert pl.evaluate(other, data, **asked).metrics == (pl.evaluate(other, data, **CHEAP).metrics)


def test_a_function_of_a_cell_is_a_task(data) -> None:
    from patchlens.tasks.result import Result

    def count(cell) -> Result:
        return Result({"all": {"raw": {"images": len(cell.query.header.image_ids)}}}, {})

    found = pl.evaluate(pl.load_backbone({"source": "pixels", "patch_size": 8}), data, count)
    assert found.task == "count"
    assert found.frame["value"].tolist() == [4]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"kk": 3}, "'kk' is no setting; allowed: .*did you mean 'k'"),
        ({"k": 0}, r"segmentation\.k: 0 is out of range"),
        ({"k": 99}, r"segmentation\.k: 99 exceeds the 32 patches of 2 support images; reduce it"),
        ({"m": 1.5}, r"prune\.m: 1\.5 is out of range"),
        ({"variant": ["raw", "prun"]}, "'prun' is unknown; .*did you mean 'prune'"),
        ({"variant": "prune"}, "'variants' must contain 'raw'"),
        ({"task": "segmentatoin"}, "task 'segmentatoin' is unknown; .*did you mean"),
        ({"task": "retrieval"}, "have no objects"),
        ({"layer": 9}, "layer 9 does not exist"),
        ({"heads": ["svm"]}, r"segmentation\.heads\[0\]"),
        ({"params": "nowhere.yaml"}, r"nowhere\.yaml: no such file"),
    ],
)
def test_a_wrong_setting_is_one_line(data, net, asked: dict, message: str) -> None:
    with pytest.raises(pl.PatchlensError, match=message) as caught:
        pl.evaluate(pl.wrap(net, **HOW), data, **asked)
    assert "\n" not in str(caught.value)
    assert "params.yaml: " not in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n", "segmentation: 3\n", "features: {layer: -1}\n"])
def test_a_file_that_is_no_params_is_refused(data, net, here: Path, text: str) -> None:
    Path("mine.yaml").write_text(text)
    with pytest.raises(pl.PatchlensError, match=r"mine\.yaml: no section '\w+'; give the path"):
        pl.evaluate(pl.wrap(net, **HOW), data, params="mine.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, m: (i, [*m[:-1], m[-1][:9]]), r"masks\[7\]: is uint8 \[9, 32\]"),
        (lambda i, m: (i, [*m[:-1], m[-1] + 7]), r"masks\[7\]: value 7 is no class \(0 to 2\)"),
        (lambda i, m: (i, [*m[:-1], m[-1] / 2]), r"masks\[7\]: is float64"),
        (lambda i, m: (i, m[:-1]), "masks: 7 for 8 images"),
        (lambda i, m: ([*i[:-1], i[-1] / 255], m), r"images\[7\]: is float64 \[32, 32, 3\]"),
        (lambda i, m: ([*i[:-1], i[-1][..., 0]], m), r"images\[7\]: is uint8 \[32, 32\]"),
        (lambda i, m: (i[:1], m[:1]), "images: 1, of which 0 are the support; give one"),
        (lambda i, m: ([], []), "images: 0, of which 0 are the support"),
        (lambda i, m: (i[:3], m[:3]), "2 images requested, but 'all' has 1"),
    ],
)
def test_a_wrong_array_is_named_by_its_row(change, message: str) -> None:
    images, masks = change(*town.stills(8))
    with pytest.raises(pl.PatchlensError, match=message):
        pl.from_arrays(images, masks, **CHOSEN)


BOX = [[2, 2, 9, 9]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"boxes": [BOX] * 2}, "instances: missing; number the boxes"),
        ({"instances": [[1]] * 3}, "instances: are those of boxes, which are missing"),
        ({"boxes": [BOX] * 2, "instances": [[1]] * 3}, "boxes: 2 for 3 images"),
        ({"boxes": [BOX] * 3, "instances": [[1]] * 2}, "instances: 2 for 3 images"),
        ({"boxes": [BOX, BOX, [[1, 2, 3]]], "instances": [[1]] * 3}, r"boxes\[2\]: is \[1, 3\]"),
        ({"boxes": [BOX, BOX, [[9, 2, 2, 9]]], "instances": [[1]] * 3}, r"boxes\[2\]: .*no area"),
        (
            {"boxes": [BOX] * 3, "instances": [[1], [1], [1, 2]]},
            r"instances\[2\]: .* integers \[1\]",
        ),
        ({"boxes": [BOX] * 3, "instances": [[1], [1], [0.5]]}, r"instances\[2\]: is float64"),
        ({"boxes": [BOX * 2] * 3, "instances": [[1, 1]] * 3}, "'1': is annotated twice"),
        (
            {"boxes": [BOX] * 3, "instances": [[1]] * 3, "labels": [[0], [0], [1]]},
            r"labels\[2\]: 1",
        ),
        ({"boxes": [[[np.nan, 0, 1, 1]]] * 3, "instances": [[1]] * 3}, "has no area"),
        ({"boxes": [[[0.1, 0.1, 0.5, 0.5]]] * 3, "instances": [[1]] * 3}, "shares"),
        ({"sequences": ["a"]}, "sequences: 1 for 3 images"),
    ],
)
def test_wrong_boxes_are_named_by_their_row(given: dict, message: str) -> None:
    with pytest.raises(pl.PatchlensError, match=message) as caught:
        pl.from_arrays(town.stills(3)[0], **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_opened_picture_is_upright(orientation: int) -> None:
    plain, exif, stream = Image.fromarray(town.stills(1)[0][0]), Image.Exif(), io.BytesIO()
    exif[274] = orientation
    plain.crop((0, 0, 32, 16)).save(stream, "PNG", exif=exif)
    [found] = pl.from_arrays([Image.open(stream)], patches=(4, 4)).index.pictures.values()
    assert found.size == ((32, 16) if orientation < 5 else (16, 32))
    kept = np.asarray(found)[0, 0].tolist() == np.asarray(plain)[0, 0].tolist()
    assert kept is (orientation in (1, 5))


def test_images_may_have_no_boxes() -> None:
    boxes, instances = [BOX, [], np.zeros((0, 4))], [[7], [], np.array([], int)]
    data = pl.from_arrays(town.stills(3)[0], boxes=boxes, instances=instances)
    assert data.index.objects[["image_id", "track", "x1"]].to_numpy().tolist() == [["000000", 7, 9]]
    assert data.index.classes == ["object"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pl.load_dataset("cmvid", "."), "unknown kind 'cmvid'.*did you mean 'camvid'"),
        (lambda: pl.load_dataset("camvid"), "'camvid' needs its root"),
        (lambda: pl.load_dataset("camvid", ".", shots=0), "load_dataset: .*0"),
        (lambda: pl.load_backbone("dinov2_vits99"), "dinov2_vits99"),
        (lambda: pl.load_backbone({"source": "pixel"}), "load_backbone"),
        (lambda: pl.Variant("prun"), "'prun' is unknown; .*did you mean 'prune'"),
        (lambda: pl.Variant("prune", m=2.0), "Variant: m: 2.* is out of range"),
        (lambda: pl.Variant("prune").fit(np.array([[np.nan]])), "finite"),
        (lambda: pl.from_arrays([], classes=["a", "b"]), "."),
    ],
)
def test_a_wrong_name_or_value_says_what_is_allowed(call, message: str) -> None:
    with pytest.raises(pl.PatchlensError, match=message):
        call()


def test_arrays_go_through_the_gate_of_folders() -> None:
    images, masks = town.stills(8)
    twin = [*images[:-1], images[0]]
    with pytest.raises(pl.PatchlensError, match="has the bytes of '000000', which is in the sup"):
        pl.from_arrays(twin, masks, **CHOSEN)
    with pytest.raises(pl.PatchlensError, match="contain one class only"):
        pl.from_arrays(images, [np.zeros_like(mask) for mask in masks], **CHOSEN)
    void = [*masks[:4], *(np.full_like(mask, 255) for mask in masks[4:])]
    with pytest.raises(pl.PatchlensError, match="no query image has a labelled pixel"):
        pl.from_arrays(images, void, **CHOSEN)


def test_a_link_that_leads_out_of_the_root_is_an_error_as_at_index(tmp_path: Path) -> None:
    town.lay(tmp_path / "town")
    (tmp_path / "outside").mkdir()
    (tmp_path / "town/images/away").symlink_to(tmp_path / "outside")
    asked = {"shots": 1, "seeds": 1, "support": "support", "query": "query"}
    with pytest.raises(pl.PatchlensError, match="away"):
        pl.load_dataset("folder", tmp_path / "town", **asked)
    assert pl.load_dataset("folder", tmp_path / "town", follow_links=True, **asked)
