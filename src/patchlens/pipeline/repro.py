"""`patchlens repro`: `dvc repro` with several stages at once, which resumes after any kill.

Where the disk has no room for the features of all models, those of a model are deleted after its
tasks, and the next model begins after that.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from dvc.stage import PipelineStage as Stage

from patchlens import paths
from patchlens.errors import PatchlensError, SettingsError
from patchlens.pipeline import engine, workspace
from patchlens.pipeline.engine import Graph, Run
from patchlens.pipeline.locks import held
from patchlens.pipeline.workers import Local, Workers
from patchlens.plan.code import check_names
from patchlens.progress import log
from patchlens.settings.load import load
from patchlens.tasks.known import known

Engine = Literal["local", "ray"]
DVC = Path("dvc.yaml")
OF_DATASET = ("render", "fetch", "manifest", "index")
DROPPED = (("data", "features"), ("data", "degraded"))  # the outputs of --drop-features


def run(
    targets: Sequence[str],
    jobs: int,
    force: bool,
    drop_features: bool = False,
    engine_name: Engine = "local",
) -> None:
    """Bring the results of params.yaml up to date.

    Args:
        targets: stages to run with all that they need; all stages if empty.
        jobs: how many stages run at once, on each host; they share its cores.
        force: execute every stage once, whether or not anything changed.
        drop_features: keep the features of at most `jobs` models; without `targets`.
        engine_name: `local`, processes of this machine, or `ray`, those of a cluster.

    Raises:
        SettingsError: a name in params.yaml is one that DVC must not put into a command, or both
            `targets` and `drop_features` are asked for.
        PatchlensError: a stage failed, another process works in this workspace, or Git does not
            know it.
    """
    if targets and drop_features:
        raise SettingsError("--drop-features: a run of all stages only; name no stages")
    if fault := workspace.without_git():
        raise PatchlensError(fault)
    check_names(DVC)  # before DVC puts them into a command
    with held("patchlens repro"):
        workspace.mend()
        try:
            done = engine.run(
                targets,
                Local(jobs) if engine_name == "local" else _remote(jobs),
                force=force,
                holding=(lambda graph: Dropping(graph, jobs)) if drop_features else None,
            )
        except BaseException:
            with suppress(PatchlensError):  # what happened first is what to report
                workspace.mend()  # a signal may have met DVC as it wrote a lock file
            raise
        _say(done)


def _remote(jobs: int) -> Workers:
    """Workers of the cluster at `RAY_ADDRESS`, by default of this machine."""
    from patchlens.pipeline.remote import Remote
    from patchlens.plan import cost, graph, make

    settings = load(paths.PARAMS, known())
    of_cell = {(cell.dataset, cell.model): cell.memory for cell in make.make(settings, DVC).cells}
    memory = {
        "@".join([stage.name, "-".join(names.values())]): of_cell[of].get(stage.name, cost.PROCESS)
        for stage in graph.stages(DVC, settings)
        for names in stage.cells
        if (of := (names.get("dataset"), names.get("model"))) in of_cell
    }
    return Remote(jobs, settings.device, memory, os.environ.get("RAY_ADDRESS"))


def _say(done: Run) -> None:
    kept = done.total - sum(map(len, (done.executed, done.restored, done.failed, done.left)))
    if not done.failed and not done.left:
        ran = f"{len(done.executed)} run, " if done.executed else ""
        found = f"{len(done.restored)} taken from DVC's cache, " if done.restored else ""
        log.info("%d stages: %s%s%d were up to date", done.total, ran, found, kept)
        return
    raise PatchlensError(
        f"{len(done.failed)} of {done.total} stages failed (see above): "
        f"{', '.join(done.failed)}; {len(done.left)} that need them did not run. Fix the cause and "
        "run this again; finished stages are kept"
    )


class Dropping:
    """Keeps the features of few models at a time.

    A model of which nothing but deleted features has changed is left alone.

    Args:
        graph: the stages of the run.
        most: how many models may have features.
    """

    def __init__(self, graph: Graph, most: int) -> None:
        self._graph, self._most = graph, most
        self._todo: dict[str, set[Stage]] = {}  # of each model that has begun
        self._unchanged: set[str] = set()
        self._of: dict[str, list[Stage]] = {}  # of each model its stages, needs before users
        for stage in reversed(graph.urgency()):
            if model := _model(stage):
                self._of.setdefault(model, []).append(stage)

    def skips(self, stage: Stage) -> bool:
        """Whether the model of this stage is left alone."""
        return _model(stage) in self._unchanged

    def may_begin(self, stage: Stage) -> bool:
        """Whether the model of this stage has begun, or may begin now."""
        model = _model(stage)
        if model and model not in self._todo and len(self._todo) < self._most:
            changed = set[Stage]()
            for one in self._of[model]:
                if self._graph.needs[one] & changed or self._graph.changed(one, lost=True):
                    changed.add(one)
            if changed:
                self._todo[model] = set(self._of[model])
            else:
                self._unchanged.add(model)
        return not model or model in self._todo or model in self._unchanged

    def end(self, stage: Stage) -> None:
        """A stage is done; after the last one of a model, delete its features."""
        model = _model(stage)
        if model in self._todo:
            self._todo[model].remove(stage)
            if not self._todo[model]:
                del self._todo[model]
                for one in self._of[model]:
                    drop_features(one)


def drop_features(stage: Stage) -> None:
    """Delete the features that a stage has made, in the workspace and in DVC's cache."""
    cache = stage.repo.cache.local
    for out in stage.outs:
        if not out.hash_info or Path(out.def_path).parts[:2] not in DROPPED:
            continue
        stored = Path(cache.oid_to_path(out.hash_info.value))
        if out.hash_info.isdir and stored.is_file():
            for file in json.loads(stored.read_text(encoding="utf-8")):
                Path(cache.oid_to_path(file["md5"])).unlink(missing_ok=True)
        stored.unlink(missing_ok=True)
        out.remove()


def _model(stage: Stage) -> str | None:
    """`dino` of `sweep@dino-minicity`, as names have no hyphen; None of stages of no model."""
    kind, _, of = stage.addressing.partition("@")
    return None if kind in OF_DATASET else of.partition("-")[0] or None
