"""Every path that the docs and the comments of YAML files name, and every link, leads somewhere."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS = [
    *(ROOT / name for name in ("params.yaml", "dvc.yaml", "claims.yaml")),
    *(
        path
        for name in ("presets", "pretrain", "src")
        for path in sorted((ROOT / name).rglob("*.yaml"))
    ),
]
GENERATED = ("data", "metrics", "reports", ".work", ".venv")  # what a run makes or a user places
OF_DVC = (".dvc/tmp/", ".dvc/cache/")  # what DVC makes there
OF_THE_USER = {"own.py", "dataset.yaml", "data.yaml", "models/mine.py"}  # what a user writes
LIBRARIES = {"ruamel.yaml"}  # whose names end as files do
SOURCE = r"\.(?:py|md|yaml|yml|toml|sh|lock)"  # how the files end that the repository is made of
TOKEN = re.compile(r"(?<![\w./@:-])[\w.-]+(?:/[\w.<>{}*$,-]*)*")
PLACEHOLDER = re.compile(r"[<{*$]")


def files() -> set[str]:
    """What Git tracks or would track, and the folders above it."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    there = {name for name in listed.splitlines() if (ROOT / name).is_file()}
    return there | {str(folder) for name in there for folder in Path(name).parents}


THERE = files()
NAMES = {Path(name).name for name in THERE}
TOP = {name.split("/")[0] for name in THERE if "/" in name} | {"shared"}
PACKAGES = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}


def lost(text: str, *, cites_others: bool = False) -> list[str]:
    """The paths in `text` that are not in the repository.

    A path of ours is a token that begins with a folder at the top of the repository (below `src`,
    with a package), or that ends as a source file does. What a run makes is left out; a placeholder
    such as `<name>` ends the part that must exist. Addresses and the targets of links are not paths
    from the top, so they are left out.

    Args:
        text: prose, code, comments.
        cites_others: the text names source files of other repositories as well, so that the end
            of a name does not make it ours.
    """
    found = []
    for match in TOKEN.finditer(re.sub(r"\w+://\S+|\]\([^)]*\)", " ", text)):
        name = match[0].rstrip(".,-").rstrip("/")
        first, *rest = name.split("/")
        below_package = first != "src" or (bool(rest) and rest[0] in PACKAGES)
        is_ours = bool(rest) and first in TOP and below_package
        is_source = not cites_others and bool(re.search(f"[\\w>}}]{SOURCE}$", name))
        made = first in GENERATED or name.startswith(OF_DVC)
        if made or name in OF_THE_USER | LIBRARIES or not (is_ours or is_source):
            continue
        fixed = (
            name[: cut.start()].rpartition("/")[0] if (cut := PLACEHOLDER.search(name)) else name
        )
        if fixed not in THERE and (rest or fixed not in NAMES):
            found.append(name)
    return found


def comments(path: Path) -> str:
    """The comments of a YAML file, one per line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(m[1] for line in lines if (m := re.search(r"(?:^|\s)#(.*)$", line)))


def cites_others(path: Path) -> bool:
    """Whether a file is made of facts from other repositories: models, datasets, their numbers."""
    name = path.relative_to(ROOT).as_posix()
    facts = ("docs/datasets/", "docs/models.md", "docs/reference-comparison.md")
    return name.startswith((*facts, "src/patchlens/backbones/registry/"))


def anchors(path: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize(
    "text",
    [
        "the task is PROTOCOL.md's T2",
        "`report/curve_intervals.py`",
        "# All are of shared/docs/REFERENCES.md; see there",
        "see (docs/nowhere) and more",
        "`src/patchlens/nowhere.py`.",
        "src/patchlens/nowhere/<family>.yaml",
        "run scripts/nowhere.sh",
        "nowhere.yaml",
    ],
)
def test_a_path_that_is_not_there_is_found(text: str) -> None:
    assert len(lost(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "`docs/claims.md`, docs/datasets/, presets/paper.yaml.",
        "src/patchlens/backbones/registry/<family>.yaml, docs/$$task.md",
        "edit params.yaml; embed.py does the rest",
        "metrics/cells/<dataset>/<model>/*.json, data/raw/nowhere, reports/site/x.html",
        "https://example.org/docs/nowhere.md and github.com/owner/name",
        "images/<name>.jpg, masks/a.png, path/to/weights.pth, and/or, 0.5/0.6",
    ],
)
def test_a_path_that_is_there_or_made_by_a_run_or_of_others_is_not_found(text: str) -> None:
    assert lost(text) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [("hub/backbones.py, src/train.py (README.md)", 0), ("docs/nowhere.md", 1), ("shared/x.md", 1)],
)
def test_files_of_other_repositories_may_be_cited_beside_ours(text: str, count: int) -> None:
    assert len(lost(text, cites_others=True)) == count


def test_documents_and_settings_are_there() -> None:
    assert len(DOCUMENTS) > 30
    assert len(SETTINGS) > 20


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_documents_exist(path: Path) -> None:
    assert lost(path.read_text(encoding="utf-8"), cites_others=cites_others(path)) == []


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_comments_of_settings_exist(path: Path) -> None:
    assert lost(comments(path), cites_others=cites_others(path)) == []


def links(path: Path) -> list[str]:
    """The links of a document to files and headings here."""
    found = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"\w+:", link)]


def test_the_documents_have_links() -> None:
    assert sum(len(links(path)) > 0 for path in DOCUMENTS) > len(DOCUMENTS) / 3


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.relative_to(ROOT).as_posix() in THERE, link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert set(DOCUMENTS) <= reached


def test_the_docs_say_which_stages_a_fresh_clone_skips() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    text = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")
    runs, skipped = (
        set(re.findall(r"`(\w+)`", row))
        for row in re.findall(r"^\| (`.+?`) \| (?:run|skipped)\b", text, re.M)
    )
    in_git = {
        name
        for name, stage in stages.items()
        if all(
            isinstance(out, dict) and not next(iter(out.values())).get("cache", True)
            for kind in ("outs", "metrics", "plots")
            for out in stage.get(kind, [])
        )
    }
    assert skipped == in_git - {"fetch"}  # Git does not hold what fetch brings
    none = {"fetch", "manifest", "selection"}  # in the default
    assert runs | skipped == set(stages) - none


def test_the_page_of_dependencies_names_exactly_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [re.split(r"[<>=~! ;[]", line)[0] for group in listed for line in group]
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) == sorted(wanted)
    pinned = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for name in wanted:
        assert re.search(rf"^{re.escape(name.replace('.', '-'))}==", pinned, re.MULTILINE), name


def test_the_package_imports_exactly_the_libraries_that_it_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    ours = [extras[name] for name in ("cpu", "cluster", "hub", "pretrain")]
    listed = [*project["dependencies"], *(line for lines in ours for line in lines)]
    wanted = {re.split(r"[<>=~! ;[]", line)[0] for line in listed}
    found = {"ruamel.yaml.clib", "transformers"}  # what loads the one, and a name in a text
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    found -= {"patchlens", "minicity", *sys.stdlib_module_names}
    names = {"PIL": "pillow", "ruamel": "ruamel.yaml", "faiss": "faiss-cpu"}
    names |= {"vl_convert": "vl-convert-python", "pydantic_core": "pydantic"}
    assert {names.get(name, name.replace("_", "-")) for name in found} == wanted


def test_every_row_of_the_footguns_names_tests_that_exist() -> None:
    text = (ROOT / "docs/footguns.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert len(rows) > 20
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rsplit(" | ", 1)[1])
        assert named, row[:60]
        assert set(named) <= tests, row[:60]
