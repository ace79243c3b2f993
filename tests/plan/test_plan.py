"""The plan says what a run costs before it costs it: every number is checked by hand."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from patchlens import paths
from patchlens.backbones.vit import VitBackbone
from patchlens.cli import app
from patchlens.errors import SettingsError
from patchlens.plan import cost, measure
from patchlens.plan.graph import stages
from patchlens.plan.images import count
from patchlens.plan.make import Plan, make
from patchlens.plan.models import Shape, download, shape
from patchlens.plan.show import as_json, show
from patchlens.settings.datasets import Minicity
from patchlens.settings.load import Settings, load
from patchlens.settings.yaml_text import read
from patchlens.tasks.cost import EXPONENTIAL, PROBE_STEPS, SPARED, STEP, probe_work, search_work
from patchlens.tasks.known import known

ROOT = Path(__file__).parents[2]
TINY = {"embed_dim": 24, "depth": 3, "num_heads": 2, "img_size": 32}
UNTRAINED = {"source": "untrained", "arch": "vit_tiny_patch16_224", "arch_args": TINY, "seed": 0}
FEW = {"support": {"split": "train", "images": 2, "per": "total", "seeds": [0, 1]},
       "query": {"split": "val", "images": "all", "per": "total", "unit": "image"}}  # fmt: skip
WHOLE = {"mode": "whole", "grid": "paper", "pixels": [32, 64]}
TILES = {"mode": "tiles", "tile": 256, "grid": "paper", "pixels": [32, 32]}
Make = Callable[..., Settings]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """`settings({"segmentation.k": 1})`: Cityscapes in tiles with one tiny ViT, changed so."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").symlink_to(ROOT / "dvc.yaml")

    def make_them(changes: dict[str, Any]) -> Settings:
        content = read(ROOT / "params.yaml")
        content["fetch"] = {"made": [], "downloaded": ["city"], "placed": []}
        city = {"kind": "cityscapes", "view": TILES, **FEW}
        content["datasets"] = {"city": copy.deepcopy(city)}
        content["models"] = {"vit": UNTRAINED}
        content["features"] |= {"layer_sweep": [-2], "dtype": "float16"}
        content["segmentation"] |= {
            "datasets": ["city"],
            "variants": ["raw", "prune", "prune_random"],
            "shots": 2,
            "shots_sweep": [1, 2],
        }
        content["prune"]["random_draws"] = 3
        for task in ("selection", "sweep", "identification", "retrieval", "tracking"):
            content[task]["datasets"] = []
        content["segmentation"]["linear"] |= {"c": [0.1, 1.0], "folds": 3}
        for place, value in changes.items():
            *path, key = place.split(".")
            section = content
            for part in path:
                section = section[part]
            section[key] = value
        content["extract"] = {"datasets": list(content["datasets"])}
        text = yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False)
        Path("params.yaml").write_text(text, "utf-8")
        return load(Path("params.yaml"), known())

    return make_them


def planned(settings: Settings) -> Plan:
    return make(settings, Path("dvc.yaml"))


def test_stages_are_counted_from_the_graph(settings: Make) -> None:
    two = {"vit": UNTRAINED, "pixels": {"source": "pixels", "patch_size": 16}}
    found = {s.name: s.cells for s in stages(Path("dvc.yaml"), settings({"models": two}))}
    assert list(found) == list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert (len(found["render"]), len(found["fetch"]), len(found["weights"])) == (0, 1, 2)
    assert found["extract"] == [{"model": m, "dataset": "city"} for m in two]
    assert found["tables"] == [{}]


NAMED = {
    "text": "t", "source": "s", "kind": "difference", "direction": "greater",
    "metric": "segmentation.knn.pixel_miou", "datasets": ["city"],
    "a": {"models": ["vit"], "variant": "prune"}, "b": {"models": ["vit"]}, "delta": 0,
}  # fmt: skip
SHIPPED = {"group": "paper", "datasets": ["cityscapes"]}
BOTH = {"a": {"models": ["vit"]}, "b": {"models": ["pixels"]}}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"a": {"models": ["dino"]}}, "not in models: dino"),
        ({"datasets": ["sea"]}, "not in datasets: sea"),
        ({"metric": "retrieval.instance.map"}, "retrieval does not run on city"),
        ({"metric": "segmentation.linear.pixel_miou"}, "segmentation does not score linear"),
        ({"a": {"models": ["vit"], "variant": "l2"}}, "not in segmentation.variants: l2"),
        ({"slots": {"vit": ["dino"]}}, "slot vit has the weights seed 0, not dino"),
        (SHIPPED | {"slots": {"vit": ["seed"]}}, None),
        (BOTH, None),
        (
            BOTH | {"metric": "segmentation.knn.patch_miou"},
            "patches of 8×16 and 16×32 on city cannot be compared: set view.grid: equal, for "
            "example for a second dataset of this kind",
        ),
    ],
)
def test_claims_that_cannot_be_judged_are_known_before(
    settings: Make, changes: dict[str, Any], why: str | None
) -> None:
    models = {"vit": UNTRAINED, "pixels": {"source": "pixels", "patch_size": 8}}
    chosen = settings({"models": models, "segmentation.heads": ["knn"]})
    assert planned(chosen).claims is None
    Path("claims.yaml").write_text(yaml.safe_dump({"c": NAMED | changes}), "utf-8")
    found = planned(chosen)
    assert (found.claims, found.not_run) == (1, {"c": why} if why else {})


def test_a_graph_that_names_what_settings_lack(settings: Make) -> None:
    Path("dvc.yaml").unlink()
    with pytest.raises(SettingsError, match="run this in the folder that contains dvc"):
        planned(settings({}))
    text = "stages: {fly: {matrix: {bird: '${segmentation.birds}'}}}"
    Path("dvc.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"params\.yaml: segmentation\.birds: missing, but the stage fly runs"
    ):
        planned(settings({}))


@pytest.mark.parametrize(
    "fly",
    [
        "matrix: {bird: segmentation.heads}",
        "matrix: {bird: 'a ${segmentation.heads}'}",
        "matrix: {bird: ['${segmentation.heads}']}",
        "matrix: {bird: [[a]]}",
        "matrix: {bird: {a: b}}",
        "matrix: [a]",
        "foreach: [a], do: {cmd: x}",
    ],
)
def test_a_matrix_of_another_form_is_refused(settings: Make, fly: str) -> None:
    Path("dvc.yaml").unlink()
    Path("dvc.yaml").write_text(f"stages: {{fly: {{{fly}}}}}", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"dvc\.yaml: stages\.fly: a matrix must contain"):
        planned(settings({}))


def test_a_value_in_place_of_a_list_is_named(settings: Make) -> None:
    Path("dvc.yaml").unlink()
    text = "stages: {fly: {matrix: {bird: '${segmentation.k}'}}}"
    Path("dvc.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"params\.yaml: segmentation\.k: 10 is not a list; wr"):
        planned(settings({}))


@pytest.mark.parametrize(
    ("support", "query", "expected"),
    [
        ({}, {}, (4, 500)),  # 2 images × 2 seeds
        ({"per": "group"}, {}, (72, 500)),  # 2 × 18 cities × 2 seeds
        ({"per": "class"}, {}, (76, 500)),  # 2 × 19 classes × 2 seeds
        ({"per": "class", "images": 100}, {}, (2975, 500)),  # never more than there are
        ({"split": "train+val", "per": "class", "images": 100}, {}, (3475, 500)),
        ({}, {"images": 7}, (4, 7)),
        ({}, {"images": 7, "per": "group"}, (4, 21)),  # of 3 cities
    ],
)
def test_published_counts_bound_the_selection(
    settings: Make, support: Any, query: Any, expected: tuple[int, int]
) -> None:
    city = {"kind": "cityscapes", "view": TILES}
    city |= {"support": FEW["support"] | support, "query": FEW["query"] | query}
    chosen = settings({"datasets.city": city, "segmentation.shots_sweep": [1, 2]})
    images = count("city", chosen.dataset("city"))
    assert (images.support, images.query, images.size) == (*expected, (1024, 2048))
    assert images.source == "published counts"


MINICITY: dict[str, Any] = read(ROOT / "params.yaml")["datasets"]["minicity"] | {
    "stills": 3,
    "videos": 0,
}


def minicity(settings: Make, support: Any, query: Any, **changes: Any) -> Settings:
    mini = MINICITY | changes
    mini |= {"support": mini["support"] | support, "query": mini["query"] | query}
    return settings(
        {"datasets": {"minicity": mini}, "fetch.made": ["minicity"], "fetch.downloaded": [],
         "segmentation.datasets": ["minicity"], "segmentation.shots": 1,
         "segmentation.shots_sweep": [1]}
    )  # fmt: skip


SUPPORT = {"images": 2, "per": "total", "seeds": [0, 1]}
CLASSES = {"images": 1, "per": "class"}
OTHER = {"split": "query"}, {"split": "support"}
STALE: list[tuple[Any, Any, Any]] = [
    ({}, {"seeds": [5, 6]}, {}),
    ({}, {"seeds": [1, 0]}, {}),
    ({}, {"images": 1}, {}),
    ({}, {"per": "class"}, {}),
    ({}, *OTHER),
    ({}, {}, {"images": 2}),
    ({}, {}, {"unit": "sequence"}),
    (CLASSES, CLASSES | {"per": "total"}, {}),
    (CLASSES, CLASSES | {"images": 2}, {}),
    (CLASSES, CLASSES | {"seeds": [5, 6]}, {}),
    (CLASSES, *OTHER),
]


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stills of every split of minicity."""
    from patchlens.datasets import render

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("stills"))
        render.run("minicity", Minicity.model_validate(MINICITY))
        return paths.raw("minicity").absolute()


@pytest.mark.parametrize(("made", "support", "query"), STALE)
def test_an_index_says_it_exactly_and_one_of_other_settings_nothing(
    settings: Make, stills: Path, made: Any, support: Any, query: Any
) -> None:
    from patchlens.datasets import indexing as index

    chosen = minicity(settings, SUPPORT | made, {})
    before = count("minicity", chosen.dataset("minicity"))
    assert (before.query, before.source) == (3, "published counts")
    paths.raw("minicity").parent.mkdir(parents=True)
    paths.raw("minicity").symlink_to(stills)
    index.run("minicity", chosen.dataset("minicity"))
    after = count("minicity", chosen.dataset("minicity"))
    assert (after.source, after.size, after.query) == ("index", (128, 256), 3)
    assert after.support is not None
    assert after.support <= 3
    changed = minicity(settings, SUPPORT | made | support, query)
    assert count("minicity", changed.dataset("minicity")).source == "published counts"


def test_what_nothing_says_is_unknown(settings: Make) -> None:
    own = {"kind": "folder", "root": "own", "view": WHOLE, **FEW}
    chosen = settings({"datasets": {"own": own}, "fetch.placed": ["own"], "fetch.downloaded": [],
                       "segmentation.datasets": ["own"]})  # fmt: skip
    plan = planned(chosen)
    assert plan.images["own"].source == "unknown: run `dvc repro index` first"
    assert (plan.features, plan.unknown) == (0, ["own"])
    shown = CliRunner().invoke(app, ["plan"])
    assert shown.exit_code == 0
    assert "total unknown, without own, whose size is unknown" in shown.stdout
    assert "< 1 min" not in shown.stdout
    assert "0.0 GB;" not in shown.stdout.partition("free")[0]


def test_features_time_and_bank_by_hand(settings: Make) -> None:
    (cell,) = planned(settings({})).cells
    images, patches, tiles, tokens = 4 + 500, 32 * 4, 32, 4 + 1
    assert cell.grid == (8, 16)
    assert cell.features == images * patches * 24 * 2 * 2  # two layers, two bytes
    model = shape("vit", settings({}).model("vit"))
    one = 2 * model.parameters * tokens + 4 * tokens**2 * 24 * 3
    assert cell.extract == images * tiles * one
    # Headline: raw, prune, 2 draws of prune_random (2 seeds, 3 draws or more in all), one other
    # layer, at 2 shots; raw at 1 shot. Pruned are 6 of 24 dimensions.
    banks = 2 * ((2 + 3 * 18 / 24) * 2 + 1)
    assert cell.knn == pytest.approx(banks * search_work(patches * 500 * patches, 24))
    # 2 values of C on each of 2 images, and one on both; at 1 shot there is nothing to choose by.
    step = [4 * 2 * patches * (width + EXPONENTIAL) * 19 + STEP for width in (24, 18, 18, 18)]
    alone = 4 * patches * (24 + EXPONENTIAL) * 19 + STEP
    assert cell.probe == pytest.approx(2 * SPARED * PROBE_STEPS * (3 * sum(step) + alone))


def test_heads_that_are_not_run_cost_nothing(settings: Make) -> None:
    (knn,) = planned(settings({"segmentation.heads": ["knn"]})).cells
    assert (knn.probe, bool(knn.knn)) == (0, True)
    (linear,) = planned(settings({"segmentation.heads": ["linear"]})).cells
    assert (linear.knn, bool(linear.probe)) == (0, True)


def test_float32_doubles_and_one_layer_halves(settings: Make) -> None:
    sizes = [
        planned(settings(change)).features
        for change in (
            {"features.layer_sweep": []},
            {"features.layer_sweep": [2, -1]},  # both are the last block
            {"features.dtype": "float32", "features.layer_sweep": []},
        )
    ]
    assert sizes == [sizes[0], sizes[0], 2 * sizes[0]]


def test_layers_that_nothing_reads_take_no_room(settings: Make) -> None:
    unread, one = (
        planned(settings({"segmentation.datasets": [], "features.layer_sweep": layers})).features
        for layers in ([-2], [])
    )
    assert unread == one > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features.layer": -4}, "features.layer or layer_sweep, for model 'vit': layer -4 does"),
        (
            {"datasets.city.view.pixels": [30, 32]},
            "datasets.city.view.pixels: [30, 32] is not a multiple of the patch size 16 of model",
        ),
        ({"datasets.city.view.tile": 300}, "datasets.city.view.tile: 1024×2048 pixels cannot be"),
        (
            {"models": {"vit": UNTRAINED | {"arch": "vit_tinny"}}},
            "models.vit.arch: timm has no model 'vit_tinny'",
        ),
        (
            {"models": {"m": {"source": "timm", "tag": "vit_base_patch16_clip_224.openai"}}},
            "models.m.tag: 'vit_base_patch16_clip_224.openai' was trained with QuickGELU",
        ),
        (
            {"models": {"m": {"source": "registry", "model": "mae_b16"}}},
            "models.m.model: 'mae_b16' is not in the registry",
        ),
    ],
)
def test_what_would_fail_later_fails_in_the_plan(
    settings: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        planned(settings(changes))
    assert str(caught.value).startswith(f"params.yaml: {message}")


PIXELS = {"source": "pixels", "patch_size": 16}
OWN = {"source": "file", "file": "gone.pth", "arch": "vit_tiny_patch16_224", "arch_args": TINY}
MINI = {"kind": "minicity", "stills": 8, "videos": 0,
        "view": {"mode": "whole", "grid": "equal", "patches": [4, 8]},
        "support": {"split": "support", "images": 2, "per": "total", "seeds": [0, 1]},
        "query": {"split": "query", "images": "all", "per": "total", "unit": "image"}}  # fmt: skip


def mini(**changes: Any) -> dict[str, Any]:
    """A small minicity in place of Cityscapes, with other keys of support and query."""
    content = copy.deepcopy(MINI) | {k: v for k, v in changes.items() if "__" not in k}
    for place, value in changes.items():
        if "__" in place:
            part, key = place.split("__")
            content[part][key] = value
    return {
        "datasets": {"mini": content},
        "fetch.made": ["mini"],
        "fetch.downloaded": [],
        "segmentation.datasets": [],
        "segmentation.k_sweep": [],
    }


LARGE = {"datasets.city.view.tile": 512}  # 2×4 tiles of 2×2 patches an image
REFUSED_BY_A_STAGE = {
    "prune.m drops all": (
        {"prune.m": 0.99, "models": {"pixels": PIXELS}},
        "prune.m: 0.99 drops all 5 dimensions; use a share below 0.9 (model 'pixels')",
    ),
    "pca_drop drops all": (
        {"prune.pca_drop": 24, "segmentation.variants": ["raw", "pca_drop_top"]},
        "prune.pca_drop: 24 drops all 24 components; use at most 23, or remove pca_drop_top from "
        "the variants (model 'vit')",
    ),
    "a rival drops all": (
        {"prune.pca_drop": 24, "sweep.datasets": ["city"], "sweep.heads": ["knn"]},
        "prune.pca_drop: 24 drops all 24 components",
    ),
    "choices prune nothing": (
        {"prune.choices": [0.001], "prune.select": "auto"},
        "prune.choices: none of them prunes between 1 and 23 of the 24 dimensions of 'vit'",
    ),
    "granularities": (
        {
            "identification.datasets": ["city"],
            "identification.granularities": [1, 9],
            "datasets.city.view": {"mode": "whole", "grid": "paper", "pixels": [128, 256]},
        },
        "identification.granularities: 9 exceeds the grid of 8×16 patches; remove it "
        "('vit' on 'city')",
    ),
    "k": (
        {"segmentation.k": 100, "segmentation.k_sweep": [], **LARGE},
        "segmentation.k: 100 exceeds the 64 patches of 2 support images; reduce it",
    ),
    "k of fewer shots": (
        {"segmentation.k": 33, "segmentation.k_sweep": [], **LARGE},
        "segmentation.k: 33 exceeds the 32 patches of 1 support image; reduce it",
    ),
    "k_sweep": (
        {"segmentation.k_sweep": [1, 65], **LARGE},
        "segmentation.k_sweep[1]: 65 exceeds the 64 patches of 2 support images; reduce it",
    ),
    "a tag without weights": (
        {"models": {"m": {"source": "timm", "tag": "vit_base_patch16_224.nope"}}},
        "models.m.tag: timm has no pretrained 'vit_base_patch16_224.nope'",
    ),
    "an architecture as tag": (
        {"models": {"m": {"source": "timm", "tag": "vit_base_patch16_224"}}},
        "models.m.tag: 'vit_base_patch16_224' does not name weights; append .<tag>",
    ),
    "a file without hash": (
        {"models": {"m": OWN}},
        "models.m.sha256: missing; if this is the right file, set it to the sha256 of gone.pth",
    ),
    "a rule": (
        {"models": {"m": OWN | {"mapping": {"rules": ["nope"]}}}},
        "models.m.mapping.rules: 'nope' is unknown; allowed: ",
    ),
    "a split of minicity": (
        mini(query__split="qwery"),
        "datasets.mini.query.split: 'qwery' is unknown; allowed: query, support, video_test, "
        "video_train; did you mean 'query'?",
    ),
    "an empty split of minicity": (
        mini(query__split="video_test"),
        "datasets.mini.query.split: 'video_test' is empty, because videos is 0; raise videos",
    ),
    "more images than are rendered": (
        mini(query__images=9),
        "datasets.mini.query.images: 9 is more than the 8 that are rendered",
    ),
    "sequences of stills": (
        mini(query__unit="sequence"),
        "datasets.mini.query: split 'query' has no sequences; use images",
    ),
    "groups of minicity": (
        mini(support__per="group"),
        "datasets.mini.support.per: 'support' has no groups; use total",
    ),
    "stills in tracking": (
        mini() | {"tracking.datasets": ["mini"]},
        "datasets.mini.support.split: 'support' has no videos, which tracking needs",
    ),
}


@pytest.mark.parametrize("name", REFUSED_BY_A_STAGE)
def test_what_a_stage_would_refuse_is_refused_in_the_plan(settings: Make, name: str) -> None:
    changes, message = REFUSED_BY_A_STAGE[name]
    with pytest.raises(SettingsError) as caught:
        planned(settings(changes))
    assert str(caught.value).splitlines()[0].startswith(f"params.yaml: {message}")


def test_flops_are_those_that_torch_counts() -> None:
    import timm
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    args = {"embed_dim": 96, "depth": 4, "num_heads": 2, "img_size": 96}
    built = timm.create_model("vit_tiny_patch16_224", num_classes=0, **args)
    bone = VitBackbone(
        built, mean=[0.0] * 3, std=[1.0] * 3, interpolation="bicubic", position="timm"
    )
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        bone(torch.zeros(1, 3, 96, 96, dtype=torch.uint8), layers=[-1], norm=True)
    size = Shape(16, 96, 96, 4, 1, bone.parameters)
    assert size.flops((6, 6)) == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_shapes_are_read_off_the_architecture(settings: Make) -> None:
    models = {
        "registers": {"source": "registry", "model": "dinov2_vits14_reg"},
        "sam": {"source": "registry", "model": "sam_vitb16"},
        "tag": {"source": "timm", "tag": "vit_small_patch16_224.dino"},
        "pixels": {"source": "pixels", "patch_size": 16},
    }
    chosen = settings({"models": models})
    found = {name: shape(name, model) for name, model in chosen.models.items()}
    assert found["registers"] == Shape(14, 384, 384, 12, 5, found["registers"].parameters)
    assert found["registers"].parameters == pytest.approx(22.06e6, rel=0.01)
    assert found["sam"] == Shape(16, 768, 256, 12, 0, found["sam"].parameters)
    assert found["tag"] == Shape(16, 384, 384, 12, 1, found["tag"].parameters)
    assert found["pixels"] == Shape(16, 5, 5, 0, 0, 0)


def test_sams_neck_narrows_its_features(settings: Make) -> None:
    sam = {"models": {"sam": {"source": "registry", "model": "sam_vitb16"}}}
    (normed,) = planned(settings(sam)).cells
    (bare,) = planned(settings(sam | {"features.norm": False})).cells
    assert normed.features is not None
    assert bare.features == 3 * normed.features


def test_downloads_with_their_terms(settings: Make) -> None:
    models = {
        "mae": {"source": "registry", "model": "mae_vitb16"},
        "dino": {"source": "registry", "model": "dino_vitb16"},
        "mine": {"source": "registry", "model": "dino_vitb16", "file": "here.pth"},
        "tag": {"source": "timm", "tag": "vit_small_patch16_224.augreg_in1k", "position": "timm"},
        "vit": UNTRAINED,
    }
    chosen = settings({"models": models})
    mae, dino, tag, city = planned(chosen).downloads
    assert (mae.name, mae.bytes, mae.licence) == ("mae", 343_249_461, "CC-BY-NC-4.0")
    assert (mae.non_commercial, dino.non_commercial) == (True, False)
    assert (dino.bytes, dino.at_least) == (None, 4 * 85_798_656)
    assert (tag.what, tag.licence, tag.bytes) == (
        f"timm {models['tag']['tag']}",
        "apache-2.0",
        None,
    )
    assert (city.bytes, city.note) == (11_241_000_000, "needs your own account")
    text = CliRunner().invoke(app, ["plan"]).stdout
    assert "CC-BY-NC-4.0; NON-COMMERCIAL" in text
    assert "unknown, ≥ 0.34 GB" in text
    assert "  0.34 GB " in text
    assert "total 11.58 GB and 2 of unknown size (at least 0.43 GB)" in text


def test_slots_that_share_a_file_download_it_once(settings: Make) -> None:
    names = ("ijepa_vith16_448_encoder", "ijepa_vith16_448_target_encoder")
    models: dict[str, Any] = {n[17:]: {"source": "registry", "model": n} for n in names}
    models["again"] = models["encoder"] | {"position": "mae"}
    tag = {"source": "timm", "tag": "vit_small_patch16_224.augreg_in1k"}
    models |= {"tag": tag, "other": tag | {"position": "mae"}}
    ijepa, timm, _ = planned(settings({"models": models})).downloads
    assert (ijepa.name, ijepa.what) == ("encoder, target_encoder, again", ", ".join(names))
    assert timm.name == "tag, other"


def test_archives_of_the_user_are_no_download(settings: Make) -> None:
    city = {"kind": "cityscapes", "archives": "zips", "view": TILES, **FEW}
    assert planned(settings({"datasets.city": city})).downloads == []
    assert "Downloads:\nnothing\n" in CliRunner().invoke(app, ["plan"]).stdout


def test_a_gated_model_says_how_it_is_had(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from patchlens.backbones.registry.read import find
    from patchlens.plan import models

    entry = find("mae_vitb16", "test")
    gated = entry.model_copy(update={"source": entry.source.model_copy(update={"gated": True})})
    monkeypatch.setattr(models, "find", lambda *_: gated)
    chosen = settings({"models.vit": {"source": "registry", "model": "mae_vitb16"}})
    found = download("vit", chosen.model("vit"), Shape(16, 768, 768, 12, 1, 86_000_000))
    assert found is not None
    assert found.note.startswith(f"gated: accept its terms on {entry.homepage}")


@pytest.mark.parametrize(("missing", "code"), [(0, 0), (1, 2)])
def test_it_refuses_where_twice_the_features_are_more_than_is_free(
    settings: Make, monkeypatch: pytest.MonkeyPatch, missing: int, code: int
) -> None:
    free = 2 * planned(settings({})).features - missing
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    result = CliRunner().invoke(app, ["plan"])
    assert result.exit_code == code
    assert result.stdout.startswith(
        "Plan of params.yaml:\nstages: code 1, fetch 1, index 1, weights 1"
    )
    assert ("NOT ENOUGH" in result.stdout) == bool(code)
    refused = "Error: params.yaml: the features take 0.0 GB and a run needs twice that, but only "
    assert result.stderr.startswith(refused if code else "")
    assert result.exit_code or result.stderr == ""


def test_dropped_features_need_the_disk_of_one_model(
    settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = UNTRAINED | {"arch_args": TINY | {"embed_dim": 48}}
    found = planned(settings({"models": {"a": UNTRAINED, "b": wide, "c": UNTRAINED}}))
    assert found.largest == sum(c.features or 0 for c in found.cells if c.model == "b")
    assert found.features == 2 * found.largest  # 24 + 48 + 24 dimensions
    assert found.downloaded == 2 * 11_241_000_000  # Cityscapes, and its content
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2 * found.largest))
    settings({"models": {"a": UNTRAINED, "b": wide, "c": UNTRAINED}})
    assert CliRunner().invoke(app, ["plan", "--drop-features"]).exit_code == 0
    refused = CliRunner().invoke(app, ["plan"])
    assert refused.exit_code == 2
    assert "`patchlens repro --drop-features` needs less. Else use fewer" in refused.stderr
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2 * found.largest - 1))
    assert CliRunner().invoke(app, ["plan", "--drop-features"]).exit_code == 2


def test_json_holds_the_plan_and_its_assumptions(settings: Make) -> None:
    plan = planned(settings({}))
    found = json.loads(CliRunner().invoke(app, ["plan", "--json"]).stdout)
    assert found["features"] == plan.features
    assert found["assumed"] == asdict(cost.Rates()) | {"probe_steps": PROBE_STEPS}
    assert found["cells"][0]["model"] == "vit"
    assert set(found["seconds"]) == {"cpu", "gpu"}


def test_a_gpu_speeds_up_what_it_does_and_leaves_the_rest_to_all_cores(settings: Make) -> None:
    plan = planned(settings({}))
    rates = plan.rates
    of_core = {"extract": rates.core, "knn": rates.knn, "probe": rates.probe, "maps": rates.maps}
    for part, rate in of_core.items():
        ratio = plan.seconds(part, gpu=False) / plan.seconds(part, gpu=True)
        of_gpu = rates.gpu_maps if part == "maps" else rates.gpu
        assert ratio == pytest.approx(of_gpu / (rate * plan.cores))
    [cell] = plan.cells
    assert cell.decode == (4 + 500) * (1024 * 2048 + cost.OPENED)
    for gpu in (False, True):
        assert plan.seconds("decode", gpu=gpu) == cell.decode / rates.decode / plan.cores


def test_pixel_maps_are_counted_for_every_fit_that_is_scored(settings: Make) -> None:
    """Of 500 images of 1024 × 2048 pixels in 19 classes, for 2 seeds."""
    chosen = {"segmentation.k": 1, "segmentation.k_sweep": [1, 3], "segmentation.heads": ["knn"]}
    [cell] = planned(settings(chosen)).cells
    fits = 1 + 1 + 2  # raw, prune, and two draws of prune_random: one for each seed and one more
    fits += 1  # raw at k = 3
    fits += 1 + 1  # the other layer, and one shot
    assert cell.stages["segmentation"]["maps"] == cell.maps
    assert cell.maps == 2 * fits * 500 * 1024 * 2048 * 19


def test_the_choice_of_m_is_counted_where_it_is_made(settings: Make) -> None:
    """Every patch of 2 images is searched for in the half or two thirds of the other folds."""
    [fixed], [auto] = (
        planned(settings({"prune.select": select})).cells for select in ("fixed", "auto")
    )
    patches = 2 * 4 * 8 * 2 * 2  # 2 images of 4 × 8 tiles of 2 × 2 patches
    assert auto.knn - fixed.knn == 2 * search_work((patches * 2 // 3) * patches, 24)


def test_the_memory_of_a_stage_is_that_of_its_largest_cell(settings: Make) -> None:
    """Float32, 8 × 16 patches of 24 dimensions; a chunk is 32 images three times."""
    two = {"models": {"vit": UNTRAINED, "pixels": {"source": "pixels", "patch_size": 16}}}
    plan = planned(settings(two))
    held, cell = plan.memory["segmentation"]
    image, bank = 4 * 8 * 16 * 24, 2
    copies = 1 + 1 + 2  # as read, of length 1, turned, and of a fold
    wanted = (copies * bank + 3 * 32) * image + 4 * 4 * bank * 8 * 16 * 19
    assert (held, cell.model) == (cost.PROCESS + wanted, "vit")
    one = planned(settings(two | {"segmentation.linear.c": [1.0]})).memory["segmentation"][0]
    assert held - one == bank * image
    [said] = [line for line in show(plan, "p").splitlines() if line.startswith("stage segm")][-1:]
    assert said == f"stage segmentation: about {held / 1e9:.1f} GB (vit on city)"
    assert json.loads(json.dumps(as_json(plan)))["memory"]["segmentation"] == round(held)


@pytest.mark.parametrize(
    ("kind", "split", "frames"), [("davis2017", "val", 1999), ("mot17", "train", 5316)]
)
def test_tracking_is_counted_by_frames(settings: Make, kind: str, split: str, frames: int) -> None:
    """Raw, prune and three draws of prune_random, which have 18 of 24 dimensions."""
    view = {"mode": "whole", "grid": "equal", "patches": [6, 64]}
    query = FEW["query"] | {"split": split, "unit": "sequence"}
    videos = {"kind": kind, "view": view, "support": None, "query": query}
    asked = {"datasets": {"city": videos}, "segmentation.datasets": []}
    [cell] = planned(settings(asked | {"tracking.datasets": ["city"]})).cells
    assert cell.transform == 5 * frames * 6 * 64 * 24
    if kind == "mot17":  # eight thresholds, two linkings with their scores, and five distances
        assert (cell.knn, cell.links) == (0, 5 * frames * (8 + 2 * (1 + 10) + 5))
    else:
        near = (7 + 1) * 6 * (2 * 12 + 8)  # the first frame and seven more
        wanted = (1 + 4 * 18 / 24) * frames * search_work(near * 6 * 64, 24)
        assert (cell.knn, cell.links) == (pytest.approx(wanted), 0)


def test_the_seconds_of_a_stage_are_its_work_and_its_starts(settings: Make) -> None:
    plan = planned(settings({"models": {"vit": UNTRAINED, "other": UNTRAINED}}))
    rates, [one, _] = plan.rates, plan.cells
    work = one.stages["segmentation"]
    wanted = work["knn"] / rates.knn + work["probe"] / rates.probe + work["maps"] / rates.maps
    each = 1 / plan.cores
    segmentation = plan.stage_seconds("segmentation", gpu=False)
    assert segmentation == pytest.approx(2 * (wanted + rates.start) * each)
    beside = 0.4 * 4  # two cells of T1 and two of the variance study
    assert plan.stage_seconds("tables", gpu=False) == pytest.approx((rates.start + beside) * each)
    assert plan.stage_seconds("variance", gpu=False) == pytest.approx(
        2 * (rates.start + 0.8) * each
    )
    assert plan.stage_seconds("weights", gpu=False) == 2 * rates.start * each
    assert plan.whole(gpu=False) == sum(plan.stage_seconds(s, gpu=False) for s in plan.stages)
    assert plan.stage_seconds("extract", gpu=True) < plan.stage_seconds("extract", gpu=False)


@pytest.mark.parametrize(
    ("width", "sets", "dimensions"), [(96, 1, 96 + 128), (96, 3, 96 + 3 * 128), (5, 1, 128 + 128)]
)
def test_a_search_is_its_products_and_the_choice_of_the_nearest(
    width: int, sets: int, dimensions: int
) -> None:
    assert search_work(1000, width, sets) == 2 * 1000 * dimensions


def test_what_is_rendered_takes_time_by_its_images(settings: Make) -> None:
    plan = planned(settings({}))
    assert plan.stage_seconds("render", gpu=False) == 0
    made = replace(plan, made=["city"], stages=plan.stages | {"render": 1})
    assert made.stage_seconds("render", gpu=False) == pytest.approx(
        (0.4 * plan.images["city"].total + plan.rates.start) / plan.cores
    )


def test_a_machine_is_measured_by_what_the_stages_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rate is the work that a plan counts per second of the functions that do it."""

    def time_of(do: Callable[[], object], seconds: float) -> float:
        do()
        return 2.0

    monkeypatch.setattr(measure, "_time", time_of)
    found = measure.measured(24, 32, "cpu", seconds=0)
    assert found.measured
    assert found.knn == search_work(8192 * 1024, 24) / 2
    assert found.maps == 256 * 512 * 20 / 2
    assert found.probe == probe_work(1000, 24, 20) / 2
    weights = 2 * (12 * 24**2 + 13 * 24)  # of two blocks of a ViT
    assert found.core == 8 * (2 * weights * 32 + 4 * 32**2 * 24 * 2) / 2
    assert found.gpu == cost.Rates().gpu


def test_a_measured_time_is_that_of_the_quickest_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now, took = [0.0], iter([0.5, 3.0, 1.0, 2.0])  # the first call warms up

    def do() -> None:
        now[0] += next(took)

    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    assert measure._time(do, 5.0) == 1.0
    assert next(took, None) is None


def test_another_file_of_settings_can_be_planned(settings: Make) -> None:
    settings({})
    Path("params.yaml").rename("mine.yaml")
    assert CliRunner().invoke(app, ["plan"]).exit_code == 2
    result = CliRunner().invoke(app, ["plan", "--params", "mine.yaml"])
    assert result.stdout.startswith("Plan of mine.yaml:")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of the user with three labelled images and an unlabelled one."""
    folder = tmp_path / "mine"
    (folder / "masks").mkdir(parents=True)
    (folder / "dataset.yaml").write_text(
        "classes: [a, b]\npartial: true\nsplits: {few: [x, y, z], rest: [w]}\n"
    )
    return folder


def of_own(root: Path, split: str, images: object) -> dict[str, Any]:
    part = {"split": split, "images": images, "per": "total"}
    return {
        "kind": "folder",
        "root": str(root),
        "view": {"mode": "whole", "grid": "equal", "patches": [4, 4]},
        "support": part | {"seeds": [0, 1]},
        "query": {"split": "rest", "images": "all", "per": "total", "unit": "image"},
    }


@pytest.mark.parametrize(
    ("split", "images", "task", "message"),
    [
        ("few", 4, "", "datasets.own.support.images: 4 requested, but 'few' has 3"),
        ("fwe", 2, "", "support.split: 'fwe' is unknown; allowed: few, rest; did you mean 'few'?"),
        ("few", 2, "retrieval", "retrieval.datasets: 'own' has no objects"),
        ("few", 2, "tracking", "tracking.datasets: 'own' has no objects in videos"),
    ],
)
def test_what_a_folder_lacks_is_found_by_the_plan(
    settings: Make, own: Path, split: str, images: object, task: str, message: str
) -> None:
    chosen = {"datasets": {"own": of_own(own, split, images)}, "fetch.downloaded": []}
    chosen |= {"fetch.placed": ["own"], "segmentation.datasets": []}
    chosen |= {f"{task}.datasets": ["own"]} if task else {}
    with pytest.raises(SettingsError) as caught:
        planned(settings(chosen))
    assert message in str(caught.value)


def test_masks_that_are_not_there_are_found_by_the_plan(settings: Make, own: Path) -> None:
    (own / "masks").rmdir()
    chosen = {"datasets": {"own": of_own(own, "few", 2)}, "fetch.downloaded": []}
    chosen |= {"fetch.placed": ["own"], "segmentation.datasets": ["own"]}
    with pytest.raises(SettingsError, match="'own' has no class masks"):
        planned(settings(chosen))


@pytest.mark.parametrize(
    ("masks", "shots", "message"),
    [
        ("x y z", 3, "datasets.own.query.split: 'w' has no class mask, which segmentation needs"),
        ("x y z.tiff w", 4, ""),
        ("x y z w", 5, "segmentation.shots: 5 is more than the 4 images of 'own'"),
    ],
)
def test_images_that_take_turns_are_counted_and_labelled(
    settings: Make, own: Path, masks: str, shots: int, message: str
) -> None:
    for name in masks.split():
        (own / f"masks/{name if '.' in name else name + '.png'}").touch()
    dataset = of_own(own, "few+rest", "all")
    dataset["support"] |= {"seeds": [0], "folds": 2}
    dataset["query"] |= {"split": "few+rest"}
    chosen = {"datasets": {"own": dataset}, "fetch.downloaded": [], "segmentation.shots": shots}
    chosen |= {"fetch.placed": ["own"], "segmentation.datasets": ["own"]}
    chosen |= {"segmentation.shots_sweep": [], "sweep.datasets": []}
    if not message:
        assert planned(settings(chosen)).images["own"].query == 4
        return
    with pytest.raises(SettingsError) as caught:
        planned(settings(chosen))
    assert message in str(caught.value)
