"""The README and the docs say what the repository holds."""

import json
import re
from pathlib import Path

import pytest

from conftest import run
from patchlens.datasets.catalogue import kinds
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


def test_results_of_the_readme_are_the_committed_table(root: Path) -> None:
    # As committed: a run of one's own, with its own timing, must not turn this red.
    table = run("git", "show", "HEAD:metrics/tables/segmentation.md", cwd=root).stdout
    readme = run("git", "show", "HEAD:README.md", cwd=root).stdout
    found = re.search(r"<!-- results -->\n(.*)\n<!-- /results -->", readme, re.S)
    assert found, "README.md has no block of results"
    assert found[1].strip() == table.strip()


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


def test_the_flip_of_the_readme_starts_from_the_committed_verdict(root: Path) -> None:
    readme = run("git", "show", "HEAD:README.md", cwd=root).stdout
    verdicts = json.loads(run("git", "show", "HEAD:metrics/claims.json", cwd=root).stdout)
    rows = re.findall(r"^\| metrics/claims\.json +\| (\w+)\.(\w+) +\| (\S+) ", readme, re.M)
    assert {key for _, key, _ in rows} >= {"verdict", "effect"}
    for claim, key, head in rows:
        assert head == str(verdicts[claim][key])


def test_benchmarks_of_the_readme_are_those_of_the_docs(root: Path) -> None:
    table = block(root / "README.md", "bench")
    assert table
    assert table in (root / "docs/bench.md").read_text()


def test_make_help_lists_every_target(root: Path) -> None:
    listed = {line.split()[0] for line in run("make", "help", cwd=root).stdout.splitlines()}
    assert listed >= TARGETS | {"dag"}


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/sharing.md",
        "docs/footguns.md",
        "docs/variance.md",
        "docs/claims.md",
        "docs/identification.md",
        "docs/retrieval.md",
        "docs/tracking.md",
        "docs/own-data.md",
        "docs/models.md",
        "docs/add-a-model.md",
        "docs/datasets/README.md",
        "docs/datasets/minicity.md",
        "docs/datasets/folder.md",
    ],
)
def test_links_and_paths_exist(root: Path, name: str) -> None:
    document = root / name
    text = document.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert all((document.parent / link).exists() for link in links), links


@pytest.mark.parametrize("preset", ["params.yaml", "presets/camvid.yaml", "presets/paper.yaml"])
def test_presets_are_valid(root: Path, preset: str) -> None:
    assert load(root / preset, kinds()).segmentation.datasets
