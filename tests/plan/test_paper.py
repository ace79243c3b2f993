"""presets/paper.yaml holds what the paper and its authors' scripts state (docs: its comments)."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from patchlens.backbones.registry.read import find
from patchlens.cli import app
from patchlens.settings.load import Settings, load
from patchlens.settings.models import RegistryModel
from patchlens.tasks.known import known

ROOT = Path(__file__).parents[2]
PRESET = ROOT / "presets/paper.yaml"
# slot -> architecture, patch size, and a text of the weights' origin that claims.yaml asks for
MODELS = {
    "dino": ("vit_base_patch16_224", 16, "dino_vitbase16_pretrain"),
    "dinov2": ("vit_base_patch14_dinov2", 14, "dinov2"),
    "dinov2_l": ("vit_large_patch14_dinov2", 14, "dinov2"),
    "mae": ("vit_base_patch16_224", 16, "mae_pretrain"),
    "mae_l": ("vit_large_patch16_224", 16, "mae_pretrain"),
    "simmim": ("beit_base_patch16_224", 16, "simmim"),
    "ibot": ("vit_base_patch16_224", 16, "ibot"),
    "supervised": ("vit_base_patch16_224", 16, "vit_b_16"),
    "supervised_l": ("vit_large_patch16_224", 16, "vit_l_16"),
    "ijepa": ("vit_huge_patch14_gap_224", 14, "ijepa"),
    "beit": ("beit_base_patch16_224", 16, "pt22k"),
    "scalemae": ("vit_large_patch16_224", 16, "scalemae"),
}


@pytest.fixture(scope="module")
def paper() -> Settings:
    return load(PRESET, known())


def origin(settings: Settings, slot: str) -> str:
    """What the weight file of a slot will say of its origin, as far as it is known before."""
    model = settings.model(slot)
    assert isinstance(model, RegistryModel)
    return f"{model.model}: {find(model.model, slot).source.address}"


def test_the_models_are_the_papers_and_two_floors(paper: Settings) -> None:
    assert list(paper.models) == [*MODELS, "random", "pixels"]


@pytest.mark.parametrize("slot", MODELS)
def test_a_slot_holds_what_its_name_promises(paper: Settings, slot: str) -> None:
    arch, patch, text = MODELS[slot]
    model = paper.model(slot)
    assert isinstance(model, RegistryModel)
    entry = find(model.model, slot)
    assert (entry.arch, entry.patch_size) == (arch, patch)
    assert text in origin(paper, slot)
    assert "regist" not in entry.title.lower()
    assert (model.position, model.interpolation, model.file) == (None, None, None)


def test_claims_find_their_weights(paper: Settings) -> None:
    claims = yaml.safe_load((ROOT / "claims.yaml").read_text(encoding="utf-8"))
    slots = [
        slot
        for claim in claims.values()
        if claim.get("group") == "paper"
        for slot in claim.get("slots", {}).items()
    ]
    assert slots
    for slot, texts in slots:
        assert any(text in origin(paper, slot) for text in texts), slot


def test_cityscapes_is_cut_and_drawn_as_in_the_scripts(paper: Settings) -> None:
    city = paper.dataset("cityscapes")
    assert city.view.describe(16) == "tiles of 256 at 224×224"
    support, query = city.few_shot()
    assert (support.split, support.per, query.split, query.per) == (
        "train",
        "group",
        "val",
        "group",
    )
    assert (paper.segmentation.shots, query.images, query.unit) == (4, 10, "image")
    assert len(support.seeds) >= 5


def test_ade20k_is_at_224_with_4_shots(paper: Settings) -> None:
    scenes = paper.dataset("ade20k")
    assert scenes.view.describe(14) == "whole images at 224×224"
    support, query = scenes.few_shot()
    assert (support.split, support.images, support.per) == ("training", 4, "class")
    assert query.split == "validation"


def test_scores_are_made_as_in_the_paper(paper: Settings) -> None:
    s = paper.segmentation
    assert s.datasets == ["cityscapes", "ade20k"]
    assert (s.k, s.label, s.knn.distance, s.heads) == (1, "nearest", "cosine", ["knn", "linear"])
    assert (paper.prune.m, paper.prune.fit_on) == (0.26, "dataset")
    assert (paper.features.layer, paper.features.norm) == (-1, True)
    assert {"raw", "prune", "zscore", "keep_top"} <= set(s.variants)


def test_the_plan_says_what_the_preset_takes_and_that_every_claim_of_the_paper_is_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("dvc.yaml", "claims.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=200e9))
    result = CliRunner().invoke(app, ["plan", "--params", str(PRESET), "--json"])
    assert result.exit_code != 0
    assert "`patchlens repro --drop-features` needs less. Else use fewer models" in result.stderr
    plan = json.loads(result.stdout)
    claims = yaml.safe_load((ROOT / "claims.yaml").read_text(encoding="utf-8"))
    of_paper = {name for name, claim in claims.items() if claim.get("group") == "paper"}
    assert {"c1", "c4_random", "c6_robustness"} < of_paper
    assert not of_paper & set(plan["not_run"])
    assert plan["stages"]["segmentation"] == 2 * (len(MODELS) + 2)
    sizes = {name: (i["support"], i["query"]) for name, i in plan["images"].items()}
    assert sizes == {
        "cityscapes": (5 * 18 * 4, 3 * 10),
        "cityscapes_equal": (0, 3 * 10),
        "ade20k": (5 * 150 * 4, 500),
        "bdd100k_track": (0, 10 * 200),  # about 200 frames a sequence
        "fair1m": (0, 2000),
        "davis2017": (0, 12 * 67),
    }
    restricted = {d["name"] for d in plan["downloads"] if d["non_commercial"]}
    assert restricted == {"mae", "mae_l", "ijepa", "scalemae"}
    (city,) = [c for c in plan["cells"] if (c["model"], c["dataset"]) == ("dino", "cityscapes")]
    assert city["grid"] == [4 * 14, 8 * 14]
    copies = 10 * 9 * 4  # degraded: images, degradations, severities
    assert city["features"] == 390 * 56 * 112 * 768 * 2
    (equal,) = [c for c in plan["cells"] if c["model"] == "dino" and c["dataset"].endswith("equal")]
    assert equal["features"] == (30 + copies) * 56 * 112 * 768 * 2
    assert 310e9 < plan["features"] < 330e9
    assert plan["unknown"] == []
    assert [d["name"] for d in plan["downloads"] if "cityscapes" in d["name"]] == [
        "cityscapes, cityscapes_equal"
    ]
    assert plan["stages"]["degrade"] == plan["stages"]["identification"] == len(MODELS) + 2
