"""The lists of code by which DVC sees that a stage is to run anew."""

import ast
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchlens.datasets.catalogue import find
from patchlens.errors import DataError, SettingsError
from patchlens.plan import code
from pipeline.stages import OF_ALL, TASKS

WORDED = {"tables", "claims", "report"}  # what depends on the words of tasks
TRAIN = "pretrain/train"
ALL = {"render", "fetch", "manifest", "index", "weights", "extract", "prune", "degrade",
       *TASKS, *OF_ALL, TRAIN}  # fmt: skip
# One constant in each of these files, and the stages whose results may then be others.
USERS = {
    "patchlens/__init__.py": set(),
    "patchlens/api/evaluation.py": set(),
    "patchlens/api/protocol.yaml": set(),
    "minicity/ground.py": {"render", TRAIN},
    "patchlens/backbones/convert.py": {"weights"},
    "patchlens/backbones/registry/dino.yaml": {"weights", *WORDED} - {"claims"},  # objectives
    "patchlens/backbones/vit.py": {"weights", "extract", "degrade", TRAIN},
    "patchlens/cli/stages.py": set(),
    "patchlens/datasets/catalogue.yaml": {"fetch", "index", "report"},
    "patchlens/datasets/unpack.py": {"fetch"},
    "patchlens/display/grid.py": WORDED,
    "patchlens/display/sheet.py": {"explorer"},
    "patchlens/errors.py": ALL,
    "patchlens/features/cell.py": {"extract", "prune", "degrade", *TASKS, *OF_ALL},
    "patchlens/features/prune.py": {"prune"},
    "patchlens/features/views.py": {"extract", "degrade"},
    "patchlens/annotations/convert.py": set(),
    "patchlens/demo/run.py": set(),
    "patchlens/demo/page.html": set(),
    "patchlens/own/create.py": set(),
    "patchlens/own/graph.yaml": set(),
    "patchlens/pipeline/repro.py": set(),
    "patchlens/plan/cost.py": set(),
    "patchlens/pretrain/augment.py": {TRAIN},
    "patchlens/pretrain/objectives/mae.py": {TRAIN},  # imported by its name
    "patchlens/protocol.py": {"extract", "prune", "degrade", TRAIN, *TASKS, *OF_ALL},
    "patchlens/report/measures.py": {"claims", "report"},
    "patchlens/report/reference.yaml": {"report"},
    "patchlens/report/rows.py": WORDED,
    "patchlens/settings/base.py": ALL,
    "patchlens/settings/claims.py": {"claims", "report"},
    "patchlens/settings/load.py": {"report"},
    "patchlens/site/curves.py": {"report"},
    "patchlens/site/serve.py": set(),
    "patchlens/site/static/tables.js": {"report"},
    "patchlens/site/templates/base.html": {"report"},
    "patchlens/tasks/identification/copies.py": {"degrade", "identification", *OF_ALL},
    "patchlens/tasks/probe.py": {
        "segmentation",
        "selection",
        "sweep",
        "explorer",
        *WORDED,
    },  # cost
    "patchlens/tasks/retrieval/run.py": {"retrieval", "explorer"},
    "patchlens/tasks/retrieval/search.py": {"retrieval", "sweep", *OF_ALL},
    "patchlens/tasks/retrieval/words.py": WORDED,
    "patchlens/tasks/segmentation/prior.py": {
        "segmentation",
        "selection",
        "sweep",
        "explorer",
        *WORDED,
    },
    "patchlens/tasks/tracking/linking.py": {"tracking"},
    "patchlens/tasks/variance/spread.py": {"variance"},
    "patchlens/web/download.py": {"fetch", "weights"},
}


@pytest.fixture(scope="module")
def copied(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a copy of all code and of both graphs."""
    folder = tmp_path_factory.mktemp("code")
    shutil.copytree(root / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "pretrain", folder / "pretrain")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(root / name, folder)
    return folder


@pytest.fixture
def edit(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """`edit(file, text)`: writes a file below src/ of the copy for the time of the test."""
    before: dict[Path, str | None] = {}
    monkeypatch.chdir(copied)
    monkeypatch.setattr(code, "SRC", copied / "src")

    def write(name: str, text: str) -> None:
        path = copied / "src" / name
        before.setdefault(path, path.read_text(encoding="utf-8") if path.is_file() else None)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    yield write
    for path, text in before.items():
        path.unlink() if text is None else path.write_text(text, encoding="utf-8")


def lists() -> dict[str, str]:
    code.run()
    code.run(Path("pretrain/dvc.yaml"), "patchlens.pretrain.run")
    of_stages = (p for p in Path("data/code").glob("*.txt") if not p.stem.startswith("model_"))
    found = {path.stem: path for path in of_stages}
    found |= {f"pretrain/{p.stem}": p for p in Path("data/code-pretrain").glob("*.txt")}
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}


def text_of(name: str) -> str:
    return (code.SRC / name).read_text(encoding="utf-8")


def another_constant(text: str) -> str:
    """The text with its last number or string replaced, wherever in its code that is."""
    for node in reversed(list(ast.walk(code._Executed().visit(ast.parse(text))))):
        if isinstance(node, ast.Constant) and node.lineno == node.end_lineno:
            lines = [line.encode() for line in text.splitlines(keepends=True)]
            line, start, end = lines[node.lineno - 1], node.col_offset, node.end_col_offset
            if line[start:end] == repr(node.value).replace("'", '"').encode():
                other = b'"another"' if isinstance(node.value, str) else b"987"
                lines[node.lineno - 1] = line[:start] + other + line[end:]
                return b"".join(lines).decode()
    raise AssertionError("no constant")


def other_words(text: str) -> str:
    """The text without its comments and its formatting, and with other docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node) is not None:
                node.body.pop(0)
            node.body.insert(0, ast.Expr(ast.Constant("Other words.")))
    return "# A comment.\n" + ast.unparse(ast.fix_missing_locations(tree))


@pytest.fixture(scope="module")
def unedited(copied: Path) -> dict[str, str]:
    """The lists of the copy as it is before and after every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(copied)
        patch.setattr(code, "SRC", copied / "src")
        return lists()


@pytest.mark.parametrize("file", USERS)
def test_a_file_is_in_the_lists_of_the_stages_that_use_it_with_the_hash_of_its_constants(
    edit: Callable[[str, str], None], unedited: dict[str, str], file: str
) -> None:
    before = code._hash(code.SRC / file)
    listed = {stage for stage, text in unedited.items() if f"{before}  {file}\n" in text}
    assert unedited.keys() == ALL
    assert listed == USERS[file] == {s for s, text in unedited.items() if f"  {file}\n" in text}
    edit(file, changed(file))
    assert code._hash(code.SRC / file) != before


# One of each kind of file, as a run takes a second.
@pytest.mark.parametrize(
    "file",
    [
        "patchlens/tasks/retrieval/search.py",
        "patchlens/backbones/registry/dino.yaml",
        "patchlens/site/static/tables.js",
        "patchlens/pretrain/objectives/mae.py",
        "patchlens/site/serve.py",
    ],
)
def test_another_constant_is_in_the_lists_of_the_stages_that_use_it_and_no_others(
    edit: Callable[[str, str], None], unedited: dict[str, str], file: str
) -> None:
    edit(file, changed(file))
    after = lists()
    assert after.keys() == ALL
    assert {stage for stage in after if after[stage] != unedited[stage]} == USERS[file]


def changed(name: str) -> str:
    """Another text of a file below src/: with another constant, or one more empty line."""
    text = text_of(name)
    return another_constant(text) if name.endswith(".py") else f"{text}\n"


def test_every_package_and_every_folder_of_data_has_a_file_above(root: Path) -> None:
    src = root / "src"
    known = {(src / file).parent for file in USERS}
    assert {path.parent.name for path in src.glob("*/*.py")} == {"minicity", "patchlens"}
    assert {path.parent for path in src.glob("patchlens/*/*.py")} | {src / "minicity"} <= known
    data = {path.parent for path in code._data(root / "src")}
    assert data <= {(src / file).parent for file in USERS if not file.endswith(".py")}


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_other_words_in_files_change_no_list(
    edit: Callable[[str, str], None], unedited: dict[str, str], every: int
) -> None:
    count = 0
    for path in sorted(code.SRC.rglob("*.py"))[::every]:
        text = path.read_text(encoding="utf-8")
        edit(path.relative_to(code.SRC).as_posix(), other_words(text))
        count += text != path.read_text(encoding="utf-8")
    assert count > 250 / every
    assert lists() == unedited


# What each of these does differs, so that none may have the hash of another.
DIFFERENT = [
    "x = 1", "x = 1.0", "x = True", "x = '1'", "x = b'1'", "x = None", "x = []", "x: int = 1",
    "x: float = 1", "def x(): return 1", "def x(): return None", "def x(): return",
    "def x(a): return 1", "def x(*a): return 1", "def x(a=None): return 1", "def x(*, a): return 1",
    "async def x(): return 1", "x = {**y}", "x = {None: y}", "x = f'{y}'", "x = f'{y!r}'",
    "x = f'{y:>4}'", "x = y[1:]", "x = y[None:]", "x = y[:1]", "import x", "import x as y",
    "from x import y", "from .x import y", "if x: y = 1", "if x: y = 1\nelse: y = 2", "del x",
    "class X: ...", "class X(Y): ...", "@y\nclass X: ...", "x = not TYPE_CHECKING",
    "x = lambda: ...",
]  # fmt: skip


def hash_of(text: str) -> str:
    return code._parsed(text, "patchlens/some.py").hash


def test_what_differs_in_what_it_does_differs_in_its_hash() -> None:
    assert len({hash_of(text) for text in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("x = 1", '"""Words."""\n\nx = (  # a comment\n    1\n)\n'),
        ("class X:\n    y = 1", 'class X:\n    """Words."""\n\n    y = 1\n    """More words."""'),
        ("class X(Y):\n    pass", 'class X(Y):\n    """Words."""'),
        ("def x(): ...", 'def x():\n    """Words."""'),
        ("x = 'ab'", 'x = "a" "b"'),
        ("x = 1000", "x = 1_000"),
        ("", "if TYPE_CHECKING:\n    from x import y"),
        ("y = 1", "if typing.TYPE_CHECKING:\n    from x import y\nelse:\n    y = 1"),
    ],
)
def test_what_does_the_same_has_the_same_hash(text: str, same: str) -> None:
    assert hash_of(text) == hash_of(same)


def test_the_hash_is_the_same_under_every_version_of_python() -> None:
    """Another one would run every stage of every user anew."""
    assert hash_of("\n".join(DIFFERENT)) == "7771da9bbcb4970885040d51541bda1f"


def test_imports_are_followed_wherever_they_stand(
    edit: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "OURS", {*code.OURS, "other"})
    edit("patchlens/deep.py", "VALUE = 1\n")
    edit("patchlens/near.py", "VALUE = 1\n")
    edit("patchlens/typed.py", "VALUE = 1\n")
    edit("other/__init__.py", "VALUE = 1\n")
    edit("other/named.py", "from . import beside\n")
    edit("other/beside.py", "VALUE = 1\n")
    edit(
        "patchlens/middle.py", "def f():\n    from patchlens import deep\n    from .near import g\n"
    )
    edit("other/part/words.py", "VALUE = 1\n")
    edit("other/part/not_these.py", "VALUE = 1\n")
    more = "import patchlens.middle\nimport_module(f'other.{x}')\n"
    more += "import_module(f'other.{x}.words')\nif TYPE_CHECKING:\n"
    more += "    from patchlens import typed\n"
    edit("patchlens/features/prune.py", text_of("patchlens/features/prune.py") + more)
    found = {f"patchlens/{name}.py" for name in ("deep", "near", "middle")}
    found |= {f"other/{name}.py" for name in ("__init__", "named", "beside", "part/words")}
    assert found <= code.closure("patchlens.features.prune")
    used = code.closure("patchlens.features.prune")
    assert not {"patchlens/typed.py", "other/part/not_these.py"} & used
    assert not found & code.closure("patchlens.report.tables")


def test_what_import_module_brings_must_be_readable(edit: Callable[[str, str], None]) -> None:
    edit("patchlens/named.py", "\nimport_module(name)\n")
    with pytest.raises(DataError, match=r"^src/patchlens/named\.py:2: the call of import_module"):
        code.run()


def test_there_is_no_list_of_a_module_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"patchlens\.tasks\.nothing"):
        code.closure("patchlens.tasks.nothing")


def test_a_file_that_executes_nothing_decides_nothing(edit: Callable[[str, str], None]) -> None:
    assert text_of("patchlens/tasks/__init__.py")
    assert not [name for name in code.closure("patchlens.features.prune") if "__init__" in name]


@pytest.mark.parametrize("file", ["tasks/words.yaml", "tasks/folder/words.json", "words.txt"])
def test_data_that_no_module_reads_is_named(edit: Callable[[str, str], None], file: str) -> None:
    edit(f"patchlens/{file}", "words\n")
    with pytest.raises(DataError, match=rf"^src/patchlens/{file}: no module in its folder"):
        code.run()


@pytest.mark.parametrize(
    "reader",
    [
        "from pathlib import Path\nwords = (Path(__file__).parent / 'words.yaml').read_text()",
        "from importlib.resources import files\nwords = files('patchlens.tasks') / 'words.yaml'",
        "from importlib import resources\nwords = resources.files(__package__) / 'words.yaml'",
        "from jinja2 import PackageLoader\nPackageLoader('patchlens.tasks')",
    ],
)
@pytest.mark.parametrize("place", ["tasks/knn.py", "tasks/segmentation/run.py"])
def test_data_belongs_to_the_module_that_reads_it(
    edit: Callable[[str, str], None], reader: str, place: str
) -> None:
    edit("patchlens/tasks/words.yaml", "words\n")
    edit(f"patchlens/{place}", text_of(f"patchlens/{place}") + "\n" + reader)
    if place == "tasks/knn.py" or "'patchlens.tasks'" in reader:
        code.run()
        assert "patchlens/tasks/words.yaml" in code.closure("patchlens.tasks.segmentation.run")
        assert "patchlens/tasks/words.yaml" not in code.closure("patchlens.backbones.weights")
    else:
        with pytest.raises(DataError, match="no module in its folder"):
            code.run()


PLACES = ["models", "datasets", "extract.datasets"]
PLACES += [f"fetch.{how}" for how in ("made", "downloaded", "placed")]
PLACES += [f"{task}.datasets" for task in TASKS if task != "variance"]


@pytest.fixture(scope="module")
def params(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))


def test_other_addresses_are_those_of_known_files(
    copied: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], root: Path
) -> None:
    monkeypatch.chdir(copied)
    address = find("ade20k").archives[0].url
    sources = {address: {"url": "http://x.org/a.zip", "sha256": "0" * 64}}
    wrong = params | {"sources": {address.replace(".zip", ".tar"): sources[address]}}
    with pytest.raises(SettingsError, match=rf"sources\..*\.tar: .*did you mean '{address}'"):
        code._check_sources(Path("dvc.yaml"), wrong)
    code._check_sources(Path("dvc.yaml"), params)
    try:
        Path("params.yaml").write_text(yaml.dump(params | {"sources": sources}), encoding="utf-8")
        code.run()
    finally:
        shutil.copy(root / "params.yaml", "params.yaml")
    assert yaml.safe_load(Path("data/code/sources.yaml").read_text()) == sources


@pytest.mark.parametrize(
    ("dataset", "shared", "read"),
    [
        ({"kind": "davis2017"}, ["other"], False),
        ({"kind": "davis2017"}, ["own"], True),
        ({"kind": "davis2017", "pictures": True}, [], True),
        ({"kind": "folder"}, [], True),
        ({"kind": "folder", "pictures": False}, [], False),
        ({"kind": "minicity"}, [], True),
        (None, [], False),  # the stages refuse it
    ],
)
def test_layers_that_nothing_reads_run_no_extraction(
    dataset: dict[str, Any] | None, shared: list[str], read: bool
) -> None:
    features = {"layer": -1, "layer_sweep": [-2], "norm": True}
    params = {"features": features, "datasets": {"own": dataset}}
    found = dict(code._features(params | {"segmentation": {"datasets": shared}}))
    without = features | {"layer_sweep": []}
    assert found == {"features.yaml": without, "features_own.yaml": features if read else without}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["m$(touch X)", "x;touch X;", "a b", "a\n", "A", "../a", "", True])
def test_every_name_that_dvc_puts_into_a_command_is_checked(
    edit: Callable[[str, str], None], place: str, name: str, root: Path, params: dict[str, Any]
) -> None:
    content = deepcopy(params)
    section, _, key = place.partition(".")
    if key:
        content[section][key] = ["minicity", name]
    else:
        content[section][name] = next(iter(content[section].values()))
    text = yaml.dump(content, Dumper=yaml.CSafeDumper)
    Path("params.yaml").write_text(text, encoding="utf-8")
    shutil.rmtree("data", ignore_errors=True)
    try:
        with pytest.raises(SettingsError) as caught:
            code.run()
    finally:
        shutil.copy(root / "params.yaml", "params.yaml")
    told = f"params.yaml: {place}: {str(name)!r} is not allowed; use a-z, 0-9 and _ only"
    assert str(caught.value) == told
    assert not Path("data").exists()


def test_what_pip_installed_beside_the_package_is_not_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy/__init__.py", "numpy/core.py", "patchlens/__init__.py", "patchlens/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("import numpy\nx = 1\n")
    (tmp_path / "numpy/table.bin").write_bytes(b"data")
    (tmp_path / "minicity").mkdir()
    monkeypatch.setattr(code, "SRC", tmp_path)
    assert code.closure("patchlens.a") == {"patchlens/a.py"}
    code._check_owned()


def test_a_text_that_an_earlier_run_read_is_not_taken_apart_again(tmp_path, monkeypatch):
    kept, parse = tmp_path / "modules.json", code._parse
    code._recall(kept)
    first = code._parsed("import json\nx = 1\n", "patchlens/x.py")
    code._remember(kept)
    code._recall(kept)
    asked: list[str] = []
    monkeypatch.setattr(code, "_parse", lambda *given: asked.append(given[0]) or parse(*given))
    assert code._parsed("import json\nx = 1\n", "patchlens/x.py") == first
    assert asked == []
    assert code._parsed("import json\nx = 2\n", "patchlens/x.py").hash != first.hash
    assert code._parsed("import json\nx = 1\n", "patchlens/y.py") == first  # a name may matter
    assert len(asked) == 2


def test_what_other_workspaces_left_stays_until_it_is_much(tmp_path):
    kept = tmp_path / "code/modules.json"
    for number in range(code.VERSIONS + 1):
        code._recall(kept)
        code._parsed(f"x = {number}\n", "patchlens/x.py")
        assert len(code._recalled) == number
        code._remember(kept)
    code._recall(kept)
    assert len(code._recalled) == 1
    assert list(kept.parent.iterdir()) == [kept]


def test_modules_are_remembered_in_the_cache_of_the_user_or_in_the_workspace(here, monkeypatch):
    monkeypatch.setenv("PATCHLENS_CACHE", "somewhere")
    assert code._memory(Path("pretrain/dvc.yaml")) == Path("somewhere/code/modules.json")
    for without in ("off", "params.yaml/cache"):
        Path("params.yaml").touch()
        monkeypatch.setenv("PATCHLENS_CACHE", without)
        assert code._memory(Path("dvc.yaml")) == Path(".work/code/modules.json")


DAMAGE = ["", "[1]", "{", "\x00", "{}", '{"sha256": 1}', '{"sha256": "a", "modules": {"KEY": {}}}']


@pytest.mark.parametrize("content", DAMAGE)
def test_what_an_earlier_run_read_may_be_damaged(tmp_path, content):
    kept = tmp_path / "modules.json"
    code._recall(kept)
    wanted = code._parsed("x = 1\n", "patchlens/x.py")
    [key] = code._read_now
    kept.write_text(content.replace("KEY", key))
    code._recall(kept)
    assert code._parsed("x = 1\n", "patchlens/x.py") == wanted
    code._remember(kept)
    code._recall(kept)
    assert code._recalled.keys() == {key}


def test_an_entry_that_was_changed_hides_no_import(tmp_path):
    kept = tmp_path / "modules.json"
    code._recall(kept)
    code._parsed("import json\n", "patchlens/x.py")
    code._remember(kept)
    kept.write_text(kept.read_text(encoding="utf-8").replace('"json"', '"jsom"'))
    code._recall(kept)
    assert code._parsed("import json\n", "patchlens/x.py").imports == {"json"}
