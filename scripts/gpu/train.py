"""Train all objectives side by side on one device, for a number of crops that is said first."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from math import lcm
from pathlib import Path
from typing import Any

from gpu.rows import Rows, note_packages, options
from patchlens.files import write_json
from patchlens.pretrain import frames, run
from patchlens.pretrain.settings import Objectives, Recipe
from patchlens.pretrain.settings import load as load_recipes

OBJECTIVES = tuple(Objectives.model_fields)
FRAMES = Path(".work/pretrain")
SHARE = 0.75  # of the time that the measured rates are trusted to fill
PAYS = 1.03  # what compiling must gain


def main(arguments: Sequence[str]) -> int:
    """One of: render the frames; measure and train all; the same of one objective in a child."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=360, help="for everything here")
    parser.add_argument("--crops", type=int, default=0, help="of each; 0: what fits the seconds")
    parser.add_argument("--do", choices=["all", "render", "rate", "train"], default="all")
    parser.add_argument("--objective", choices=OBJECTIVES, default=OBJECTIVES[0])
    parser.add_argument("--compiled", action="store_true")
    args = parser.parse_args(arguments)
    work = args.rows.parent
    recipe = recipe_of(args.objective, args.device, args.crops, args.tiny)
    if args.do == "all":
        return _all(args, work)
    if args.do == "render":
        frames.of_training(recipe.shared.train, FRAMES)
        frames.of_probe(recipe.shared.probe, FRAMES)
    elif args.do == "rate":
        print(json.dumps(rates(recipe, 0.1 if args.tiny else 4)))
    else:
        run.TRIED = work / "tried"
        run.run(recipe, work / "runs" / args.objective, FRAMES, compiled=args.compiled)
    note_packages(work / f"needs-{args.objective}.txt")
    return 0


def recipe_of(objective: str, device: Any, crops: int, tiny: bool) -> Recipe:
    """The recipe `gpu` of an objective with another budget; `tiny`: small enough for a CPU."""
    recipe = load_recipes().recipe(objective, "gpu")
    shared, own = recipe.shared, recipe.own
    if tiny:
        few = {"embed_dim": 24, "depth": 2, "num_heads": 2}
        shared = shared.model_copy(
            update={
                "arch": shared.arch.model_copy(update=few),
                "train": shared.train.model_copy(update={"stills": 2, "videos": 0}),
                "probe": shared.probe.model_copy(update={"bank": 2, "query": 1, "every": 0.5}),
                "log_every": 2,
            }
        )
        own = own.model_copy(update={"batch": 8})
    shared = shared.model_copy(update={"crops": crops or shared.crops})
    return recipe.model_copy(update={"device": device, "shared": shared, "own": own})


def rates(recipe: Recipe, seconds: float) -> dict[str, Any]:
    """Crops per second without and with compiled blocks; why there are none with."""
    found: dict[str, Any] = {"eager": run.rate(recipe, seconds, FRAMES)}
    if recipe.device != "cpu":  # compiling takes minutes there
        try:
            found["compiled"] = run.rate(recipe, seconds, FRAMES, compiled=True)
        except Exception as error:  # whatever the compiler of this machine's torch lacks
            found["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    return found


def _all(args: argparse.Namespace, work: Path) -> int:
    began, rows, chosen = time.monotonic(), Rows(args.rows), work / "budget.json"
    if not chosen.is_file():  # a call that goes on keeps its budget, as the schedule follows it
        measured = {o: json.loads(out.splitlines()[-1]) for o, out in _each(args, "rate").items()}
        compiled = [o for o, m in measured.items() if m.get("compiled", 0) > PAYS * m["eager"]]
        write_json({"rates": measured, "compiled": compiled, "crops": args.crops}, chosen)
    budget = json.loads(chosen.read_text(encoding="utf-8"))
    measured, compiled, crops = budget["rates"], budget["compiled"], budget["crops"]
    for objective, rate in measured.items():
        with_blocks = rate.get("compiled", rate.get("failed", "not on a CPU"))
        said = f"{rate['eager']:.0f} crops/s, compiled "
        said += f"{with_blocks:.0f}" if isinstance(with_blocks, float) else with_blocks
        rows.add(f"{objective}, beside the four others", said)
    if not crops:
        left = args.seconds - (time.monotonic() - began)
        slowest = min(max(m["eager"], m.get("compiled", 0)) for m in measured.values())
        recipes = [recipe_of(o, args.device, 0, args.tiny) for o in OBJECTIVES]
        step = lcm(*(r.own.batch * r.own.crops_per_window for r in recipes))
        most = 2 * step if args.tiny else recipes[0].shared.crops
        crops = max(1, int(min(most, SHARE * left * slowest)) // step) * step
        write_json(budget | {"crops": crops}, chosen)
    rows.add("crops of each objective", str(crops))
    args.crops = crops
    _each(args, "train", compiled)
    for objective in OBJECTIVES:
        path = work / "runs" / objective / "result.json"
        result = json.loads(path.read_text(encoding="utf-8"))
        probes = [result["probe"][step] for step in sorted(result["probe"], key=int)]
        rows.add(
            f"{objective}, trained",
            f"{result['crops'] / result['seconds']:.0f} crops/s; probe {probes[0]:.3f} → "
            f"{probes[-1]:.3f} (best {max(probes):.3f})",
        )
    return 0


def _each(args: argparse.Namespace, do: str, compiled: Sequence[str] = ()) -> dict[str, str]:
    """Run `do` for all objectives at once; what each printed."""
    begun, work = {}, args.rows.parent
    threads = str(max(1, (os.cpu_count() or 1) // len(OBJECTIVES)))
    for objective in OBJECTIVES:
        if do == "train" and (work / "runs" / objective / "result.json").is_file():
            continue
        command = [sys.executable, "scripts/gpu", "train", "--do", do, "--objective", objective]
        command += ["--rows", str(args.rows), "--device", args.device, "--crops", str(args.crops)]
        command += ["--tiny"] * args.tiny + ["--compiled"] * (objective in compiled)
        with (work / f"{do}-{objective}.log").open("a", encoding="utf-8") as log:
            begun[objective] = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True,
                env=os.environ | {"OMP_NUM_THREADS": threads},
            )  # fmt: skip
    printed = {objective: process.communicate()[0] for objective, process in begun.items()}
    if failed := [o for o, process in begun.items() if process.returncode]:
        sys.exit(f"{do} of {', '.join(failed)} failed: see {work}/{do}-{failed[0]}.log")
    return printed
