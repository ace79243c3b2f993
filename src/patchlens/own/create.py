"""`patchlens init`: a folder of its own in which the pipeline of the installed package runs.

The graph of a workspace is the package's own dvc.yaml, to the byte; `RECORD` says which version
wrote it. `src/` in a workspace holds the user's own models: the graph depends on it.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from patchlens import paths
from patchlens.api.protocol import COMMON, DEFAULT
from patchlens.errors import PatchlensError, SettingsError
from patchlens.files import whole_file, whole_folder
from patchlens.settings.validated import loaded
from patchlens.settings.yaml_text import dumped
from patchlens.stored import read_json, reading

Fill = Callable[[Path], Mapping[str, Any]]
GRAPH = Path("dvc.yaml")
RECORD = Path("workspace.json")  # which version wrote the graph, and its hash
IDENTITY = ("-c", "user.name=patchlens", "-c", "user.email=patchlens@localhost")
TINY = {"patch_size": 8, "embed_dim": 96, "depth": 4, "num_heads": 3}
STARTER: dict[str, Any] = {  # runs anywhere: rendered images, and two models without a download
    "datasets": {
        "minicity": {
            "kind": "minicity",
            "stills": 16,
            "videos": 0,
            "view": {"mode": "whole", "grid": "equal", "patches": [16, 32]},
            "support": {"split": "support", "images": 4, "per": "total", "seeds": [0, 1]},
            "query": {"split": "query", "images": "all", "per": "total", "unit": "image"},
        }
    },
    "models": {
        "random": {
            "source": "untrained",
            "arch": "vit_tiny_patch16_224",
            "arch_args": TINY,
            "seed": 0,
        },
        "pixels": {"source": "pixels", "patch_size": 8},
    },
    "segmentation": {
        "datasets": ["minicity"],
        "variants": ["raw", "center", "prune"],
        "shots": 4,
    },
}
TEXTS = {
    "claims.yaml": "# Findings to judge, as docs/claims.md of patchlens shows; none yet.\n{}\n",
    ".gitignore": "/.work/\n/data/\n/photos/\n/reports/\n/metrics/**/*.records.parquet\n"
    "__pycache__/\n.*.partial\n",
    ".dvcignore": "__pycache__\n*.pyc\n.work\n.*.partial\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": "[core]\n    analytics = false\n"
    '[cache]\n    type = "reflink,hardlink,symlink"\n',
    "src/README.md": "Your own models: `target: src/own.py:build` in `params.yaml`.\n",
}
README = """# A workspace of patchlens

Written by patchlens {version}. Everything that shapes a number stands in `params.yaml`.

```
patchlens plan        # what a run downloads, stores and takes
patchlens repro       # run what changed; after Ctrl-C, the same again
patchlens serve       # look at the report, {site}/index.html
dvc metrics diff      # what changed since the last commit
```
"""


def package_graph() -> bytes:
    """The dvc.yaml of this package."""
    return (files("patchlens.own") / "graph.yaml").read_bytes()  # DVC would run a dvc.yaml there


def make(folder: Path, fill: Fill = lambda _: STARTER, *, subdir: bool = False) -> None:
    """Write a workspace, completely or not at all, with a first commit in a repository of its own.

    Args:
        folder: where; it does not exist, or is empty.
        fill: writes what else the workspace holds into a folder, and returns the content of
            params.yaml: sections, whose keys go over those of the default protocol.
        subdir: whether it belongs to the Git repository around it, which is then left as it is.

    Raises:
        PatchlensError: there is something in `folder`, or it is in a repository and not `subdir`.
    """
    if folder.is_symlink() or folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        known = "; run `patchlens init --upgrade` there" if (folder / RECORD).is_file() else ""
        raise PatchlensError(f"{folder}: is there already; name a new folder{known}")
    around = repository_around(folder)
    if around and not subdir:
        raise PatchlensError(
            f"{folder}: is inside the Git repository {around}; give --subdir to make it a part of "
            "that, or name a folder outside"
        )
    if subdir and not around:
        raise PatchlensError(f"{folder}: --subdir, but there is no Git repository around it")
    if not shutil.which("git"):
        raise PatchlensError("git: not found, and DVC needs it; install it first")
    with whole_folder(folder) as partial:
        content = fill(partial)
        texts = TEXTS | {
            "README.md": README.format(version=version("patchlens"), site=paths.SITE),
            str(paths.PARAMS): params_text(content),
        }
        for name, text in texts.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(text, encoding="utf-8")
        _write_graph(partial)
        if not subdir:
            _git(partial, "init", "--quiet")
            commit(partial, "A new workspace")


def commit(folder: Path, message: str) -> None:
    """Commit everything in a workspace that is a repository of its own, if anything changed."""
    if not (folder / ".git").exists():
        return
    _git(folder, "add", "--all")
    if _asked(folder, "diff", "--cached", "--quiet").returncode:
        known = not _asked(folder, "config", "user.email").returncode
        identity = () if known else IDENTITY
        _git(folder, *identity, "commit", "--quiet", "--no-verify", "-m", message)


def params_text(content: Mapping[str, Any]) -> str:
    """A whole params.yaml: the default protocol with the sections of `content` over it."""
    whole = _protocol()
    fetch: dict[str, list[str]] = {"made": [], "downloaded": [], "placed": []}
    for name, dataset in content["datasets"].items():
        where = "made" if dataset["kind"] == "minicity" else "placed"
        fetch[where].append(name)
    start = {
        "device": whole["device"],
        "fetch": fetch,
        "datasets": content["datasets"],
        "models": content["models"],
        "extract": {"datasets": list(content["datasets"])},
    }
    whole = start | {name: value for name, value in whole.items() if name not in start}
    for name, section in content.items():
        whole[name] = {**whole[name], **section} if name not in start else section
    head = f"# Written by patchlens {version('patchlens')}. Edit a value, then `patchlens repro`.\n"
    return head + dumped(whole)


def upgrade(folder: Path = Path()) -> bool:
    """Bring the graph of a workspace to that of this package; whether anything changed.

    Raises:
        PatchlensError: it is no workspace, or its dvc.yaml has changes that Git does not hold.
    """
    if not (folder / RECORD).is_file():
        raise PatchlensError(f"{folder.resolve()}: no workspace of `patchlens init` ({RECORD})")
    if (folder / GRAPH).is_file() and (folder / GRAPH).read_bytes() == package_graph():
        changed = differs(folder) is not None
    elif _asked(folder, "status", "--porcelain", "--", GRAPH.name).stdout.strip():
        raise PatchlensError(
            f"{folder / GRAPH}: has changes that are not committed and would be lost; run `git "
            f"commit {GRAPH}` first"
        )
    else:
        changed = True
    _write_graph(folder)
    return _add_sections(folder / paths.PARAMS) or changed


def _add_sections(params: Path) -> bool:
    """Add the sections that params.yaml lacks, without a dataset; its own text stays as it is."""
    content = loaded(params, missing="restore it with Git")
    lacking = {name: section for name, section in _protocol().items() if name not in content}
    if not lacking:
        return False
    text = params.read_text(encoding="utf-8").rstrip("\n")
    with whole_file(params) as partial:
        partial.write_text(f"{text}\n{dumped(lacking)}", encoding="utf-8")
    return True


def _protocol() -> dict[str, Any]:
    """The sections of the default protocol; those of tasks without a dataset."""
    whole = dict(loaded(DEFAULT, missing="install patchlens again"))
    return {
        name: section
        if name in COMMON or not isinstance(section, dict)
        else {"datasets": []} | section
        for name, section in whole.items()
    }


def differs(folder: Path = Path()) -> str | None:
    """Why a workspace cannot run with this package; None if it can, or if it is none."""
    path = folder / RECORD
    if not path.is_file():
        return None
    with reading(path):
        record = read_json(path)
        if record["graph"] == _hash(package_graph()):
            return None
        wrote = str(record["patchlens"])
    return (
        f"{GRAPH}: was written by patchlens {wrote}, and the graph of this patchlens "
        f"({version('patchlens')}) differs; run `patchlens init --upgrade`"
    )


def check() -> None:
    """Refuse to run in a workspace whose graph is that of another version.

    Raises:
        SettingsError: see `differs`.
    """
    if fault := differs():
        raise SettingsError(fault)


def repository_around(folder: Path) -> Path | None:
    """The Git repository that a new folder would be in."""
    near = next(parent for parent in (folder.absolute(), *folder.absolute().parents)
                if parent.is_dir())  # fmt: skip
    found = _asked(near, "rev-parse", "--show-toplevel")
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def _write_graph(folder: Path) -> None:
    """The graph, the templates of its plots, and the record of both."""
    from patchlens.site.curves import dvc_template  # draws: slow to import
    from patchlens.site.plots import TEMPLATES

    graph = package_graph()
    record = {"patchlens": version("patchlens"), "graph": _hash(graph)}
    texts = {f".dvc/plots/{name}.json": dvc_template(panels) for name, panels in TEMPLATES.items()}
    written = {name: json.dumps(content, indent=1) + "\n" for name, content in texts.items()}
    written |= {GRAPH.name: graph.decode(), RECORD.name: json.dumps(record, indent=1) + "\n"}
    for name, text in written.items():
        with whole_file(folder / name) as partial:
            partial.write_bytes(text.encode())


def _hash(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()


def _asked(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True)


def _git(folder: Path, *command: str) -> None:
    done = _asked(folder, *command)
    if done.returncode:
        said = " ".join(done.stderr.split()) or "it failed"
        raise PatchlensError(f"git: {said}; correct Git's settings and run this again")
