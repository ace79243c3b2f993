"""The README and the docs show what the pipeline made; tests/test_docs.py has their links."""

import json
import re
from pathlib import Path

import pytest

from conftest import run
from embed import embed
from patchlens.settings.load import load
from patchlens.tasks.known import known


def block(document: Path, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*)\n<!-- /{name} -->", document.read_text(), re.S)
    assert found, f"{document} has no block {name}"
    return found[1].strip()


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_a_document_does_not_take_a_table_that_is_empty(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- a -->\n\nold\n\n<!-- /a -->\n")
    with pytest.raises(SystemExit, match="nothing was made to put between"):
        embed(page, "a", text)
    assert block(page, "a") == "old"


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("variance", "variance"),
        ("variance", "claims"),
        ("segmentation", "segmentation"),
        ("identification", "identification"),
        ("retrieval", "retrieval"),
        ("tracking", "tracking"),
        ("results-minicity", "results"),
        ("results-minicity", "variance"),
        ("results-minicity", "claims"),
    ],
)
def test_tables_of_the_docs_are_those_of_the_pipeline(root: Path, page: str, name: str) -> None:
    folder = "claims" if name == "claims" else "tables"
    table = (root / f"metrics/{folder}/{name}.md").read_text(encoding="utf-8")
    assert block(root / f"docs/{page}.md", name) == table.strip() != ""


def test_the_results_page_has_figures_that_are_there(root: Path) -> None:
    page = (root / "docs/results-minicity.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(images) >= 2
    assert all((root / "docs" / image).is_file() for image in images)


def test_the_flip_of_the_docs_starts_from_the_verdict(root: Path) -> None:
    page = (root / "docs/claims.md").read_text(encoding="utf-8")
    verdicts = json.loads((root / "metrics/claims/claims.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| metrics/claims/claims\.json +\| (\w+)\.(\w+) +\| (\S+) ", page, re.M)
    assert {key for _, key, _ in rows} >= {"verdict", "effect"}
    for claim, key, head in rows:
        committed = verdicts[claim][key]
        if key == "verdict":
            assert head == committed
        else:
            assert float(head) == committed


def test_the_page_of_benchmarks_has_its_table_and_what_it_was_measured_on(root: Path) -> None:
    head, _, *rows = block(root / "docs/bench.md", "bench").splitlines()
    assert head == "| what | measured | bound |"
    assert len([row for row in rows if row.startswith("| ")]) >= 10
    assert "commit" in rows[-1]
    assert "Made by `make bench`." in rows[-1]


def test_make_help_lists_every_target(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    targets = re.findall(r"^([\w-]+):(?!=)", makefile, re.M)
    printed = run("make", "--no-print-directory", "help", cwd=root).stdout
    listed = [line.split() for line in printed.splitlines()]
    assert {"repro", "test"} < set(targets)
    assert sorted(targets) == sorted(" ".join(phony).split()) == sorted(t for t, *_ in listed)
    assert all(len(words) > 2 for _, *words in listed)


def test_the_readme_is_read_at_one_go(root: Path) -> None:
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 141


@pytest.mark.parametrize(
    "preset",
    [
        "params.yaml",
        *(f"presets/{name}.yaml" for name in ("camvid", "paper", "open", "open-small")),
    ],
)
def test_presets_are_valid(root: Path, preset: str) -> None:
    assert load(root / preset, known()).segmentation.datasets
