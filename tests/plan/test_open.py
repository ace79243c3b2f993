"""presets/open.yaml and open-small.yaml: what anyone can fetch, and all that the claims ask for."""

from pathlib import Path

import pytest

from patchlens.backbones.registry.read import find
from patchlens.datasets import catalogue
from patchlens.features.variants import VARIANTS
from patchlens.plan.make import ROOM, make
from patchlens.report.judge import Configured, missing
from patchlens.report.measures import names
from patchlens.report.reference import AtLeast, published
from patchlens.settings.claims import Claim
from patchlens.settings.claims import load as load_claims
from patchlens.settings.datasets import Collected
from patchlens.settings.load import Settings, load
from patchlens.settings.models import RegistryModel
from patchlens.tasks.known import known
from patchlens.tasks.table import cells
from patchlens.tasks.tracking.settings import Tracking

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["open", "open-small"])
def preset(request: pytest.FixtureRequest) -> Settings:
    return load(ROOT / f"presets/{request.param}.yaml", known())


@pytest.fixture(scope="module")
def claims() -> dict[str, Claim]:
    found = load_claims(ROOT / "claims.yaml", names(), VARIANTS)
    return {name: claim for name, claim in found.items() if claim.group == "open"}


def test_nothing_needs_an_account_or_a_hand(preset: Settings) -> None:
    assert (preset.fetch.made, preset.fetch.placed) == ([], [])
    assert preset.fetch.downloaded == list(preset.datasets) == preset.extract.datasets
    for name, dataset in preset.datasets.items():
        assert isinstance(dataset, Collected)
        assert (dataset.kind, dataset.root, dataset.archives) == (name, None, None)
        facts = catalogue.find(dataset.kind)
        assert (facts.access, bool(facts.archives)) == ("open", True), name
    for name, model in preset.models.items():
        if not isinstance(model, RegistryModel):
            assert model.source in ("untrained", "pixels")
            continue
        source = find(model.model, name).source
        assert (source.kind in ("url", "hub"), source.gated, model.file) == (True, False, None), (
            name
        )


def test_every_open_claim_can_be_judged(preset: Settings, claims: dict[str, Claim]) -> None:
    kinds = {name: dataset.kind for name, dataset in preset.datasets.items()}
    configured = Configured(list(preset.models), cells(preset), kinds)
    assert len(claims) >= 11
    for name, claim in claims.items():
        why = [reason for reason in missing(claim, configured) if "extract.json" not in reason]
        assert why == [], name
        used = {side.variant for side in (claim.a, claim.b, claim.chance) if side is not None}
        assert used <= set(preset.variants), name
        for slot, texts in claim.slots.items():
            model = preset.model(slot)
            assert isinstance(model, RegistryModel)
            origin = f"{model.model}: {find(model.model, slot).source.address}"
            assert any(text in origin for text in texts), (name, slot)


def test_the_disk_of_a_laptop_holds_one_model_at_a_time(
    preset: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make(preset, ROOT / "dvc.yaml")
    assert plan.unknown == []
    assert ROOM * plan.largest + plan.downloaded <= 60e9


def test_robustness_of_patches_is_scored_on_one_grid(preset: Settings) -> None:
    for name in cells(preset)["identification"]:
        assert preset.dataset(name).view.grid == "equal"


def test_units_are_enough_for_a_verdict_where_the_preset_says_how_many(preset: Settings) -> None:
    for name in preset.segmentation.datasets:
        _, query = preset.dataset(name).few_shot()
        assert query.images == "all" or query.images >= 10


def test_the_small_one_differs_in_models_and_amounts_only() -> None:
    whole, small = (load(ROOT / f"presets/{n}.yaml", known()) for n in ("open", "open-small"))
    assert set(whole.models) - set(small.models) == {"mae_l"}
    for section in ("prune", "retrieval", "tracking", "sweep", "uncertainty", "fetch", "extract"):
        assert whole.sections().get(section) == small.sections().get(section), section
    assert {n: d.view for n, d in whole.datasets.items()} == {
        n: d.view for n, d in small.datasets.items()
    }


def test_the_settings_are_those_of_the_numbers_beside_which_ours_are_put() -> None:
    preset, numbers = load(ROOT / "presets/open.yaml", known()), published()
    capi, davis = numbers["capi_frozen"].needs, numbers["dino_davis"].needs
    for name in preset.segmentation.datasets:
        view = preset.dataset(name).view
        rows, columns = (side // 16 for side in view.input_size(16))
        assert [view.describe(16)] == capi["view"], name
        bank = capi["bank_patches"]
        assert isinstance(bank, AtLeast)
        # 0.89: the share of the pixels of ADE20K that have a class
        assert preset.segmentation.shots * rows * columns * 0.89 >= bank.at_least
    video = preset.dataset("davis2017")
    assert video.query is not None
    assert video.view.describe(16) in str(davis["view"])
    assert (video.query.images, video.query.sequences, davis["videos"]) == ("all", None, 30)
    propagation = preset.section(Tracking).davis.model_dump()
    assert {key: davis[key] for key in propagation} == propagation
