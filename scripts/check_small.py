"""Checks that a change keeps every score: runs all tasks on a miniature before and after it.

`check_small.py [REV]` runs the stages that metrics depend on, once with the code of REV (HEAD by
default) and once with that of the working tree, each in one process without DVC. All numbers of the
two sets of metrics must be equal. The results of a revision are kept in .work/check-small, with its
rendered images, which the working tree reuses if the code of the stage render is the same.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".work/check-small"
INPUTS = ("params.yaml", "dvc.yaml", "claims.yaml")
# Sums of another number of threads end in other bits.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
RENDERED = Path("data/raw"), Path("data/code/render.txt"), Path("params.yaml")


def main(revision: str) -> None:
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run(
        [*git, "rev-parse", "--verify", f"{revision}^{{commit}}"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    # Another miniature is another reference.
    before = KEPT / f"{commit[:12]}-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if not before.is_dir():
            old = work / "old"
            old.mkdir()
            archive = subprocess.Popen([*git, "archive", commit], stdout=subprocess.PIPE)
            subprocess.run(["tar", "-x", "-C", str(old)], stdin=archive.stdout, check=True)
            if archive.wait():
                sys.exit(f"`git archive {commit}` failed; see the messages of Git above")
            reproduce(old, work / "before", KEPT)
            keep(work / "before", before)
        reproduce(ROOT, work / "after", before)
        metrics = [before / "metrics", work / "after/metrics"]
        done = subprocess.run(["patchlens", "compare", *metrics, "--tolerance", "0"])
        sys.exit(done.returncode)


def reproduce(code: Path, folder: Path, rendered: Path) -> None:
    """Run the stages of the repository `code` on the miniature in `folder`."""
    folder.mkdir()
    for name in INPUTS:
        shutil.copy(code / name, folder)
    shrink(folder / "params.yaml")
    env = os.environ | {"PYTHONPATH": str(code / "src")} | dict.fromkeys(THREADS, "1")
    command = [sys.executable, __file__, "--metrics", str(code / "src"), str(rendered)]
    subprocess.run(command, cwd=folder, env=env, check=True)


def keep(folder: Path, target: Path) -> None:
    """Move the metrics and the images of a run to `target`, completely or not at all."""
    whole = folder / "kept"
    for path in (Path("metrics"), *RENDERED):
        (whole / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / path, whole / path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.move(whole, partial)
    partial.rename(target)


def stages(
    src: str,
    rendered: Path | None,
    wanted: Callable[[dict[str, Any]], set[str]],
    mine: Callable[[dict[str, str]], bool] = lambda cell: True,
) -> None:
    """Run the `wanted` stages of dvc.yaml in the working folder, in its order, in this process.

    `mine` says which cells of a stage, such as {"model": "dino"}, are run. The images of
    `rendered`, a folder such as `keep` makes, are reused if the code of the stage render is the
    same.
    """
    import patchlens
    from patchlens.cli import app

    if not Path(patchlens.__file__).is_relative_to(src):
        sys.exit(f"imported {patchlens.__file__} instead of the package in {src}; see PYTHONPATH")
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    chosen = wanted(graph)
    raw, *made_by = RENDERED
    for name, stage in graph.items():  # each stage follows those that it depends on
        if name not in chosen:
            continue
        if rendered and name == "render" and all(_same(rendered / path, path) for path in made_by):
            shutil.copytree(rendered / raw, raw)
            continue
        axes = {axis: _values(source, params) for axis, source in stage.get("matrix", {}).items()}
        for values in product(*axes.values()):
            cell = dict(zip(axes, values, strict=True))
            if not mine(cell):
                continue
            command: str = stage["cmd"]
            for axis, value in cell.items():
                command = command.replace(f"${{item.{axis}}}", value)
            if command.split()[0] != "patchlens":
                sys.exit(f"dvc.yaml: stages.{name}.cmd: '{command}' is not a patchlens command")
            app(["--quiet", *command.split()[1:]], standalone_mode=False)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and one.read_bytes() == other.read_bytes()


def needed(graph: dict[str, Any]) -> set[str]:
    """The stages that write metrics, and those on whose outputs they depend."""
    made = {name: _outputs(stage) for name, stage in graph.items()}
    found = {name for name, paths in made.items() if any(p.startswith("metrics/") for p in paths)}
    while True:
        deps = [dep for name in found for dep in graph[name].get("deps", [])]
        more = {
            name
            for name, paths in made.items()
            if any(path.startswith(dep) or dep.startswith(path) for path in paths for dep in deps)
        }
        if more <= found:
            return found
        found |= more


def _outputs(stage: dict[str, Any]) -> list[str]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def _values(source: str, params: dict[str, Any]) -> list[str]:
    """The names that `${key.in.params}` refers to."""
    found: Any = params
    for part in source.removeprefix("${").removesuffix("}").split("."):
        found = found[part]
    return list(found)


def shrink(params: Path) -> None:
    """Reduce the default so that every stage takes seconds; all other settings are unchanged."""
    content = yaml.safe_load(params.read_text(encoding="utf-8"))
    content["datasets"]["minicity"] |= {"stills": 10}
    content["datasets"]["minicity_video"] |= {"videos": 1}
    content["datasets"]["minicity"]["support"] |= {"images": 2, "seeds": [0, 1]}
    small = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    random = {"source": "untrained", "arch": "vit_tiny_patch16_224", "arch_args": small, "seed": 0}
    content["models"] = {"random": random, "pixels": content["models"]["pixels"]}
    content["features"]["layer_sweep"] = [-2]
    content["prune"] |= {"random_draws": 1, "choices": [0.1, 0.26, 0.5]}
    content["segmentation"] |= {"shots": 2, "shots_sweep": [1, 2]}
    content["segmentation"]["linear"]["c"] = [0.1, 1.0]
    content["identification"] |= {"images": 2, "patches": 8, "granularities": [1, 2]}
    content["identification"]["degradations"] = {"blur": [2], "shift": [4]}
    content["tracking"] |= {"deltas": [1, 5], "thresholds": [0.0, 0.9]}
    content["uncertainty"]["resamples"] = 100
    params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    choices = {"--stages": set, "--metrics": needed}  # all, or those that metrics depend on
    if sys.argv[1:] and sys.argv[1] in choices:
        stages(sys.argv[2], Path(sys.argv[3]) if sys.argv[3:] else None, choices[sys.argv[1]])
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "HEAD")
