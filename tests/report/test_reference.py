"""Published numbers beside ours: what is compared, what is not, and why."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from conftest import script
from patchlens.backbones.registry.read import entries
from patchlens.datasets import catalogue
from patchlens.report.reference import Compared, Published, compare, published
from patchlens.settings.models import RegistryModel
from reference_page import fills, page

ROW = {
    "dataset": "streets",
    "model": "slot",
    "origin": "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/x.pth",
    "head": "knn",
    "variant": "raw",
    "pixel_miou": 0.27,
    "grid_rule": "paper",
    "bank_patches": 300.0,
}
PUBLISHED = Published(
    title="t",
    source="s",
    second_hand=True,
    protocol="p",
    task="segmentation",
    needs={"grid_rule": "paper", "bank_patches": {"at_least": 200}},
    band=2.0,
    band_reason="because",
    models={
        "DINO B/16": {
            "weights": ["dino_vitbase16_pretrain"],
            "values": {"knn.raw.pixel_miou": {"cityscapes": 25.5}},
        }
    },
)


def compared(one: Published = PUBLISHED, kind: str = "cityscapes", **changes: object) -> Compared:
    table = pd.DataFrame([ROW | changes])
    [found] = compare({"x": one}, {"segmentation": table}, {"streets": kind})
    return found


def test_the_same_weights_dataset_metric_and_protocol_are_compared() -> None:
    found = compared()
    assert (found.status, found.ours, found.difference) == ("within", 27.0, 1.5)
    assert found.slot == "slot on streets"
    far = compared(pixel_miou=0.281)
    assert (far.status, far.difference) == ("outside", 2.6)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"grid_rule": "equal"}, "grid_rule is equal, but paper in theirs"),
        ({"bank_patches": 199.0}, "bank_patches is 199.0, but at least 200 in theirs"),
        ({"not_official": "weights"}, "not the official file (weights)"),
        ({"bank_patches": None}, "bank_patches is None, but at least 200 in theirs"),
    ],
)
def test_another_protocol_is_shown_but_not_compared(changes: dict, why: str) -> None:
    found = compared(**changes)
    assert (found.status, found.why, found.difference) == ("not comparable", why, None)
    assert found.ours == 27.0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"origin": "weights/dino.safetensors"}, "no model slot has these weights"),
        ({"kind": "minicity"}, "segmentation was not run on cityscapes"),
        ({"variant": "prune"}, "this head, variant or metric was not run"),
        ({"pixel_miou": None}, "this head, variant or metric was not run"),
    ],
)
def test_what_is_missing_is_not_run_and_says_why(changes: dict, why: str) -> None:
    found = compared(**changes)
    assert (found.status, found.ours, found.why) == ("not run", None, why)


def test_a_run_without_the_task_and_numbers_of_no_task_are_not_compared() -> None:
    [found] = compare({"x": PUBLISHED}, {"segmentation": pd.DataFrame()}, {})
    assert found.status == "not run"
    other = PUBLISHED.model_copy(update={"why_not": "it is another thing"})
    assert (compared(other).status, compared(other).why) == (
        "not comparable",
        "it is another thing",
    )


def test_the_shipped_numbers_name_weights_kinds_and_scores_that_exist() -> None:
    origins = [str(entry.source.model_dump()) for entry in entries().values()]
    kinds = set(catalogue.entries())
    for one in published().values():
        for name, model in one.models.items():
            for text in model.weights:
                by_timm = text.endswith((".dino", ".mae"))
                assert by_timm or any(text in origin for origin in origins), f"{name}: {text}"
            for values in model.values.values():
                known = kinds if one.why_not is None else kinds | {"copydays", "imagenet1k"}
                assert set(values) <= known
                assert all(0 < value < 100 for value in values.values())


def test_the_most_relevant_numbers_are_those_of_the_source() -> None:
    capi = published()["capi_frozen"]
    mae = capi.models["MAE L/16"].values
    assert mae["knn.raw.pixel_miou"] == {"ade20k": 7.8, "cityscapes": 25.3, "voc2012": 17.3}
    assert mae["knn.zscore.pixel_miou"] == {"ade20k": 21.5, "cityscapes": 32.8, "voc2012": 53.7}
    assert capi.second_hand
    assert published()["dino_davis"].models["DINO B/8"].values["davis.raw.jf_mean"] == {
        "davis2017": 71.4
    }


def test_the_document_has_every_number_and_marks_second_hand_ones() -> None:
    found = [compared(), compared(origin="other"), compared(pixel_miou=0.281)]
    text = page(found, {})
    assert "3 numbers: 1 within the band, 1 outside the band, 0 not comparable, 1 not run." in text
    assert "Source: s (second-hand, from a transcript)." in text
    assert "Band: ±2 points. because" in text
    line = "| DINO B/16 | cityscapes | knn.raw.pixel_miou | 25.5 | 27 (slot on streets) | +1.5 |"
    assert f"{line} within the band |" in re.sub(" +", " ", text)  # columns are padded
    _, folded = text.split("## What nothing here can be compared with")
    assert "| DINO B/16 | cityscapes | knn.raw.pixel_miou | 25.5 |\n" in re.sub(" +", " ", folded)


@pytest.mark.parametrize(
    ("change", "filled"),
    [
        ({}, True),
        ({"kind": "ade20k"}, False),
        ({"model": "mae_vitb16"}, False),
        ({"variants": ["prune"]}, False),
        ({"heads": ["linear"]}, False),
    ],
)
def test_an_empty_place_is_one_that_a_preset_fills(change: dict[str, Any], filled: bool) -> None:
    given = {"kind": "cityscapes", "model": "dino_vitb16", "variants": ["raw"], "heads": ["knn"]}
    given |= change
    preset: Any = SimpleNamespace(
        variants=given["variants"],
        sections=lambda: {"segmentation": SimpleNamespace(datasets=["x"], heads=given["heads"])},
        models={"m": RegistryModel(source="registry", model=given["model"])},
        datasets={"x": SimpleNamespace(kind=given["kind"])},
    )
    row = compared(origin="other")
    assert fills(preset, row) == filled
    assert ("not run; presets: own |" in page([row], {"own": preset})) == filled


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"band": None}, "'band' and 'band_reason' go together"),
        ({"band": None, "band_reason": None}, "'band' is missing"),
        (
            {"models": {"m": {"weights": [], "values": {"mIoU": {"d": 1.0}}}}},
            "'mIoU' is not a score",
        ),
    ],
)
def test_a_mistake_in_the_data_is_named(changes: dict, message: str) -> None:
    fields = PUBLISHED.model_dump() | changes
    with pytest.raises(ValueError, match=message):
        Published.model_validate(fields)


def test_the_committed_document_is_that_of_the_committed_tables(root: Path) -> None:
    assert script("reference_page.py", "--check") == 0
