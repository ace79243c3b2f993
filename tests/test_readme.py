"""The README and the docs show what the pipeline made; tests/test_docs.py has their links."""

import json
import re
from pathlib import Path

import pytest

from conftest import run
from patchlens.settings.load import load

TARGETS = {
    "lint",
    "format",
    "typecheck",
    "test",
    "repro",
    "check-repro",
    "bench",
    "clean-metrics",
    "dataset-pages",
    "model-pages",
}


def block(document: Path, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*)\n<!-- /{name} -->", document.read_text(), re.S)
    assert found, f"{document} has no block {name}"
    return found[1].strip()


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("variance", "variance"),
        ("variance", "claims"),
        ("segmentation", "segmentation"),
        ("identification", "identification"),
        ("retrieval", "retrieval"),
        ("tracking", "tracking"),
    ],
)
def test_tables_of_the_docs_are_the_committed_ones(root: Path, page: str, name: str) -> None:
    text = run("git", "show", f"HEAD:docs/{page}.md", cwd=root).stdout
    table = run("git", "show", f"HEAD:metrics/tables/{name}.md", cwd=root).stdout
    found = re.search(rf"<!-- {name} -->\n(.*)\n<!-- /{name} -->", text, re.S)
    assert found, f"docs/{page}.md has no block {name}"
    assert found[1].strip() == table.strip()


def test_the_results_page_is_the_committed_one_with_links_that_lead_somewhere(root: Path) -> None:
    page = run("git", "show", "HEAD:docs/results-minicity.md", cwd=root).stdout
    made = run("git", "show", "HEAD:reports/results/README.md", cwd=root).stdout
    found = re.search(r"<!-- results -->\n(.*)\n<!-- /results -->", page, re.S)
    assert found, "docs/results-minicity.md has no block of results"
    assert found[1].strip().replace("](../reports/results/", "](") == made.strip()
    images = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(images) >= 2
    assert all((root / "docs" / image).is_file() for image in images)


def test_the_flip_of_the_docs_starts_from_the_committed_verdict(root: Path) -> None:
    page = run("git", "show", "HEAD:docs/claims.md", cwd=root).stdout
    verdicts = json.loads(run("git", "show", "HEAD:metrics/claims.json", cwd=root).stdout)
    rows = re.findall(r"^\| metrics/claims\.json +\| (\w+)\.(\w+) +\| (\S+) ", page, re.M)
    assert {key for _, key, _ in rows} >= {"verdict", "effect"}
    for claim, key, head in rows:
        assert head == str(verdicts[claim][key])


def test_the_page_of_benchmarks_has_its_table_and_what_it_was_measured_on(root: Path) -> None:
    head, _, *rows = block(root / "docs/bench.md", "bench").splitlines()
    assert head == "| what | measured | bound |"
    assert len([row for row in rows if row.startswith("| ")]) >= 10
    assert "commit" in rows[-1]
    assert "Made by `make bench`." in rows[-1]


def test_make_help_lists_every_target(root: Path) -> None:
    listed = {line.split()[0] for line in run("make", "help", cwd=root).stdout.splitlines()}
    assert listed >= TARGETS | {"dag"}


def test_the_readme_is_read_at_one_go(root: Path) -> None:
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130


@pytest.mark.parametrize("preset", ["params.yaml", "presets/camvid.yaml", "presets/paper.yaml"])
def test_presets_are_valid(root: Path, preset: str) -> None:
    assert load(root / preset).segmentation.datasets
