"""The results page: which lines it has, what is bold, and figures that hold what the cells hold."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from configured import configured
from patchlens import paths
from patchlens.display import style
from patchlens.errors import DataError
from patchlens.report import headlines, results
from patchlens.tasks.sweep import figures as sweep_figures
from patchlens.tasks.table import TASKS
from patchlens.tasks.variance import figures as variance_figures
from patchlens.tasks.variance import why_figures


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
    assert text.startswith("**segmentation, k-NN: pixel mIoU (%)**")
    assert "| **+2.0 [+1.0, +3.0]** |" in text
    assert "| -2.0 [-5.0, +3.0] " in text
    assert "raw" not in text


def test_what_a_variant_changes_is_shown_for_both_heads_of_t1_and_once_a_task(lines):
    shown = [line.metric.key for line in results.first_of_each_task(lines)]
    assert shown == ["pixel_miou", "pixel_miou", "assa"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[mpl.figure.Figure]:
    """The figures that would be written."""
    found: list[mpl.figure.Figure] = []
    for module in (variance_figures, sweep_figures):
        monkeypatch.setattr(module, "save", lambda figure, path: found.append(figure))
    return found


def test_spectra_are_those_of_the_cells(drawn, here):
    first = pd.DataFrame({"layer": 3, "cumulative": [1, 1, 1], "eigen_cumulative": [1, 1, 1]})
    table = pd.DataFrame({"layer": 7, "cumulative": [0.5, 0.8, 1], "eigen_cumulative": [0.9, 1, 1]})
    half = table.assign(cumulative=table["cumulative"] / 2)
    variance_figures.draw({"a": pd.concat([first, table]), "b": half}, here / "s.png")
    left, right = drawn[0].axes
    curves = {line.get_label(): line.get_ydata() for line in left.lines[:2]}
    np.testing.assert_allclose(curves["a"], [50, 80, 100])
    np.testing.assert_allclose(curves["b"], [25, 40, 50])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [90, 100, 100])
    assert len({line.get_color() for line in left.lines}) == 3


def test_pruning_is_in_points_over_raw(drawn, here):
    lines = [("raw", 0.1, 0.4), ("prune", 0.2, 0.5), ("prune", 0.1, 0.45), ("keep_top", 0.1, 0.1)]
    table = pd.DataFrame(lines, columns=["variant", "m", "score"]).assign(head="knn")
    sweep_figures.draw({"a": table, "b": table}, here / "p.png")
    assert [axes.get_title() for axes in drawn[0].axes] == ["a", "b"]
    curves = {line.get_label(): line for line in drawn[0].axes[0].lines}
    np.testing.assert_allclose(curves["prune"].get_ydata(), [5, 10])
    np.testing.assert_allclose(curves["prune"].get_xdata(), [10, 20])
    np.testing.assert_allclose(curves["keep_top"].get_ydata(), [-30])


def test_a_figure_has_the_same_bytes_every_time(here):
    table = pd.DataFrame({"layer": 7, "cumulative": [0.5, 1], "eigen_cumulative": [0.9, 1]})
    for name in ("a.png", "b.png"):
        variance_figures.draw({"a": table}, here / name)
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    for module in (variance_figures, sweep_figures, why_figures):
        assert module.save is style.save


def test_without_any_dataset_the_page_says_so(here):
    for task in ("segmentation", "identification", "retrieval", "tracking"):
        with pytest.raises(DataError, match=f"{task}.csv: missing; run `dvc repro`"):
            results.run(configured(runs={}))
        paths.TABLES.mkdir(parents=True, exist_ok=True)
        (paths.TABLES / f"{task}.csv").write_text("dataset,model,head,variant\n")
    (paths.TABLES / "variance.md").write_text("No dataset.\n")
    paths.CLAIMS_TABLE.parent.mkdir()
    paths.CLAIMS_TABLE.with_suffix(".md").write_text("c1: not run\n")
    results.run(configured(runs={}))
    text = (paths.RESULTS / "README.md").read_text()
    assert [p.name for p in paths.RESULTS.iterdir()] == ["README.md"]
    assert text.index("No dataset.") < text.index("## The verdicts") < text.index("c1: not run")
