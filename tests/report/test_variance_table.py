"""The table of the variance study, and the overlap of top sets between datasets."""

import pytest

from patchlens.tasks.variance.table import between_datasets, latex, markdown, rows


def cell(top: float, *, layers: bool = True) -> dict:
    numbers = {
        "top1": top,
        "top5": 0.5,
        "top_1pct": top,
        "top_10pct": 0.6,
        "participation": 12.34,
        "pca_participation": 3.21,
        "kurtosis_top": 2.5,
    }
    for i, cue in enumerate(("row", "column", "brightness", "edges")):
        numbers |= {f"{cue}_top": 0.1 * i, f"{cue}_rest": 0.05}
    shares = {"top_1pct": 1.0, "top_10pct": 0.9, "prune_m": 0.87}
    overlap = {"seeds": shares, "chance": {"top_1pct": 0.01, "top_10pct": 0.1, "prune_m": 0.26}}
    if layers:
        overlap["layers"] = shares | {"prune_m": 0.5}
    protocol = {"protocol_version": 1, "patches": 640, "images": 10, "view": "whole images"}
    protocol |= {"layer": 7, "norm": "True", "dtype": "float16", "seeds": 5, "prune_m": 0.26}
    return numbers | {"overlap": overlap, "protocol": protocol}


CELLS = {("town", "mae"): cell(0.4), ("town", "pixels"): cell(0.2, layers=False)}


def lines(text: str) -> dict[str, list[str]]:
    split = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    return {line[0]: line[1:] for line in split if len(line) > 2}


def test_a_row_a_model_with_the_numbers_of_its_cell():
    text = markdown(rows(CELLS), between_datasets({}, 0.26))
    found = lines(text)
    shown = ["40.0", "50.0", "40.0", "60.0", "12.3", "3.2", "2.5"]
    cues = ["0.00 / 0.05", "0.10 / 0.05", "0.20 / 0.05", "0.30 / 0.05"]
    assert found["mae"] == [*shown, *cues, "0.87 / 0.26", "0.50 / 0.26"]
    assert found["pixels"][-1] == ""  # one layer has no pair
    assert len(found["model"]) == len(found["mae"])
    assert "640 patches of the 10 extracted" in text
    assert "between datasets" not in text


def test_latex_has_the_same_rows():
    text = latex(rows(CELLS))
    assert text.count("\\begin{table}") == 1
    assert "$\\lceil$D/100$\\rceil$" in text
    assert "40.0" in text


def test_top_sets_are_compared_between_datasets_of_one_model_only():
    order = list(range(20))
    rankings = {
        ("town", "mae"): order,
        ("farm", "mae"): order[5:] + order[:5],
        ("farm", "dino"): order,
    }
    table = between_datasets(rankings, 0.5).set_index("m")
    assert set(table["model"]) == {"mae"}
    assert table.index.tolist() == [1, 2, 10]
    assert table["overlap"].tolist() == [0, 0, 0.5]
    assert table["chance"].tolist() == [0.05, 0.1, 0.5]
    text = markdown(rows(CELLS), between_datasets(rankings, 0.5))
    assert "### Top dimensions shared between datasets" in text


def test_models_of_other_widths_are_not_compared():
    pairs = between_datasets({("a", "m"): [0, 1, 2], ("b", "m"): [0, 1]}, 0.5)
    assert len(pairs) == 0
    assert list(pairs.columns) == ["model", "a", "b", "m", "overlap", "chance"]


def test_without_datasets_it_says_so():
    assert "lists no dataset" in markdown(rows({}), between_datasets({}, 0.26))


@pytest.mark.parametrize("m", [0.0, 0.01])
def test_a_share_that_means_no_dimension_compares_one(m):
    order = list(range(10))
    pairs = between_datasets({("a", "m"): order, ("b", "m"): order}, m)
    assert pairs["m"].tolist() == [1]
