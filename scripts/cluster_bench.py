"""What the engines of `patchlens repro` cost: `python scripts/cluster_bench.py [NAME ...]`.

Needs the extra `cluster`; 16 sleeping workers need few cores, but quiet ones.

`local` and `ray`: 64 stages that sleep 5 s and write 1 MB, on 16 workers of this machine. What DVC
keeps of them is included; the start of the cluster is not, and stands beside. `nothing`: the time
of the engine itself for 417 stages that do nothing, as many as 20 models on two datasets have.
`estimate`: hours of presets/paper.yaml on 1, 8 and 64 GPUs, by arithmetic, as docs/cost.md has it.
"""

import argparse
import heapq
import resource
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

STAGES, WORKERS, SECONDS, BYTES, NOTHING = 64, 16, 5.0, 1_000_000, 417


class Instant:
    """Workers that have done a stage, `make OUT ...`, as soon as it is waited for."""

    def __init__(self) -> None:
        self._open: list[Any] = []

    def free(self, job: Any) -> bool:  # noqa: D102
        return len(self._open) < WORKERS

    def start(self, job: Any) -> None:  # noqa: D102
        self._open.append(job)

    def ended(self) -> tuple[str, int]:  # noqa: D102
        job = self._open.pop(0)
        for out in job.outs:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            Path(out).write_text(job.name)
        return job.name, 0

    def close(self) -> None:  # noqa: D102
        pass


def asleep() -> dict[str, Any]:
    """Stages side by side."""
    command = f"sleep {SECONDS} && head -c {BYTES} /dev/urandom > out_${{item.of}}"
    of = [f"s{number:02d}" for number in range(STAGES)]
    return {"stage": {"matrix": {"of": of}, "cmd": command, "outs": ["out_${item.of}"]}}


def nothing() -> dict[str, Any]:
    """A graph of the shape of the pipeline's: chains of a model, and one stage that needs all."""
    stages: dict[str, Any] = {"code": {"cmd": "make", "deps": ["params.yaml"], "outs": ["code"]}}
    last = []
    for number in range((NOTHING - 2) // 5):
        before = "code"
        for kind in ("weights", "extract", "prune", "segmentation", "sweep"):
            out = f"{kind}/{number}"
            deps = sorted({before, "code"})
            stages[f"{kind}_{number}"] = {"cmd": "make", "deps": deps, "outs": [out]}
            before = out
        last.append(before)
    return stages | {"tables": {"cmd": "make", "deps": last, "outs": ["tables"]}}


def measured(name: str) -> str:
    """One row."""
    import yaml
    from dvc.repo import Repo

    from patchlens.pipeline import engine
    from patchlens.pipeline.remote import Remote
    from patchlens.pipeline.workers import Local

    stages = nothing() if name == "nothing" else asleep()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
        Path("params.yaml").write_text("k: 1\n", encoding="utf-8")
        Path(".work/locks").mkdir(parents=True)
        Repo.init(no_scm=True).close()
        begun = time.perf_counter()
        of_ray = {"num_cpus": WORKERS, "object_store_memory": 100_000_000}
        makers = {
            "local": lambda: Local(WORKERS),
            "ray": lambda: Remote(WORKERS, "cpu", {}, **of_ray),
            "nothing": Instant,
        }
        workers: Any = makers[name]()
        started, cpu = time.perf_counter() - begun, time.process_time()
        begun = time.perf_counter()
        run = engine.run([], workers)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    assert not run.failed, run.failed
    if name == "nothing":
        return f"nothing: {run.total} stages in {wall:.1f} s, {cpu:.1f} s of CPU"
    faster = STAGES * SECONDS / wall
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        f"{name}: {STAGES} stages of {SECONDS:.0f} s on {WORKERS} workers in {wall:.1f} s: "
        f"{faster:.1f} times one worker, {faster / WORKERS:.2f} of {WORKERS}; the engine took "
        f"{cpu:.1f} s of CPU, processes below it {below.ru_utime + below.ru_stime:.1f} s; workers "
        f"started in {started:.1f} s"
    )


# FLOP or values a second on a GPU; what is not there is done by one core, at the rates of a plan.
GUESSES = {"extract": 10e12, "knn": 10e12, "probe": 10e12, "maps": 4e9}
H200 = {"extract": 40e12, "knn": 40e12, "probe": 10e12, "maps": 40e9}
AFTER = {"sweep": "segmentation", "selection": "segmentation", "identification": "degrade"}
DEALT = {"extract", "knn"}  # parts of a stage that helpers share


def estimate() -> str:
    """The rows of a table: hours by rates, stages alone and with helpers."""
    from patchlens.cli.application import settings
    from patchlens.plan.make import make

    plan = make(settings(Path("presets/paper.yaml")), Path("dvc.yaml"))
    rows = ["| rates | stages | 1 GPU | 8 | 64 |", "|---|---|---|---|---|"]
    for title, rates in {"the plan's guesses": GUESSES, "40 TFLOP/s": H200}.items():
        for how, helped in {"one GPU each": False, "with helpers, at best": True}.items():
            seconds = [makespan(plan, rates, gpus, helped) for gpus in (1, 8, 64)]
            rows.append(f"| {title} | {how} | {' | '.join(f'{s / 3600:.1f} h' for s in seconds)} |")
    return "\n".join(rows)


def makespan(plan: Any, rates: dict[str, float], gpus: int, helped: bool) -> float:
    """Seconds: the longest waiting chain first; helpers take what GPUs are left over.

    A chain cannot be shorter with helpers than its undealt parts, nor all than their sum by GPUs.
    """
    chains, total = [], 0.0
    for cell in plan.cells:
        start = plan.rates.start
        took: dict[str, float] = {"weights": start, "prune": start}
        alone = dict(took)
        for stage, parts in cell.stages.items():
            work = {p: w for p, w in parts.items() if p != "decode"}
            each = {p: w / (rates.get(p) or getattr(plan.rates, p)) for p, w in work.items()}
            took[stage] = start + sum(each.values())
            alone[stage] = start + sum(s / (gpus if p in DEALT else 1) for p, s in each.items())
        chains.append(took)
        total += sum(took.values()) - took["weights"] - took["prune"]  # which take no GPU
        if helped:
            chains[-1] = took | {"_longest": longest(alone)}
    if helped:
        return max(total / gpus, max(chain["_longest"] for chain in chains))
    return scheduled(chains, gpus)


def longest(took: dict[str, float]) -> float:
    """The longest chain of the stages of a cell."""
    last = took.keys() - {"weights", "extract", "prune", *AFTER.values()}
    first = took["weights"] + took["extract"] + took["prune"]
    return first + max(took[name] + took.get(AFTER.get(name, ""), 0.0) for name in last)


def scheduled(chains: list[dict[str, float]], gpus: int) -> float:
    """When the last stage ends, if a free GPU takes the stage that most waits for."""
    queue: list[tuple[float, float, int, str]] = []  # ready at, minus what follows, cell, stage
    free = [0.0] * gpus
    end = 0.0

    def push(at: float, cell: int, stage: str) -> None:
        after = [took for name, took in chains[cell].items() if AFTER.get(name) == stage]
        follows = longest(chains[cell]) if stage == "extract" else max(after, default=0.0)
        queue.append((at, -follows - chains[cell][stage], cell, stage))

    for number in range(len(chains)):
        push(chains[number]["weights"], number, "extract")
    while queue:
        now = heapq.heappop(free)
        ready = [one for one in queue if one[0] <= now] or [min(queue)]
        one = min(ready, key=lambda one: one[1])
        queue.remove(one)
        at, _, cell, stage = one
        done = max(now, at) + chains[cell][stage]
        heapq.heappush(free, done)
        end = max(end, done)
        done += chains[cell]["prune"] if stage == "extract" else 0.0
        for name in chains[cell].keys() - {"weights", "extract", "prune"}:
            if AFTER.get(name, "extract") == stage:
                push(done, cell, name)
    return end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = ("local", "ray", "nothing", "estimate")
    parser.add_argument("names", nargs="*", choices=[*names, []], default=list(names))
    for name in parser.parse_args().names:
        print(estimate() if name == "estimate" else measured(name), flush=True)


if __name__ == "__main__":
    main()
