import json
import math
from types import SimpleNamespace

import pandas as pd
import pytest

from configured import configured
from patchlens import paths
from patchlens.errors import SettingsError
from patchlens.report import claims as stage
from patchlens.report.claims_table import latex, markdown
from patchlens.settings.load import Settings
from patchlens.settings.uncertainty import Uncertainty
from patchlens.tasks.tracking.settings import Tracking
from report.court import UNITS, about, claim, write_cell, write_index

UNTRAINED = {"one": ["seed"], "two": ["seed"]}


def of(**kinds: str) -> Settings:
    """Settings of segmentation on datasets of these kinds, with models one, two and three."""
    return configured(
        models=dict.fromkeys(["one", "two", "three"]),
        datasets={name: SimpleNamespace(kind=kind) for name, kind in kinds.items()},
        runs={"segmentation": list(kinds)},
        uncertainty=Uncertainty(resamples=100, claim_resamples=10_000, seed=0).model_copy(
            update={"claim_resamples": 500}
        ),
    )


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What the stage writes of claims of every group, one of which cannot be run."""
    monkeypatch.chdir(tmp_path)
    for place in ("town", "minicity"):
        write_index(place, [f"u{i}" for i in range(UNITS)])
        for model, wrong, weights in (("one", 10, "abc"), ("two", 30, "def")):
            runs = {("knn", "raw"): about(wrong)}
            write_cell(place, model, runs, protocol={"weights": weights})
    slots = {"one": ["dino"], "two": ["mae"]}
    claims = {
        "c1": claim(group="paper", datasets=["cityscapes"], slots=slots, source="abstract"),
        "m1": claim(group="minicity", datasets=["minicity"], slots=UNTRAINED),
        "m2": claim(
            group="minicity", datasets=["minicity"], metric="depth.knn.error", slots=UNTRAINED
        ),
        "own_1": claim(text="50 % of\nA | B & C_d > 0\\~"),
    }
    stage.run(claims, of(town="folder", minicity="minicity"))
    return tmp_path / "metrics/claims"


def test_the_metrics_hold_finite_numbers_and_strings_only(written):
    found = json.loads((written / "claims.json").read_text())
    assert list(found) == ["c1", "m1", "m2", "own_1"]
    assert found["c1"] == found["m2"] == {"verdict": "not run"}
    keys = {"verdict", "effect", "ci_low", "ci_high", "p_holm", "n_units"}
    assert set(found["m1"]) == set(found["own_1"]) == keys
    assert found["m1"]["verdict"] == "supported"
    assert found["m1"]["n_units"] == UNITS
    numbers = [v for one in found.values() for k, v in one.items() if k != "verdict"]
    assert all(math.isfinite(v) for v in numbers)
    assert all(round(v, 4) == v for one in found.values() for k, v in one.items() if "ci" in k)


def test_writing_twice_gives_the_same_bytes(written):
    files = [written / "claims.json", *sorted(written.glob("claims.[!j]*"))]
    before = [path.read_bytes() for path in files]
    assert len(files) == 4
    test_claims = {"m1": claim(group="minicity", datasets=["minicity"], slots=UNTRAINED)}
    run = of(minicity="minicity")
    stage.run(test_claims, run)
    once = [path.read_bytes() for path in files]
    stage.run(test_claims, run)
    assert [path.read_bytes() for path in files] == once != before


def test_the_csv_has_a_row_a_claim_and_no_number_where_it_was_not_run(written):
    table = pd.read_csv(written / "claims.csv").set_index("id")
    assert list(table.index) == ["c1", "m1", "m2", "own_1"]
    assert table.loc["c1", ["effect", "ci_low", "p_holm", "n_units"]].isna().all()
    assert table.loc["c1", "note"] == "not in datasets: cityscapes"
    assert table.loc["m1", "n_units"] == UNITS
    assert table.loc["m1", "a"] == "one raw"
    found = json.loads((written / "claims.json").read_text())
    assert table.loc["own_1", "effect"] == found["own_1"]["effect"]
    assert (table[["resamples", "bootstrap_seed"]] == [500, 0]).all(axis=None)
    assert table.loc["own_1", ["grid", "weights"]].tolist() == ["16×32", "abc/def"]
    assert table.loc["c1", ["grid", "weights"]].isna().all()


def test_the_page_keeps_the_papers_claims_minicitys_and_own_ones_apart(written):
    text = (written / "claims.md").read_text()
    paper, mini, own = (
        text.index(f"### {title}")
        for title in ("Findings of the paper", "Findings in minicity", "Own claims")
    )
    assert paper < text.index("- c1 (abstract): A beats B.") < mini
    assert "not run: not in datasets: cityscapes" in text[paper:mini]
    assert "about training objectives in minicity" in text[mini:own]
    assert "| m1 " in text[mini:own]
    assert "not run: depth does not run on minicity" in text[mini:own]
    line = next(line for line in text[own:].splitlines() if line.startswith("| own_1"))
    assert "50 % of A \\| B & C_d > 0" in line
    cells = [cell.strip() for cell in line.replace("\\|", "").strip("|").split("|")]
    assert cells[2:5] == [
        "ours",
        "one raw > two raw: segmentation.knn.pixel_miou on town",
        "2.0 points",
    ]
    verdict = "supported: the gain exceeds the smallest effect of 2.0 points"
    assert cells[-2:] == [str(UNITS), verdict]
    for words in (
        "500 bootstrap resamples",
        "not adjusted",
        "Holm",
        "together",
        "at least 10 units",
    ):
        assert words in text[own:]


@pytest.mark.parametrize("delta", [5, 20])
def test_a_claim_about_a_delta_that_is_not_measured_is_an_error(tmp_path, monkeypatch, delta):
    monkeypatch.chdir(tmp_path)
    one = claim(metric=f"tracking.association.d{delta}", datasets=["town"])
    settings = of(town="folder")
    listed = {"deltas": [1, 2, 25 - delta], "datasets": ["town"]}
    measured = settings.section(Tracking).model_copy(update=listed)
    settings = settings.model_copy(update={"tracking": measured})
    with pytest.raises(SettingsError) as caught:
        stage.run({"c": one}, settings)
    assert str(caught.value) == (
        f"claims.yaml: c.metric: tracking.association.d{delta} is not measured, because "
        f"tracking.deltas in params.yaml does not list {delta}; add it there"
    )
    measured.datasets.clear()  # then the claim is not run, whatever it is about
    stage.run({"c": one}, settings)
    assert json.loads((tmp_path / paths.VERDICTS).read_text())["c"] == {"verdict": "not run"}


def test_the_latex_escapes_what_it_must(written):
    text = (written / "claims.tex").read_text()
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 3
    escaped = "50 \\% of A | B \\& C\\_d $>$ 0\\textbackslash{}\\textasciitilde{}"
    assert escaped in text
    assert "own\\_1 &" in text
    assert text.isascii()


def test_no_claim_is_a_page_that_says_so():
    assert markdown({}, 500) == "claims.yaml lists no claims.\n"
    assert latex({}, 500) == "% claims.yaml lists no claims.\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"direction": "less"}, "one raw < two raw: "),
        ({"b": {"models": ["two", "three"]}}, "one raw > mean of two, three raw: "),
        (
            {"kind": "superlative", "b": {"models": ["two", "three"], "variant": "l2"}},
            "one raw > each of two, three l2: ",
        ),
        (
            {"kind": "equivalence", "direction": None, "chance": {"variant": "keep_top"}},
            "one raw ≈ two raw; keep_top at chance: segmentation.knn.pixel_miou on town",
        ),
    ],
)
def test_a_comparison_is_said_in_words(changes, words):
    from patchlens.report.claims_table import comparison

    assert comparison(claim(**changes)).startswith(words)
