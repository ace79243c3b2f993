"""Stages of `patchlens repro --engine ray`: each where its CPUs, its GPU and its memory are free.

All hosts see the workspace at the same path. A worker gets the command of a stage, removes what an
attempt cut short has left, and gives back an exit code; Ray repeats it where a worker is lost.
"""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import patchlens
from patchlens import cluster, paths
from patchlens.cluster import RESOURCES
from patchlens.errors import MachineError, PatchlensError
from patchlens.pipeline.workers import GLANCE, THREADS, Job, apart, end_groups, environment
from patchlens.processes import GRACE, cores
from patchlens.progress import log
from patchlens.settings.features import Device

RETRIES = 2  # of a stage whose worker was lost
LOOK = 10.0  # seconds between two looks at the nodes while nothing ends
LOST = -9  # the exit code of what was lost too often
Share = dict[str, float]  # of a cluster: num_cpus, num_gpus, memory in bytes


class Remote:
    """Workers of a Ray cluster.

    Args:
        jobs: how many stages share the cores of a host; at least one for each GPU.
        device: of the settings; `cuda` and, where there is one, `auto` take a GPU for each stage
            that depends on it.
        memory: name of a stage -> bytes that it needs, about.
        address: of a running cluster, as `RAY_ADDRESS` has it; by default this machine alone.
        local: what a cluster of this machine alone has, such as `num_cpus`.

    Raises:
        SettingsError: Ray is not installed.
        MachineError: no cluster answers.
    """

    def __init__(
        self,
        jobs: int,
        device: Device,
        memory: Mapping[str, float],
        address: str | None = None,
        **local: Any,
    ) -> None:
        self._ray = cluster.connect(address, **{"num_cpus": cores()} | local)
        self._jobs, self._device, self._memory = jobs, device, memory
        self._execute = self._ray.remote(execute)
        self._running: dict[Any, tuple[Job, Share]] = {}
        self._look()

    def _look(self) -> None:
        """See which hosts there are now."""
        self._seen = time.monotonic()
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        whole = [{key: of.get(name, 0.0) for key, name in RESOURCES.items()} for of in alive]
        self._nodes = [node for node in whole if node["num_cpus"]]

    def share(self, job: Job) -> Share:
        """What a job takes: never more memory than the largest host that may run it has.

        Raises:
            PatchlensError: no host may run it.
        """
        gpu = "device" in job.params and self._device != "cpu"
        gpu &= self._device == "cuda" or any(node["num_gpus"] for node in self._nodes)
        hosts = [node for node in self._nodes if node["num_gpus"] or not gpu]
        if not hosts:
            what = "has a GPU" if gpu else "is left"
            raise PatchlensError(
                f"{job.name}: no host of the cluster {what}; start one, and run this again"
            )
        most = max(node["memory"] for node in hosts)
        return {
            "num_cpus": max(1, min(n["num_cpus"] // max(self._jobs, n["num_gpus"]) for n in hosts)),
            "num_gpus": int(gpu),
            "memory": int(min(self._memory.get(job.name, 0), most)),
        }

    def free(self, job: Job) -> bool:
        """Whether the hosts together have room for it; Ray finds the one."""
        if time.monotonic() - self._seen > LOOK:
            self._look()
        wanted = Counter(self.share(job))
        for _, taken in self._running.values():
            wanted.update(taken)
        fits = all(wanted[key] <= sum(node[key] for node in self._nodes) for key in RESOURCES)
        return fits or not self._running

    def start(self, job: Job) -> None:
        """Hand a job to Ray."""
        share = self.share(job)
        of_stage = {
            cluster.ADDRESS: self._ray.get_runtime_context().gcs_address,
            cluster.SHARE: json.dumps(share),
        }
        run = self._execute.options(**share, name=job.name, max_retries=RETRIES)
        ref = run.remote(job, str(Path.cwd()), code(), of_stage)
        self._running[ref] = job, share

    def ended(self) -> tuple[str, int]:
        """Wait for the end of a job: its name and its exit code."""
        while not (done := self._ray.wait(list(self._running), timeout=LOOK)[0]):
            self._look()
            for job, _ in self._running.values():
                self.share(job)  # Ray would wait for a host that may never come
        name = self._running[done[0]][0].name
        try:
            code = int(self._ray.get(done[0]))
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            log.error("%s: its worker was lost, %d times: %s", name, RETRIES + 1, _brief(error))
            code = LOST
        del self._running[done[0]]
        return name, code

    def close(self) -> None:
        """End whatever still runs, on all hosts, and leave the cluster."""
        refs = list(self._running)
        for force in (False, True):  # in less than GRACE, after which a signal ends this process
            for ref in refs:
                self._ray.cancel(ref, force=force)
            if refs:
                _, refs = self._ray.wait(refs, num_returns=len(refs), timeout=GRACE / 4)
        self._running.clear()
        self._ray.shutdown()


def execute(job: Job, folder: str, ours: str, of_stage: Mapping[str, str]) -> int:
    """Be the worker of a stage: its exit code.

    Raises:
        MachineError: this host does not see the workspace, or has other code.
    """
    host, root = socket.gethostname(), Path(folder)
    if not (root / paths.WORK / "locks").is_dir():
        raise MachineError(
            f"{host}: {folder} is not there; all hosts must see the workspace at the same path"
        )
    if code() != ours:
        raise MachineError(
            f"{host}: its patchlens differs from that of `patchlens repro`; install the same one"
        )
    os.chdir(root)
    for out in map(Path, job.outs):
        if out.is_dir() and not out.is_symlink():
            rmtree(out)
        else:
            out.unlink(missing_ok=True)
    threads = dict.fromkeys(THREADS, str(int(json.loads(of_stage[cluster.SHARE])["num_cpus"])))
    env = {**os.environ, **environment(job), **threads, **of_stage}
    process = apart(job, env)
    try:
        while process.poll() is None:
            time.sleep(GLANCE)  # Ray cannot interrupt a wait
    finally:
        if process.poll() is None:
            end_groups({process.pid})
    return process.returncode


@cache
def code() -> str:
    """A hash of the code of this package, as this process would run it."""
    found = sha256()
    for path in sorted(Path(patchlens.__file__).parent.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def _brief(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
