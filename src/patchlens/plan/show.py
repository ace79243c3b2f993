"""A plan as text and as JSON."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tabulate import tabulate

from patchlens.backbones.registry.show import size_text
from patchlens.plan.make import ROOM, Plan
from patchlens.plan.models import Download
from patchlens.tasks.cost import PROBE_STEPS

PARTS = {
    "extract": "extraction",
    "decode": "decoding",
    "knn": "k-NN",
    "probe": "linear probe",
    "maps": "pixel maps",
} | {
    "transform": "variants applied",
    "links": "links and lists of objects",
}
DOWNLOADING = ("fetch", "weights")  # how long these take is not known
RATES = (
    ("core", 1e9, "GFLOP/s of forward passes"),
    ("knn", 1e9, "GFLOP/s of k-NN"),
    ("probe", 1e9, "GFLOP/s of probes"),
    ("maps", 1e6, "M pixels × classes/s of maps"),
    ("transform", 1e6, "M values/s of variants"),
    ("links", 1e3, "k frames or queries/s of links and lists"),
    ("decode", 1e6, "M pixels/s of decoding"),
)


def as_json(plan: Plan) -> dict[str, Any]:
    """The whole plan, with the assumptions behind its times."""
    return asdict(plan) | {
        "features": plan.features,
        "unknown": plan.unknown,
        "memory": {stage: round(held) for stage, (held, _) in plan.memory.items()},
        "seconds": {
            where: {part: round(plan.seconds(part, gpu=where == "gpu")) for part in PARTS}
            for where in ("cpu", "gpu")
        },
        "stage_seconds": {
            where: {
                stage: round(plan.stage_seconds(stage, gpu=where == "gpu")) for stage in plan.stages
            }
            for where in ("cpu", "gpu")
        },
        "assumed": asdict(plan.rates) | {"probe_steps": PROBE_STEPS},
    }


def show(plan: Plan, params: str) -> str:
    """The plan in sections: stages, downloads, features, time, disk."""
    stages = ", ".join(f"{name} {cells}" for name, cells in plan.stages.items() if cells)
    sections = [
        (f"Plan of {params}", [f"stages: {stages}"]),
        ("Downloads", _downloads(plan.downloads)),
        ("Features of the selected images", _features(plan)),
        ("Rough time", _times(plan)),
        ("Memory of one process", _memory(plan)),
        ("Disk", _disk(plan)),
        ("Claims that will not be judged", _claims(plan)),
    ]
    return "\n\n".join("\n".join([f"{title}:", *lines]) for title, lines in sections)


def brief(plan: Plan) -> str:
    """What a run downloads, stores and takes, in lines before a question."""
    files = [f"{f.what} ({size_text(f.bytes, f.at_least)}, {_terms(f)})" for f in plan.downloads]
    seconds = plan.whole(gpu=False)
    took = f"about {_hours(seconds)}" if seconds >= 60 else "less than a minute"
    if plan.unknown:
        took = f"at least {_hours(seconds)}" if seconds >= 60 else "unknown"
    return "\n".join(
        [
            f"Download: {'; '.join(files) or 'nothing'}",
            f"Store: {_size(plan, plan.features)} of features in {Path.cwd()}{_rest(plan)}.",
            f"Take: {took} on {plan.cores} CPU cores.",
        ]
    )


def _downloads(files: list[Download]) -> list[str]:
    if not files:
        return ["nothing"]
    rows = [(f.name, f.what, size_text(f.bytes, f.at_least), _terms(f)) for f in files]
    total = f"{sum(f.bytes or 0 for f in files) / 1e9:.2f} GB"
    if unknown := [f for f in files if f.bytes is None]:
        least = sum(f.at_least for f in unknown) / 1e9
        total += f" and {len(unknown)} of unknown size"
        total += f" (at least {least:.2f} GB)" if least else ""
    table = tabulate(rows, ("name", "what", "size", "licence"), "simple", disable_numparse=True)
    return [*table.splitlines(), f"total {total}"]


def _terms(file: Download) -> str:
    marks = ["NON-COMMERCIAL"] if file.non_commercial else []
    return "; ".join([file.licence, *marks, *([file.note] if file.note else [])])


def _features(plan: Plan) -> list[str]:
    names = list(plan.images)
    found = {(cell.model, cell.dataset): cell for cell in plan.cells}
    rows = []
    for model in dict.fromkeys(cell.model for cell in plan.cells):
        sizes = [found[model, name].features for name in names]
        rows.append((model, *("unknown" if s is None else f"{s / 1e9:.2f}" for s in sizes)))
    heads = ("GB", *names)
    images = [
        f"{name}: {i.support} support and {i.query} query images ({_from(i.source)})"
        if i.total is not None
        else f"{name}: {i.source}"
        for name, i in plan.images.items()
    ]
    table = tabulate(rows, heads, "simple", disable_numparse=True).splitlines()
    return [*images, *table, f"total {_size(plan, plan.features)}{_rest(plan)}"]


def _from(source: str) -> str:
    return f"at most, from {source}" if source == "published counts" else source


def _rest(plan: Plan) -> str:
    return f", without {', '.join(plan.unknown)}, whose size is unknown" if plan.unknown else ""


def _times(plan: Plan) -> list[str]:
    rows = []
    for part, title in PARTS.items():
        rows.append((title, *(_time(plan, part, gpu=gpu) for gpu in (False, True))))
    heads = ("", f"{plan.cores} CPU cores", "one GPU")
    rates, shown = plan.rates, []
    stages = [name for name, cells in plan.stages.items() if cells and name not in DOWNLOADING]
    times = {f"stage {name}": partial(plan.stage_seconds, name) for name in stages}
    for name, time in (times | {"all stages": plan.whole}).items():
        shown.append((name, *(_known(plan, time(gpu=gpu)) for gpu in (False, True))))
    said = [f"{getattr(rates, name) / unit:.0f} {what}" for name, unit, what in RATES]
    table = tabulate([*rows, *shown], heads, "simple", disable_numparse=True).splitlines()
    return [
        *table,
        f"{'measured here' if rates.measured else 'assumptions'}, of a core: {', '.join(said)}; "
        f"{rates.gpu / 1e12:.0f} TFLOP/s per GPU; {PROBE_STEPS} steps per probe; "
        f"{rates.start} s to start a stage; without downloads{_rest(plan)}",
    ]


def _time(plan: Plan, part: str, *, gpu: bool) -> str:
    """The time of a part; unknown where what is known says nothing of the rest."""
    seconds = plan.seconds(part, gpu=gpu)
    if all(getattr(cell, part) is not None for cell in plan.cells):
        return _hours(seconds)
    return _known(plan, seconds)


def _known(plan: Plan, seconds: float) -> str:
    if not plan.unknown:
        return _hours(seconds)
    return f"≥ {_hours(seconds)}" if seconds >= 60 else "unknown"


def _size(plan: Plan, known: float) -> str:
    """A size of features, of which `known` bytes are known; unknown where nothing is."""
    text = f"{known / 1e9:.1f} GB" if known >= 1e8 else f"{known / 1e6:.1f} MB"
    if not plan.unknown:
        return text
    return f"≥ {text}" if known else "unknown"


def _hours(seconds: float) -> str:
    if seconds < 60:
        return "< 1 min"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _memory(plan: Plan) -> list[str]:
    ordered = sorted(plan.memory.items(), key=lambda of: -of[1][0])
    return [
        f"stage {stage}: about {held / 1e9:.1f} GB ({cell.model} on {cell.dataset})"
        for stage, (held, cell) in ordered
    ] or ["unknown"]


def _claims(plan: Plan) -> list[str]:
    if plan.claims is None:
        return ["there is no claims.yaml in this folder"]
    lines = [f"{name}: {why}" for name, why in plan.not_run.items()]
    return [*lines, f"{len(lines)} of {plan.claims}"]


def _disk(plan: Plan) -> list[str]:
    needs = {
        "dvc repro": ("features", plan.features),
        "patchlens repro --drop-features --jobs 1": ("features of the largest model", plan.largest),
    }
    lines = []
    for command, (what, size) in needs.items():
        verdict = "NOT ENOUGH" if ROOM * size > plan.free else "enough"
        if plan.unknown and verdict == "enough":
            verdict = "enough for what is known"
        lines.append(
            f"{command}: {what} × {ROOM} = {_size(plan, ROOM * size)}; "
            f"free {plan.free / 1e9:.1f} GB: {verdict}"
            f"; {(ROOM * size + plan.downloaded) / 1e9:.1f} GB with downloads and their content"
        )
    return lines
