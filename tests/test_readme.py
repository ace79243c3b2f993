"""The README and the docs say what the repository holds."""

import json
import re
from pathlib import Path

import pytest

from conftest import run

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def block(document: Path, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*)\n<!-- /{name} -->", document.read_text(), re.S)
    assert found, f"{document} has no block {name}"
    return found[1].strip()


def test_results_of_the_readme_are_the_table(root: Path) -> None:
    table = (root / "metrics/tables/segmentation.md").read_text(encoding="utf-8")
    assert block(root / "README.md", "results") == table.strip() != ""


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("variance", "variance"),
        ("variance", "claims"),
        ("identification", "identification"),
        ("retrieval", "retrieval"),
        ("tracking", "tracking"),
    ],
)
def test_tables_of_the_docs_are_those_of_the_pipeline(root: Path, page: str, name: str) -> None:
    table = (root / f"metrics/tables/{name}.md").read_text(encoding="utf-8")
    assert block(root / f"docs/{page}.md", name) == table.strip() != ""


def test_the_results_page_is_that_of_the_pipeline_with_links_that_lead_somewhere(
    root: Path,
) -> None:
    page = block(root / "docs/results-minicity.md", "results")
    made = (root / "reports/results/README.md").read_text(encoding="utf-8")
    assert page.replace("](../reports/results/", "](") == made.strip()
    images = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(images) >= 2
    assert all((root / "docs" / image).is_file() for image in images)


def test_the_flip_of_the_readme_starts_from_the_verdict(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    verdicts = json.loads((root / "metrics/claims.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| metrics/claims\.json +\| (\w+)\.(\w+) +\| (\S+) ", readme, re.M)
    assert {key for _, key, _ in rows} >= {"verdict", "effect"}
    for claim, key, head in rows:
        assert head == str(verdicts[claim][key])


def test_benchmarks_of_the_readme_are_those_of_the_docs(root: Path) -> None:
    table = block(root / "README.md", "bench")
    assert table
    assert table in (root / "docs/bench.md").read_text()


def test_make_help_lists_every_target(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    targets = re.findall(r"^([\w-]+):(?!=)", makefile, re.M)
    listed = [line.split() for line in run("make", "help", cwd=root).stdout.splitlines()]
    assert {"repro", "test"} < set(targets)
    assert sorted(targets) == sorted(" ".join(phony).split()) == sorted(t for t, *_ in listed)
    assert all(len(words) > 2 for _, *words in listed)


def test_documents_are_there() -> None:
    assert len(DOCUMENTS) > 10
    assert any("](" in document.read_text(encoding="utf-8") for document in DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_and_paths_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert all((document.parent / link).exists() for link in links), links
