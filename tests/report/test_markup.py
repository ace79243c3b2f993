"""Texts of users in Markdown and CSV: shown as they are, never run, loaded or followed."""

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from patchlens.display import grid
from patchlens.files import csv_text, shown, write_csv
from patchlens.report import tables
from patchlens.report.claims_table import markdown, rows
from patchlens.report.judge import Outcome
from patchlens.tasks.table import TABLE, TASKS
from patchlens.tasks.variance import table as variance_table
from report.court import claim

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=http://evil/x.png onerror=x>",
    "</td><iframe src=//evil>",
    "<!-- comment -->",
    "<?php x ?>",
    "<http://evil/>",
    "<a@evil.org>",
    "![x](http://evil/x.png)",
    "[x](http://evil)",
    "[x](javascript:alert(1))",
    "[x][y]",
    "[y]: http://evil",
    "\\[x](http://evil)",
    "\\\\[x](http://evil)",
    "[a\\](http://evil)",
    "[[a]](http://evil)",
    "![![a](http://evil)](http://evil)",
    "`<b>` <b>",
    "``` <script>",
    "\\<script>",
    "a | <script> | b",
    "a\n\n<script>x</script>\n\n# head",
    "a\n[y]: http://evil\n",
    "x]( http://evil )",
]
RENDER = MarkdownIt("commonmark").enable("table").render


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> Tags:
    found = Tags()
    found.feed(RENDER(text))
    return found


OWN = {"table", "thead", "tbody", "tr", "th", "td", "p", "h3", "ul", "li", "strong", "em"}


def test_the_renderer_would_run_them() -> None:
    tags = set().union(*(rendered(text).tags for text in HOSTILE))
    assert {"script", "img", "a", "iframe", "code"} <= tags


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_and_a_caption_show_the_text(text: str) -> None:
    table = rendered(grid.markdown([text, "b"], [[text, "1.0 [0.5, 1.5]"], ["**x**", text]]))
    assert table.tags <= OWN
    assert table.text.count(" ".join(text.split())) == 3
    assert "1.0 [0.5, 1.5]" in table.text
    caption = rendered(f"Protocol 1. {grid.plain(text)}")
    assert caption.tags <= OWN
    assert caption.text.strip() == f"Protocol 1. {' '.join(text.split())}"


@pytest.mark.parametrize("ran", [True, False])
@pytest.mark.parametrize("text", HOSTILE)
def test_claims_show_their_texts(text: str, ran: bool) -> None:
    one = claim(text=text, source=text)
    outcome = Outcome(one, verdict="supported" if ran else "not run", note=text, units=20)
    found = rendered(markdown({"c": outcome}, 100))
    assert found.tags <= OWN
    assert found.text.count(" ".join(text.split())) == 3


@pytest.mark.parametrize("text", ["a < b", "a <- b", "x ≈ y", "1.0 [0.5, 1.5]", "m_1", "a > b"])
def test_plain_texts_are_written_as_they_are(text: str) -> None:
    assert grid.plain(text) == text


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", "-",
            "＝1", "＋x", "－x", "＠x", "-a", "+1.2 points"]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_text_in_csv(tmp_path: Path, text: str) -> None:
    table = pd.DataFrame({"class": [text, "road"], text: pd.Categorical([text, "road"])})
    write_csv(table, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        head, first, second = csv.reader(stream)
    kept = text.replace("\r", "\n")
    assert head == ["class", f"'{kept}"]
    assert first == [f"'{kept}", f"'{kept}"]
    assert second == ["road", "road"]
    assert [shown(cell) for cell in first] == [kept, kept]


def test_numbers_stay_numbers() -> None:
    table = pd.DataFrame(
        {
            "f": [-1.5, np.nan],
            "i": pd.array([-1, None], dtype="Int64"),
            "text": ["-1", "+2.5e-3"],
            "mixed": [1, None],
            "float": pd.Series([-1.0, "x"], dtype=object),
            "flag": [True, None],
            "it's": ["'quoted'", "a=b"],
        }
    )
    before = io.StringIO()
    table.to_csv(before, index=False, lineterminator="\n")
    assert csv_text(table) == before.getvalue()


@pytest.mark.parametrize("cell", ["'quoted'", "'", "a", "'1", 3, None, "=1"])
def test_only_what_was_guarded_is_shown_without_its_apostrophe(cell: object) -> None:
    assert shown(cell) == cell


def test_claims_in_csv_are_no_formulas() -> None:
    outcome = Outcome(claim(text="=1+1", source="@x"))
    text = csv_text(rows({"c": outcome}, {"c": pd.DataFrame()}, 100, 0))
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["text"], row["source"]) == ("'=1+1", "'@x")


def committed(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / f"metrics/tables/{name}.csv", low_memory=False)


@pytest.mark.parametrize("task", [task.name for task in TABLE if not task.study])
def test_committed_tables_are_written_as_before(task: str) -> None:
    made = tables.markdown(TASKS[task], committed(task))
    assert made == (ROOT / f"metrics/tables/{task}.md").read_text(encoding="utf-8")


def test_the_committed_table_of_variance_is_written_as_before() -> None:
    made = variance_table.markdown(committed("variance"), pd.DataFrame())
    assert made == (ROOT / "metrics/tables/variance.md").read_text(encoding="utf-8")


def test_committed_csv_files_and_claims_hold_nothing_to_escape() -> None:
    files = [
        *ROOT.glob("metrics/tables/*.csv"),
        *ROOT.glob("metrics/claims/*.csv"),
        *ROOT.glob("metrics/cells/*/dino/*.csv"),
    ]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8")
        if text.strip():
            table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
            assert csv_text(table) == table.to_csv(index=False, lineterminator="\n"), path
    lines = (ROOT / "metrics/claims/claims.md").read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        assert grid.plain(line) == re.sub(r"\s+", " ", line).strip()
