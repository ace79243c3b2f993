"""A rehearsal of presets, by default of paper and open, end to end in miniature.

Official archives and weight files, drawn small (archives.py, tests/backbones), lie on a local
server, and `sources` of the settings leads the stages `fetch` and `weights` there. Then each preset
runs as it is, but for sizes and amounts (overlay.py): all stages as functions, with the models of a
preset in two processes, and one model of each family through DVC. All claims of the preset must be
judged, tables and pages whole.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rehearse import archives, checks, overlay

ROOT = Path(__file__).resolve().parents[2]

PRESETS = ("paper", "open")
LANES = 2  # processes that share the models of a preset
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> bool:
    """Run what the command line asks for; whether anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="rehearse", description=__doc__)
    parser.add_argument("presets", nargs="*", default=PRESETS, help="names in presets/")
    parser.add_argument("--folder", type=Path, help="where to work, to look at what is left")
    parser.add_argument("--without-dvc", action="store_true", help="only in one process a preset")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as own:
        work = Path(asked.folder or own).absolute()
        problems = rehearse(work, asked.presets, through_dvc=not asked.without_dvc)
    for problem in problems:
        print(f"rehearse: {problem}")
    words = f"{len(problems)} problems" if problems else "whole"
    print(f"rehearse: {', '.join(asked.presets)}: {words}, {time.monotonic() - began:.0f} s")
    return bool(problems)


def rehearse(work: Path, presets: list[str], *, through_dvc: bool) -> list[str]:
    """Run the presets below the folder `work`; what is not as it must be."""
    from fileserver import Site

    os.environ["NO_PROXY"] = "127.0.0.1"
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for every request
    wanted = {name: settings(name) for name in presets}
    models = sorted({m for params in wanted.values() for m in registered(params).values()})
    code = work / "code"
    overlay.small_registry(ROOT / "src", code / "src", {m: overlay.shape_of(m) for m in models})
    with Site() as site:
        sources = served(site, work, wanted, models)
        folders = {name: work / name for name in presets}
        for name, params in wanted.items():
            lay(folders[name], name, params, sources)
        problems = []
        for name, params in wanted.items():
            failed = [f"stages failed: {why}" for why in in_lanes(folders[name], code)]
            found = failed or look(folders[name], name, params)
            problems += [f"{name}: {problem}" for problem in found]
            if through_dvc:
                problems += [f"{name}, DVC: {e}" for e in by_dvc(work, name, params, sources)]
    return problems


def in_lanes(folder: Path, code: Path) -> list[str]:
    """Run all stages in processes of their own, those of models in two; the end of failed logs."""
    graph = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    of_models = [name for name, stage in graph.items() if "model" in stage.get("matrix", {})]
    first = list(graph).index(of_models[0])
    before, rest = list(graph)[:first], list(graph)[first:]
    after = [name for name in rest if name not in of_models]
    lane = [sys.executable, str(ROOT / "scripts/rehearse"), "lane", str(code / "src")]
    for names, lanes in ((before, 1), (of_models, LANES), (after, 1)):
        running = [
            start([*lane, str(i), str(lanes), *names], folder, code, f"log{i}")
            for i in range(lanes)
        ]
        ended = [child.wait() for child in running]
        if any(ended):
            logs = [folder / f"log{i}" for i in range(lanes)]
            return [" / ".join(end_of(log)) for log in logs]
    return []


def lane(src: str, number: str, lanes: str, *names: str) -> None:
    """Run these stages in the working folder, in this process, for every so many-th model."""
    import check_small

    models = list(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["models"])

    def mine(cell: dict[str, str]) -> bool:
        return "model" not in cell or models.index(cell["model"]) % int(lanes) == int(number)

    check_small.stages(src, None, lambda graph: set(names), mine)


def end_of(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]


def settings(preset: str) -> dict[str, Any]:
    text = (ROOT / f"presets/{preset}.yaml").read_text(encoding="utf-8")
    return overlay.shrink(yaml.safe_load(text))


def registered(params: dict[str, Any]) -> dict[str, str]:
    """Slot -> entry of the registry."""
    models = params["models"].items()
    return {slot: model["model"] for slot, model in models if model["source"] == "registry"}


def served(
    site: Any, work: Path, wanted: dict[str, dict[str, Any]], models: list[str]
) -> dict[str, Any]:
    """Put all files on the server; the section `sources`, by official address."""
    from patchlens.backbones.registry.read import find
    from patchlens.datasets import catalogue

    found: dict[str, bytes] = {}
    for kind in sorted({d["kind"] for p in wanted.values() for d in p["datasets"].values()}):
        listed = catalogue.find(kind).archives
        commit = [Path(listed[0].file).stem] if kind == "grocerystore" else []
        made = archives.MAKERS[kind](*commit)
        for archive in listed:
            found[archive.url] = made.pop(archive.file)
        if made:  # the catalogue names none: the user places what they hold
            (work / "placed" / kind).mkdir(parents=True)
            for name, content in made.items():
                (work / "placed" / kind / name).write_bytes(content)
    (work / "weights").mkdir()
    for name in models:
        path = overlay.weights_file(name, work / "weights")
        found[find(name, name).source.address] = path.read_bytes()
    return {
        address: {
            "url": site.put(f"{i}/{address.rpartition('/')[2].rpartition('#')[2]}", content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "other_content": True,
        }
        for i, (address, content) in enumerate(found.items())
    }


def lay(folder: Path, preset: str, params: dict[str, Any], sources: dict[str, Any]) -> None:
    """Write what a run reads: settings, pipeline, claims, and the datasets that the user places."""
    folder.mkdir(exist_ok=True)
    used = {"sources": {address: sources[address] for address in addresses(params)}}
    text = yaml.safe_dump(params | used, sort_keys=False)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "dvc.yaml", folder)
    claims = overlay.as_own(all_claims(), [preset], params)
    (folder / "claims.yaml").write_text(yaml.safe_dump(claims, sort_keys=False), encoding="utf-8")
    for name in params["fetch"]["placed"]:
        place(params["datasets"][name], folder, sources)


def addresses(params: dict[str, Any]) -> Iterator[str]:
    """The official addresses of all that a run downloads."""
    from patchlens.backbones.registry.read import find
    from patchlens.datasets import catalogue

    for name in params["fetch"]["downloaded"]:
        for archive in catalogue.find(params["datasets"][name]["kind"]).archives:
            yield archive.url
    for model in dict.fromkeys(registered(params).values()):
        yield find(model, model).source.address


def all_claims() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "claims.yaml").read_text(encoding="utf-8"))
    return found


def place(dataset: dict[str, Any], folder: Path, sources: dict[str, Any]) -> None:
    """Unpack a dataset as its user would who has an account."""
    from patchlens.datasets import catalogue

    root = folder / dataset["root"]
    made = archives.MAKERS[dataset["kind"]]()
    into = {archive.file: archive.into for archive in catalogue.find(dataset["kind"]).archives}
    for name, content in made.items():
        target = root / into.get(name, ".")
        target.mkdir(parents=True, exist_ok=True)
        packed = folder / "packed.zip"
        packed.write_bytes(content)
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(target)
        packed.unlink()


def start(
    command: list[str], folder: Path, code: Path, log_name: str = "log"
) -> "subprocess.Popen[bytes]":
    """A process that imports the copy of the package, with one thread."""
    env = os.environ | {"PYTHONPATH": str(code / "src")} | dict.fromkeys(THREADS, "1")
    with (folder / log_name).open("wb") as log:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)


def look(folder: Path, preset: str, params: dict[str, Any]) -> Iterator[str]:
    """What a finished run lacks."""
    from patchlens.settings.load import load
    from patchlens.tasks.known import known
    from patchlens.tasks.table import TABLE, cells

    verdicts = json.loads((folder / "metrics/claims/claims.json").read_text(encoding="utf-8"))
    yield from checks.judged(verdicts, list(overlay.as_own(all_claims(), [preset], params)))
    listed = cells(load(folder / "params.yaml", known()))
    tabled = [task.name for task in TABLE if task.tabled or not task.study]
    wanted = {
        task: {(dataset, model) for dataset in listed[task] for model in params["models"]}
        for task in tabled
        if listed[task]
    }
    yield from checks.tables(folder / "metrics/tables", wanted)
    yield from checks.pages(folder / "reports/site")


def by_dvc(
    work: Path, preset: str, params: dict[str, Any], sources: dict[str, Any]
) -> Iterator[str]:
    """Run one model of each family through DVC, on the first dataset of T1; yield its failure."""
    from patchlens.backbones.registry.read import find

    families: dict[str, str] = {}
    for slot, model in registered(params).items():
        families.setdefault(find(model, slot).family, slot)
    kept = [*families.values(), "pixels"]
    one = params["segmentation"]["datasets"][:1]
    small = params | {
        "models": {slot: params["models"][slot] for slot in kept},
        "extract": {"datasets": one},
    }
    for task in ("segmentation", "sweep", "identification", "retrieval", "tracking"):
        small[task] = params[task] | {"datasets": one if task == "segmentation" else []}
    folder = work / f"{preset}-dvc"
    folder.mkdir()
    lay(folder, preset, small, sources)
    shutil.copytree(work / "code/src", folder / "src")  # the stage `code` reads it
    for command in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["patchlens", "repro", "--jobs", "2"],
    ):
        if start(command, folder, folder).wait():
            yield f"`{' '.join(command)}` failed: {' / '.join(end_of(folder / 'log'))}"
            return
    yield from checks.pages(folder / "reports/site")
