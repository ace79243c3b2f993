"""What is said of the model to use: its setting, its runner-up, and what would decide."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from patchlens.report.headlines import Headline
from patchlens.site import recommend
from patchlens.site.leads import Lead, Rival, lead
from patchlens.tasks.table import TASKS

TASK = TASKS["selection"]
METRIC = TASK.metrics[0]
RUN: Any = SimpleNamespace(is_floor=lambda model: model == "pixels")


def row(model: str, score: float) -> dict[str, Any]:
    cost = {"gflops_per_image": 9.0, "parameters_m": 22.1}
    chosen = {"chosen_layer": 9, "chosen_variant": "prune", "chosen_head": "knn", "chosen_c": 0.0}
    ends = {"pixel_miou_ci_low": score - 0.1, "pixel_miou_ci_high": score + 0.1}
    about = {"query_unit": "image", "candidates": 45, "dataset": "photos", "model": model}
    return about | cost | chosen | ends | {"pixel_miou": score}


def found(units: int, *rivals: Rival, leader: str = "vit") -> recommend.Recommendation:
    names = [leader, *(rival.model for rival in rivals)]
    rows = pd.DataFrame([row(name, 0.5 - n / 10) for n, name in enumerate(names)])
    headline = Headline(TASK, "photos", "chosen", METRIC, rows)
    return recommend._recommended(Lead(headline, leader, 0.5, rivals, units), RUN)


@pytest.fixture
def differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten points a unit on average, with a spread of 15."""
    values = iter([0.1 + 0.15 * np.resize([1.0, -1.0], 12), np.zeros(12)])
    monkeypatch.setattr(recommend, "weighted_of", lambda task, row: None)
    monkeypatch.setattr(recommend, "by_unit", lambda weighted, key: next(values))


AHEAD = Rival("mae", 0.1, 0.05, 0.15)
LEVEL = Rival("mae", 0.1, -0.02, 0.22)


def test_setting_score_and_cost_are_said() -> None:
    one = found(12, AHEAD)
    assert (one.model, one.setting) == ("vit", "layer 9, variant prune, k-NN")
    assert one.score == (
        "Pixel mIoU 50.0 [40.0, 60.0] % on 12 images that the choice had not seen (45 candidates)."
    )
    assert one.cost == "9.0 GFLOPs an image, 22.1 M parameters."
    assert one.words.startswith("Layer 9 is block 9 of the network, counted from 0. Variant prune:")
    assert one.lines()[0] == "Use vit: layer 9, variant prune, k-NN."


def test_a_rival_that_is_behind_for_sure_can_be_told_apart() -> None:
    one = found(12, AHEAD)
    assert one.rival == (
        "Runner-up: mae, behind by 10.0 points [5.0, 15.0]: the two can be told apart."
    )
    assert one.next.startswith("use it")


@pytest.mark.usefixtures("differences")
def test_a_rival_that_is_level_is_said_with_the_images_that_would_decide() -> None:
    one = found(12, LEVEL)
    assert one.rival.endswith("the two cannot be told apart.")
    assert (
        one.next
        == "1 to 26 more labelled images would separate these two; or take the cheaper one."
    )


@pytest.mark.parametrize(
    ("units", "rival", "text"),
    [(4, LEVEL, "label at least 5 images"), (7, AHEAD, "label 3 more images")],
    ids=["four level", "seven ahead"],
)
def test_few_images_give_no_verdict(units: int, rival: Rival, text: str) -> None:
    assert found(units, rival).next.startswith(text)


def test_the_runner_up_is_a_trained_model_and_a_floor_that_is_level_is_a_warning() -> None:
    floor = Rival("pixels", 0.01, -0.1, 0.1)
    one = found(12, floor, AHEAD)
    assert one.rival.startswith("Runner-up: mae")
    assert "not shown to beat the floor pixels" in one.next


def test_a_floor_that_leads_is_no_recommendation() -> None:
    one = found(12, AHEAD, leader="pixels")
    assert "no model has learned" in one.next


def test_a_model_that_was_run_alone_has_an_answer_of_its_own() -> None:
    rows = pd.DataFrame([row("vit", 0.5)])
    rows = rows.assign(variant="raw", role="rival", pixel_miou_units=12)
    alone = lead(Headline(TASK, "photos", "chosen", METRIC, rows))
    assert alone is not None
    assert (alone.leader, alone.score, alone.rivals, alone.units) == ("vit", 0.5, (), 12)
    one = recommend._recommended(alone, RUN)
    assert (one.rival, one.next) == (
        "Only one model was run.",
        "compare it with others (--models).",
    )
    assert found(12, leader="pixels").next.startswith("pixels is a floor: compare it")
