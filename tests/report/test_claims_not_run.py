from dataclasses import replace

import numpy as np
import pytest

from patchlens.report.claims_table import markdown
from patchlens.report.judge import judge
from patchlens.tasks.segmentation import metrics
from report.court import UNITS, about, claim, configured, write_cell, write_index

RAW = ("knn", "raw")


@pytest.fixture(autouse=True)
def town(here):
    write_index("town", [f"u{i}" for i in range(UNITS)])
    write_cell("town", "one", {RAW: about(10)}, origin="timm vit_base_patch16_224.dino")
    write_cell("town", "two", {RAW: about(30)}, origin="seed 0")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"a": {"models": ["dino"]}}, "not in models: dino"),
        ({"datasets": ["town", "sea"]}, "not in datasets: sea"),
        (
            {"a": {"models": ["one"], "variant": "prune"}},
            "one on town: head knn with variant prune was not scored",
        ),
        (
            {"metric": "segmentation.linear.pixel_miou"},
            "one on town: head linear with variant raw was not scored",
        ),
        (
            {"b": {"models": ["three"]}},
            "three on town: segmentation.records.parquet is missing",
        ),
        (
            {"metric": "variance.top1"},
            "one on town: variance.records.parquet is missing",
        ),
        ({"datasets": ["farm"], "metric": "variance.top1"}, "variance does not run on farm"),
        ({"slots": {"two": ["dino", "mae"]}}, "slot two has the weights seed 0, not dino or mae"),
        (
            {"b": {"models": ["three"]}, "slots": {"three": ["mae"]}},
            "three on town: extract.json is missing",
        ),
        (
            {"a": {"models": ["dino"]}, "datasets": ["sea"]},
            "not in models: dino; not in datasets: sea",
        ),
    ],
)
def test_what_the_run_does_not_hold_is_a_reason_and_no_error(changes, reason):
    outcome = judge({"c": claim(**changes)}, configured(), 200, 0)["c"]
    assert (outcome.verdict, outcome.note) == ("not run", reason)


def test_a_shipped_claim_is_judged_on_another_view_of_its_dataset():
    """A second dataset of the kind is meant if the task does not run on the first."""
    slots = {"one": ["dino"], "two": ["seed"]}
    of = claim(group="paper", slots=slots, datasets=["city"])
    kinds = {"city": "city", "town": "city"}
    town = configured(kinds=kinds, tasks={"segmentation": ["town"]})
    found = judge({"c": of}, town, 200, 0)["c"]
    assert (found.was_run, found.claim.datasets) == (True, ["town"])
    for tasks, why in (
        (["city", "town"], "one on city: extract.json is missing"),  # its own name comes first
        ([], "segmentation does not run on city"),
    ):
        other = configured(kinds=kinds, tasks={"segmentation": tasks})
        assert why in judge({"c": of}, other, 200, 0)["c"].note
    two = configured(kinds=kinds | {"farm": "city"}, tasks={"segmentation": ["town", "farm"]})
    assert judge({"c": of}, two, 200, 0)["c"].note == "segmentation does not run on city"
    mine = claim(slots=slots, datasets=["city"])
    assert not judge({"c": mine}, town, 200, 0)["c"].was_run


def test_a_claim_about_several_datasets_has_a_part_on_each_that_enters_no_family():
    both, alone = claim(datasets=["town", "farm"]), claim()
    found = judge({"both": both, "alone": alone}, configured(), 200, 0)
    assert list(found) == ["both", "both@town", "alone"]  # nothing is known of farm
    assert not found["both"].was_run
    part, same = found["both@town"], found["alone"]
    assert (part.effect, part.p, part.verdict) == (same.effect, same.p, same.verdict)
    assert part.p_holm == part.p
    assert same.p_holm == same.p  # the part is no second claim
    assert (part.part, same.part) == (True, False)
    assert part.note.endswith("a part of the claim above, with its own p")
    table = markdown(found, 200)
    assert "On town alone: A beats B." in table


def test_files_that_are_not_official_bar_slots_and_shipped_claims():
    raw, slots = {RAW: about(10)}, {"one": ["seed"], "two": ["seed"]}
    own = claim(slots=slots)
    shipped = claim(group="paper", slots=slots, datasets=["town"])
    names = configured(kinds={"town": "town"}, tasks={"segmentation": ["town"]})
    write_cell("town", "one", raw, extract={"not_official": "dataset"})
    found = judge({"own": own, "shipped": shipped}, names, 200, 0)
    assert found["own"].was_run
    assert found["shipped"].note == "dataset town is not the official file"
    origin = "x from y, not the official file"
    write_cell("town", "one", raw, origin=origin, extract={"not_official": "weights"})
    note = f"slot one has the weights {origin}"
    assert judge({"own": own}, names, 200, 0)["own"].note == note
    assert judge({"own": claim()}, names, 200, 0)["own"].was_run  # states no weights


def test_a_score_that_some_resamples_leave_undefined_is_a_reason_and_no_error(monkeypatch):
    weigh = metrics.weighted

    def of_one_unit(rows, index):
        whole = weigh(rows, index)

        def scores(weights, wanted):
            found = whole.metrics(weights, wanted)
            return {name: np.where(weights[:, :1] > 0, v, np.nan) for name, v in found.items()}

        return replace(whole, metrics=scores)

    monkeypatch.setattr(metrics, "weighted", of_one_unit)
    outcome = judge({"c": claim()}, configured(), 200, 0)["c"]
    reason = "one on town: pixel_miou of knn is undefined in some resamples of the 24 units"
    assert (outcome.verdict, outcome.note) == ("not run", reason)


def test_a_left_over_cell_of_a_removed_model_decides_nothing():
    assert judge({"c": claim()}, configured(), 200, 0)["c"].was_run
    outcome = judge({"c": claim()}, configured(models=["one"]), 200, 0)["c"]
    assert outcome.note == "not in models: two"


@pytest.mark.parametrize(
    ("origin", "runs"),
    [
        ("timm vit_base_patch16_224.mae", True),
        ("file MAE_pretrain_vit_base.pth, sha256 00", True),
        ("seed 0", False),  # its architecture says .dino, which is no witness
        ("timm vit_base_patch14_dinov2.lvd142m", False),
    ],
)
def test_a_claim_of_the_paper_is_judged_with_the_papers_families_only(origin, runs):
    write_index("cityscapes", [f"u{i}" for i in range(UNITS)])
    write_cell("cityscapes", "one", {RAW: about(10)}, origin="timm vit_base_patch16_224.dino")
    write_cell("cityscapes", "two", {RAW: about(30)}, origin=origin)
    slots = {"one": ["16_224.dino"], "two": [".mae", "mae_pretrain"]}
    paper = claim(group="paper", datasets=["cityscapes"], slots=slots)
    real = {"tasks": {"segmentation": ["cityscapes"]}, "kinds": {"cityscapes": "cityscapes"}}
    outcome = judge({"c": paper}, configured(**real), 200, 0)["c"]
    assert outcome.was_run == runs
    assert runs or outcome.note == f"slot two has the weights {origin}, not .mae or mae_pretrain"
    mock = real | {"kinds": {"cityscapes": "folder"}}
    outcome = judge({"c": paper}, configured(**mock), 200, 0)["c"]
    assert outcome.note == "dataset cityscapes is of kind folder, but the claim is about cityscapes"
