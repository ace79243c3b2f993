"""The page of results: which lines it has, and what is bold."""

import numpy as np
import pandas as pd
import pytest

from patchlens.report import headlines, results
from patchlens.tasks.table import TASKS


def row(model: str, variant: str, head: str = "knn", **more: object) -> dict[str, object]:
    scores = {"pixel_miou": 0.5, "pixel_miou_ci_low": 0.4, "pixel_miou_ci_high": 0.6}
    marks = {"pixel_miou_level_with_best_model": False}
    gain = {f"pixel_miou_gain{end}": np.nan for end in ("", "_ci_low", "_ci_high")}
    names = {"dataset": "d", "model": model, "head": head, "variant": variant}
    return names | scores | marks | gain | more


@pytest.fixture
def lines() -> list[headlines.Headline]:
    better = {"pixel_miou": 0.7, "pixel_miou_level_with_best_model": True}
    gains = {
        "pixel_miou_gain": 0.02,
        "pixel_miou_gain_ci_low": 0.01,
        "pixel_miou_gain_ci_high": 0.03,
    }
    lost = {"pixel_miou_gain": -0.02, "pixel_miou_gain_ci_low": -0.05}
    t1 = [
        row("a", "raw"),
        row("b", "raw", **better),
        row("a", "prune", **gains),
        row("b", "prune", **gains | lost),
        row("a", "raw", "linear"),
        row("b", "raw", "linear"),
        row("a", "raw", "majority"),
    ]
    t4 = [
        {"dataset": "v", "model": model, "head": "link", "variant": "raw"}
        | {f"idsw{end}": value for end, value in (("", 12.5), ("_ci_low", 9), ("_ci_high", 15))}
        | {f"assa{end}": 0.25 for end in ("", "_ci_low", "_ci_high")}
        | {"idsw_level_with_best_model": model == "a", "assa_level_with_best_model": True}
        for model in ("a", "b")
    ]
    of_task = {"segmentation": t1, "tracking": t4}
    return [
        found
        for task, rows in of_task.items()
        for found in headlines.of(TASKS[task], pd.DataFrame(rows))
    ]


def test_every_headline_metric_of_every_head_is_a_line_and_the_floor_is_none(lines):
    assert [(line.dataset, line.task.name, line.head, line.metric.key) for line in lines] == [
        ("d", "segmentation", "knn", "pixel_miou"),
        ("d", "segmentation", "linear", "pixel_miou"),
        ("v", "tracking", "link", "assa"),
        ("v", "tracking", "link", "idsw"),
    ]


def test_models_are_compared_as_they_are(lines):
    table = results.models(lines).splitlines()
    assert [cell.strip() for cell in table[2].strip("|").split("|")] == [
        "dataset",
        "task",
        "a",
        "b",
    ]
    knn = next(line for line in table if "k-NN" in line)
    assert "| 50.0 [40.0, 60.0]" in knn
    assert "| **70.0 [40.0, 60.0]**" in knn
    switches = next(line for line in table if "ID switches" in line)
    assert "**12.5 [9, 15]**" in switches
    assert "| 12.5 [9, 15]" in switches


def test_gains_are_bold_where_their_interval_excludes_0(lines):
    text = results.gains(lines[0])
    assert text.startswith("**d: segmentation, k-NN: pixel mIoU (%)**")
    assert "| **+2.0 [+1.0, +3.0]** |" in text
    assert "| -2.0 [-5.0, +3.0] " in text
    assert "raw" not in text


def test_what_a_variant_changes_is_shown_for_both_heads_of_t1_and_once_a_task(lines):
    shown = [line.metric.key for line in results.first_of_each_task(lines)]
    assert shown == ["pixel_miou", "pixel_miou", "assa"]


def test_without_any_dataset_the_page_has_no_line(here):
    for task in (task for task in TASKS.values() if not task.study):
        (here / f"{task.name}.csv").write_text("dataset,model,head,variant\n")
    text = results.page(here)
    assert "## Which model for which task" in text
    assert not [line for line in text.splitlines() if line.startswith("| d ")]
