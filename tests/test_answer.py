"""The README's table of the default: what it says is what the tables of the pipeline hold."""

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from conftest import script
from test_readme import block

VIDEO = {"dataset": "minicity_video"}
TABLES = ("segmentation", "identification", "retrieval", "tracking")


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    """A folder with the script, the tables of the pipeline and a README that has an empty block."""
    tables = [f"metrics/tables/{task}.csv" for task in TABLES]
    for name in ("scripts/answer.py", "scripts/embed.py", *tables):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, tmp_path / name)
    (tmp_path / "README.md").write_text("<!-- results -->\n<!-- /results -->\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """What the script says of the tables in a folder."""
    monkeypatch.syspath_prepend(str(root / "scripts"))
    made: Callable[[Path], str] = importlib.import_module("answer").answer
    return lambda folder: made(folder / "metrics/tables")


def change(folder: Path, task: str, chosen: dict[str, str], **values: object) -> None:
    """Set columns of the rows of a table that hold `chosen`."""
    path = folder / f"metrics/tables/{task}.csv"
    table = pd.read_csv(path)
    rows = (table[list(chosen)] == pd.Series(chosen)).all(axis=1)
    assert rows.any()
    for column, value in values.items():
        table.loc[rows, column] = value
    table.to_csv(path, index=False)


def test_the_readme_holds_the_answer_of_the_tables(copied: Path, root: Path) -> None:
    assert script("answer.py", of=copied, cwd=copied) == 0
    assert block(copied / "README.md", "results") == block(root / "README.md", "results") != ""


def test_it_has_at_most_eight_columns_and_a_row_for_each_model(
    copied: Path, answer: Callable[[Path], str]
) -> None:
    lines = [line for line in answer(copied).splitlines() if line.startswith("|")]
    assert {line.count("|") - 1 for line in lines} == {8}
    models = pd.read_csv(copied / "metrics/tables/segmentation.csv")["model"].unique()
    assert [line.split()[1] for line in lines[2:]] == list(models)


@pytest.mark.parametrize(
    ("task", "column", "chosen", "key"),
    [
        ("segmentation", 2, {"head": "knn", "variant": "raw"}, "pixel_miou"),
        ("segmentation", 3, {"head": "knn", "variant": "prune"}, "pixel_miou"),
        ("segmentation", 4, {"head": "linear", "variant": "raw"}, "pixel_miou"),
        ("identification", 5, {"head": "patch", "variant": "raw"}, "robustness"),
        (
            "retrieval",
            6,
            {"head": "instance", "variant": "raw", "dataset": "minicity_video"},
            "map",
        ),
        ("tracking", 7, {"head": "association", "variant": "raw"}, "d10"),
    ],
)
def test_a_column_is_the_score_with_its_interval_and_mark(
    copied: Path,
    answer: Callable[[Path], str],
    task: str,
    column: int,
    chosen: dict[str, str],
    key: str,
) -> None:
    values = {key: 0.111, f"{key}_ci_low": 0.1, f"{key}_ci_high": 0.125}
    change(
        copied, task, chosen | {"model": "ibot"}, **values, **{f"{key}_level_with_best_model": True}
    )
    [row] = [line for line in answer(copied).splitlines() if line.startswith("| ibot ")]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[column] == "**11.1 [10.0, 12.5]**"
    assert sum("11.1 [" in cell for cell in cells) == 1


def test_the_conclusion_counts_columns_and_names_floors(
    copied: Path, answer: Callable[[Path], str]
) -> None:
    for task in TABLES:
        table = pd.read_csv(copied / f"metrics/tables/{task}.csv")
        for column in [name for name in table if name.endswith("_level_with_best_model")]:
            table[column] = table["model"] == "dino"
        table.to_csv(copied / f"metrics/tables/{task}.csv", index=False)
    text = answer(copied)
    assert "separable from the best: `dino` in 5 of 5 columns (T4, Δ = 10 not counted" in text
    assert "floor is among the best" not in text
    found = {"head": "association", "variant": "raw", "model": "pixels"}
    change(copied, "tracking", found, d10_level_with_best_model=True)
    assert "floor is among the best" not in answer(copied)  # of four videos
    change(copied, "tracking", {"head": "association"}, d10_units=10)
    text = answer(copied)
    assert "`dino` in 6 of 6 columns." in text
    assert "In T4, Δ = 10 (`pixels`) a floor is among the best" in text


def test_few_units_are_said_to_be_too_few(copied: Path, answer: Callable[[Path], str]) -> None:
    assert "Fewer than 10 videos are too few" in answer(copied)
    change(copied, "tracking", {"head": "association"}, d10_units=10)
    change(copied, "identification", {"head": "patch"}, robustness_units=9)
    assert "Fewer than 10 source images are too few" in answer(copied)


@pytest.mark.parametrize("datasets", [0, 2])
def test_a_run_without_one_dataset_per_column_is_refused(
    copied: Path, answer: Callable[[Path], str], datasets: int
) -> None:
    path = copied / "metrics/tables/retrieval.csv"
    table = pd.read_csv(path)
    pd.concat([table.assign(dataset=f"d{i}") for i in range(datasets)] or [table[:0]]).to_csv(
        path, index=False
    )
    with pytest.raises(SystemExit, match=r"retrieval\.csv: .*datasets \[.*make readme"):
        answer(copied)
