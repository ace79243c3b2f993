"""The command `patchlens pretrain`: frames, loop, and a result that is complete or absent."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import lightly
import pandas as pd
import timm
import torch
from dvclive.live import Live
from safetensors.torch import save_file
from timm.models.vision_transformer import Block
from torch import nn

from patchlens.errors import TrainingError
from patchlens.features.device import describe, resolve
from patchlens.files import file_hash, whole_folder, write_csv, write_json, write_text
from patchlens.paths import WORK
from patchlens.pretrain import checkpoint, frames
from patchlens.pretrain.checkpoint import Row
from patchlens.pretrain.model import ARCH, arch_args
from patchlens.pretrain.objectives import create
from patchlens.pretrain.probe import KnnProbe
from patchlens.pretrain.settings import Recipe
from patchlens.pretrain.train import Loop, wait
from patchlens.progress import log
from patchlens.settings.yaml_text import dumped

RUNS = Path("runs/pretrain")
TRIED = Path("pretrain/tried")
WARM = 3  # steps before the clock starts
# The files that determine a result; others, such as weights/, may change during a run.
DECISIVE = ("src", "pyproject.toml", "pretrain/params.yaml", "pretrain/dvc.yaml")
IGNORED = {"__pycache__", "patchlens.egg-info"}  # written by Python, in no commit
PLOTS = {
    "loss": "loss",
    "learning_rate": "learning rate",
    "probe_miou": "patch mIoU of the k-NN probe",
}


def result(objective: str, size: str | None = None, seed: int | None = None) -> Path:
    """The folder of a result; a size or seed given on the command line has a separate folder."""
    parts = (objective, size, None if seed is None else f"seed{seed}")
    return RUNS / "-".join(part for part in parts if part)


def run(
    recipe: Recipe, out: Path, work: Path = WORK / "pretrain", *, compiled: bool = False
) -> None:
    """Train one objective into the folder `out`; a killed run is resumed.

    `compiled`: the blocks of its ViTs by torch.compile, which rounds otherwise.

    Raises:
        TrainingError: see `Loop.run`.
    """
    git = commit() | ({"compiled": True} if compiled else {})
    loop, folder = _loop(recipe, work, compiled)
    live = folder / "live"
    # dvclive empties its folder, and rows of an interrupted run are reported again.
    with Live(str(live), save_dvc_exp=False, dvcyaml=None, report=None) as tracker:
        loop.report = lambda row: _show(tracker, row)
        try:
            loop.run()
        except TrainingError as error:
            _tried(_result(recipe, loop) | git | {"finished": False, "stopped": str(error)})
            raise
    content = _result(recipe, loop) | git | {"finished": True}
    with whole_folder(out) as partial:
        shutil.copytree(live, partial / "dvclive")
        export(loop.objective.student(), partial / "weights.safetensors")
        write_csv(pd.DataFrame(loop.state.rows), partial / "log.csv")
        write_json(content, partial / "result.json")
    write_plots(out.parent)
    _tried(content)
    shutil.rmtree(folder)
    log.info("%s: patch mIoU of the probe %.3f", out, loop.state.probes[-1]["probe_miou"])


def timing(recipe: Recipe, seconds: float) -> str:
    """The rate of `rate` and the time that it makes of the budget, in words."""
    crops_per_second = rate(recipe, seconds)
    return (
        f"{recipe.objective} ({recipe.size}) on {describe(resolve(recipe.device))}: "
        f"{crops_per_second:.0f} crops/s; {recipe.shared.crops} crops take "
        f"{recipe.shared.crops / crops_per_second / 60:.1f} minutes"
    )


def rate(
    recipe: Recipe, seconds: float, work: Path = WORK / "pretrain", *, compiled: bool = False
) -> float:
    """Crops per second, from training for some seconds whose result is discarded."""
    loop, _ = _loop(recipe, work, compiled)
    loop.checkpoint = loop.probe = None
    loop.run(until=WARM)
    wait(loop.device)
    start, before, spent = time.perf_counter(), loop.state.step, 0.0
    while not spent or (spent < seconds and loop.state.step < loop.steps):
        loop.run(until=loop.state.step + recipe.shared.log_every)  # a run also waits once per row
        wait(loop.device)
        spent = time.perf_counter() - start
    crops = loop.objective.seen(recipe.own.batch * (loop.state.step - before)).crops
    return crops / spent


def export(model: nn.Module, path: Path) -> None:
    """The ViT in float16 with timm's names."""
    tensors = {name: t.detach().cpu().half().contiguous() for name, t in model.state_dict().items()}
    save_file(tensors, path)


def commit() -> dict[str, Any]:
    """The commit of the working tree, and whether code or recipes differ from it.

    Without a checkout (a copy on a machine with a GPU), `PATCHLENS_COMMIT` is the commit.
    """
    try:
        found = [
            subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", *DECISIVE])
        ]
    except (OSError, subprocess.CalledProcessError):
        return {"commit": os.environ.get("PATCHLENS_COMMIT", ""), "dirty": False}
    return {"commit": found[0].strip(), "dirty": bool(found[1].strip())}


def _loop(recipe: Recipe, work: Path, compiled: bool = False) -> tuple[Loop, Path]:
    """The loop of a recipe with its frames, and the folder of its checkpoint."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts
    device, shared = torch.device(resolve(recipe.device)), recipe.shared
    found = frames.of_training(shared.train, work)
    held_out = frames.of_probe(shared.probe, work)
    images = torch.from_numpy(found)
    origin = versions() | {"data": frames.renderer(), "code": code()}
    if compiled:
        origin["compiled"] = "blocks"
    folder = checkpoint.folder(recipe, device, origin, work)
    folder.mkdir(parents=True, exist_ok=True)
    probe = KnnProbe(held_out, shared.probe.bank, shared.probe.k, shared.arch.patch_size, device)
    objective = create(recipe).to(device)
    if compiled:
        for block in (m for m in objective.modules() if isinstance(m, Block)):
            block.compile()
    loop = Loop(objective, images.to(device), probe, folder / "checkpoint.pt", lambda row: None)
    return loop, folder


def _show(tracker: Live, row: Row) -> None:
    tracker.step = int(row["step"])
    for name, value in row.items():
        if name != "step":
            tracker.log_metric(name, value)


def _result(recipe: Recipe, loop: Loop) -> dict[str, Any]:
    """The result of a run without its commit."""
    state, images = loop.state, loop.state.step * recipe.own.batch
    rows = state.rows or [{}]
    return {
        "objective": recipe.objective,
        "size": recipe.size,
        "seed": recipe.seed,
        "recipe": recipe.model_dump(mode="json"),
        "arch": ARCH,
        "arch_args": arch_args(recipe.shared),
        "steps": state.step,
        "images": images,
        **vars(loop.objective.seen(images)),
        "seconds": round(state.seconds, 1),
        "device": describe(resolve(recipe.device)),
        "precision": "bf16 autocast" if loop.device.type == "cuda" else "float32",
        "deterministic": True,
        "loss": {name: value for name, value in rows[-1].items() if name != "step"},
        "probe": {str(int(row["step"])): row["probe_miou"] for row in state.probes},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of packages that determine a result."""
    return {module.__name__: module.__version__ for module in (torch, timm, lightly)}


def code() -> str:
    """A hash of the files that `commit` checks, so that a run is resumed with the same code."""
    digest = hashlib.sha256()
    for name in DECISIVE:
        for path in sorted([Path(name), *Path(name).rglob("*")]):
            if path.is_file() and not IGNORED & set(path.parts):
                digest.update(f"{path.as_posix()} {file_hash(path, 'sha256')}\n".encode())
    return digest.hexdigest()[:16]


def _tried(content: dict[str, Any]) -> None:
    """Record a run as tried: the choice of a recipe is part of its card."""
    path = TRIED / f"{content['objective']}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(content, sort_keys=True) + "\n")


def write_plots(runs: Path) -> None:
    """Write `runs`/dvc.yaml for `dvc plots show`: loss, rate and probe of all runs.

    It is not part of pretrain/dvc.yaml: `dvc plots` in a clone would miss runs that do not exist.
    """
    plots = []
    for name, title in PLOTS.items():
        paths = sorted(runs.glob(f"*/dvclive/plots/metrics/{name}.tsv"))
        lines = {path.relative_to(runs).as_posix(): name for path in paths}
        plots.append({name: {"x": "step", "y": lines, "title": title, "x_label": "step"}})
    write_text(dumped({"plots": plots}), runs / "dvc.yaml")
