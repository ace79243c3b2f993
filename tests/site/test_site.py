"""The report site as files: what its pages say of a run."""

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from patchlens import paths
from patchlens.errors import DataError
from patchlens.site.serve import PLACE
from ran import NOT_RUN, TAG, UNDECIDED, build, compare, lay, pages


@pytest.fixture
def ran(here: Path, root: Path) -> Path:
    """A folder with what a run left, as the working folder."""
    lay(here, root)
    return here


def text_of(page: Path) -> str:
    """What a page says, without its tags, in single spaces."""
    parts: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            if self.lasttag != "script":
                parts.append(data)

    Reader().feed(page.read_text(encoding="utf-8"))
    return " ".join(" ".join(parts).split())


def test_first_page_says_who_leads_and_from_whom_it_cannot_be_told(built: Path) -> None:
    text = text_of(built / "index.html")

    assert re.search(r"dino leads with 60\.0 %, by 29\.0 points \[27\.0, 31\.0\] over mae\.", text)
    assert "Best of all variants: dino with prune, 65.0 %." in text


def test_what_is_level_with_a_floor_is_called_so(ran: Path) -> None:
    table = paths.TABLES / "segmentation.csv"
    scores = pd.read_csv(table)
    scores = scores[scores["model"] != "dino"].copy()
    compare(scores)  # mae is one point above random
    scores.to_csv(table, index=False)

    text = text_of(build() / "index.html")

    assert "mae is best with 31.0 %, not separable from random" in text
    assert "Not shown to beat random (a floor)." in text


def test_claims_that_were_not_run_are_listed_with_their_reason_and_not_plotted(built: Path) -> None:

    assert "not run c1 Patch features of DINO win." in text_of(built / "index.html")
    assert "not in datasets: cityscapes" in text_of(built / "index.html")
    assert list(pd.read_csv(built / "data/claims-forest.csv")["id"]) == ["m1", "m2"]


def test_a_judged_claim_is_shown_with_its_effect_its_delta_and_the_reason_of_its_verdict(
    built: Path,
) -> None:
    text = text_of(built / "index.html")

    assert "-1.0 points [-6.0, 4.0]; δ = 2.0 points, adjusted p = 0.001, 12 units." in text
    assert UNDECIDED in text


@pytest.mark.parametrize("task", NOT_RUN)
def test_task_without_datasets_has_no_page_and_the_overview_says_why(
    built: Path, task: str
) -> None:
    assert not (built / f"{task}.html").exists()
    assert f"{task}.html" not in (built / "index.html").read_text(encoding="utf-8")
    text = text_of(built / "index.html")
    assert f"{task}: not run ({task}.datasets in params.yaml lists no datasets)" in text


def test_task_that_came_later_has_its_page_table_and_curve(built: Path) -> None:

    assert "The table has no paired bootstrap, so no model is called the best." in text_of(
        built / "counting.html"
    )
    assert "60.0 [58.0, 62.0]" in text_of(built / "counting.html")
    curve = pd.read_csv(built / "data/counting-counting.csv")
    assert list(curve["hits"]) == [0.6, 0.3, 0.31, 0.155, 0.3, 0.15]


def test_names_from_data_are_text_everywhere(built: Path) -> None:
    for page in pages(built):
        content = page.read_text(encoding="utf-8")
        assert TAG not in content, page.name
        if page.name == "segmentation.html":
            assert "\\u003cscript\\u003e" in content


def test_figures_data(built: Path) -> None:
    snapshot = Path(__file__).parent / "figures_data.json"
    found = {
        path.name: path.read_text(encoding="utf-8").splitlines()
        for path in sorted((built / "data").glob("*.csv"))
        if path.name != "reference.csv"  # of report/reference.yaml, not of this run
    }

    assert found == json.loads(snapshot.read_text(encoding="utf-8"))


def figures(site: Path) -> dict[str, tuple[str, str]]:
    """Name of a figure -> what is said of it in words, and its specification."""
    found = {}
    for page in pages(site):
        text = page.read_text(encoding="utf-8")
        words = re.findall(r'role="img" aria-label="([^"]*)" data-spec="spec-([^"]*)"', text)
        said = {name: label for label, name in words}
        specs = dict(re.findall(r'id="spec-([^"]+)">(.*?)</script>', text, re.DOTALL))
        assert said.keys() == specs.keys(), page.name
        found |= {name: (html.unescape(said[name]), spec) for name, spec in specs.items()}
    return found


def test_every_figure_holds_the_rows_of_its_csv_file(built: Path) -> None:
    drawn = figures(built)
    assert {f"{name}.csv" for name in drawn} | {"reference.csv"} == {
        path.name for path in (built / "data").iterdir()
    }
    for name, (_, spec) in drawn.items():
        rows = json.loads(spec)["datasets"]["rows"]
        pd.testing.assert_frame_equal(
            pd.DataFrame(rows["rows"], columns=rows["header"]),
            pd.read_csv(built / f"data/{name}.csv"),
            check_dtype=False,
        )


def test_every_figure_says_in_words_what_it_shows(built: Path) -> None:
    drawn = figures(built)
    assert len({words for words, _ in drawn.values()}) == len(drawn) > 0
    for name, (words, spec) in drawn.items():
        rows = json.loads(spec)["datasets"]["rows"]
        assert len(words.split()) >= 5, name
        if "model" in rows["header"] and not name.startswith("confusion"):
            shown = {row[rows["header"].index("model")] for row in rows["rows"]}
            assert not [model for model in shown if model not in words], name


def test_tables_are_there_in_three_forms(built: Path) -> None:
    for end in ("csv", "md", "tex"):
        name = f"tables/segmentation.{end}"
        assert (built / name).read_bytes() == (built.parents[1] / "metrics" / name).read_bytes()


def test_every_shown_table_is_one_click_away_in_three_forms(built: Path) -> None:
    seen = set()
    for page in pages(built):
        text = page.read_text(encoding="utf-8")
        for key, body in re.findall(r'<table id="([^"]+)">(.*?)</table>', text, re.DOTALL):
            seen.add(key)
            files = [f"tables/shown/{key}.{end}" for end in ("csv", "md", "tex")]
            assert not [file for file in files if f'href="{file}"' not in text], key
            csv, markdown, latex = (built / file for file in files)
            rows = pd.read_csv(csv, keep_default_na=False)
            assert len(rows) == body.count("<tr>") - 1
            assert len(markdown.read_text(encoding="utf-8").splitlines()) == len(rows) + 2
            assert latex.read_text(encoding="utf-8").count("\\\\") == len(rows) + 1
    assert seen == {path.stem for path in (built / "tables/shown").iterdir()}
    table = pd.read_csv(built / "tables/shown/segmentation-minicity-knn.csv")
    assert table.iloc[0].tolist() == ["dino", "prune", "65.0 [63.0, 67.0]"]  # the best on top


def contents(site: Path) -> dict[str, bytes]:
    files = (path for path in site.rglob("*") if path.is_file())
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in files}


def test_same_run_gives_the_same_bytes(built: Path, ran: Path) -> None:
    first = contents(built)  # in another folder
    assert {"index.html", "data/cost.csv"} <= set(first)
    assert first == contents(build())


def test_speed_is_not_in_the_site_but_has_its_place_there(built: Path, ran: Path) -> None:
    path = ran / paths.cost(dataset="minicity", model="dino")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"images_per_second": 1234.0, "device": "a device"}))
    assert contents(build()) == contents(built)
    assert (ran / paths.SITE / "index.html").read_text(encoding="utf-8").count(PLACE) == 1


def test_site_names_no_address_that_it_would_load(built: Path) -> None:
    for page in pages(built):
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.read_text(encoding="utf-8"))
        assert "static/site.css" in loaded
        assert not [name for name in loaded if "//" in name], page.name


@pytest.mark.parametrize("without", [["mae"], ["dino", "mae", "random"]])
def test_missing_records_are_one_message_and_leave_the_old_site(
    built: Path, ran: Path, without: list[str]
) -> None:
    site = shutil.copytree(built, ran / paths.SITE)
    before = contents(site)
    for model in without:
        (paths.cell(dataset="minicity", model=model) / "segmentation.records.parquet").unlink()

    with pytest.raises(DataError, match=r"/segmentation\.records\.parquet: missing; run `dvc"):
        build()

    assert contents(site) == before


def test_table_of_other_models_is_refused(ran: Path) -> None:
    table = paths.TABLES / "segmentation.csv"
    pd.read_csv(table).replace("mae", "simmim").to_csv(table, index=False)

    with pytest.raises(
        DataError, match=r"segmentation\.csv: has models that params\.yaml does not list: simmim"
    ):
        build()


def test_curve_of_a_column_that_is_not_there_is_refused(ran: Path) -> None:
    curve = paths.cell(dataset="minicity", model="dino") / "segmentation_k.csv"
    pd.read_csv(curve).drop(columns="k").to_csv(curve, index=False)

    with pytest.raises(DataError, match=r"segmentation_k\.csv: is damaged \(.*no column k\)"):
        build()


def test_run_without_any_task_says_so_on_every_page(ran: Path) -> None:
    params = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    for task in ("segmentation", "sweep", "counting"):
        params[task]["datasets"] = []
    paths.PARAMS.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for task in ("segmentation", "counting"):
        (paths.TABLES / f"{task}.csv").write_text("dataset,model,head,variant\n")
    (paths.TABLES / "variance.csv").write_text("dataset\n")

    site = build()

    assert "not run: no task in params.yaml lists a dataset" in text_of(site / "index.html")
    assert "segmentation.datasets in params.yaml lists no datasets" in text_of(site / "index.html")
    for task in ("segmentation", "counting"):
        assert not (site / f"{task}.html").exists()
    assert not (site / "variance.html").exists()
