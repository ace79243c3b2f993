"""Run the parts one after the other, each with its own time limit, and pack what they found.

A part that has ended is skipped by the next call, training goes on from its checkpoints, and the
report has the rows of a part that was stopped, too. The folder `--out` gets at most eight files of
at most 16 MiB: report.md, results.tar.gz and the weights of each objective.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gpu.rows import read

WORK = Path(".work/gpu")
SECONDS = 540  # of a call
LIMITS = {"parity": 120, "bench": 90, "plan": 60, "train": SECONDS}  # of it at most
AFTER = 15  # seconds that packing may take
FILE, ALL = 16 * 2**20, 60 * 2**20  # bytes


def main(arguments: Sequence[str]) -> int:
    """All parts; the exit code is 1 where one failed, was stopped, or is out of its bound."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/gpu_run.sh")
    parser.add_argument("--parts", default=",".join(LIMITS), help="some of these, in any order")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the whole call")
    parser.add_argument("--crops", type=int, default=0, help="of each objective; 0: what fits")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal on a CPU")
    parser.add_argument("--again", action="store_true", help="forget what earlier calls found")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", WORK / "out")))
    args = parser.parse_args(arguments)
    chosen = [part for part in LIMITS if part in args.parts.split(",")]
    if unknown := set(args.parts.split(",")) - set(LIMITS):
        parser.error(f"--parts: unknown {', '.join(sorted(unknown))}; allowed: {', '.join(LIMITS)}")
    work = WORK / ("tiny" if args.tiny else "whole")
    if args.again:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + args.seconds - AFTER
    device = ["--device", "cpu" if args.tiny else args.device, *["--tiny"] * args.tiny]
    rendering = None
    if "train" in chosen:  # on the cores, beside the parts that need the GPU
        command = command_of("train", work, [*device, "--do", "render"])
        rendering = begin(command, work / "render.log")
    ends = {}
    for part in chosen:
        more = device if part != "plan" else []
        if part == "train":
            assert rendering is not None
            wait(rendering, end)
            left = max(1, end - time.monotonic())
            more = [*device, "--crops", str(args.crops), "--seconds", str(left)]
        ends[part] = one(
            part, work, more, min(end, time.monotonic() + LIMITS[part] * args.seconds / SECONDS)
        )
        pack(work, args.out, ends)
    if rendering is not None:
        stop(rendering)
    print((args.out / "report.md").read_text(encoding="utf-8"))
    out = [row for part in ends for row in read(work / f"{part}.jsonl") if row.ok is False]
    return int(bool(out) or any(end not in ("ended", "had ended") for end in ends.values()))


def command_of(part: str, work: Path, more: Sequence[str]) -> list[str]:
    """What runs a part in a process of its own."""
    if part == "plan":
        preset = ["--params", "presets/open.yaml"]
        return [sys.executable, "-m", "patchlens", "plan", "--measure", *preset]
    rows = ["--rows", str(work / f"{part}.jsonl")]
    return [sys.executable, "scripts/gpu", part, *rows, *more]


def one(part: str, work: Path, more: Sequence[str], until: float) -> str:
    """Run a part until it ends or its time is over; how it ended."""
    done = work / f"{part}.done"
    if done.is_file():
        return "had ended"
    start = time.monotonic()
    print(f"== {part}: at most {until - start:.0f} s")
    process = begin(command_of(part, work, more), work / f"{part}.log")
    code = wait(process, until)
    print((work / f"{part}.log").read_text(encoding="utf-8")[-4000:])
    if code is None:
        return f"stopped after {time.monotonic() - start:.0f} s"
    if code:
        return f"failed with exit code {code}: {part}.log"
    done.write_text(f"{time.monotonic() - start:.0f} s\n", encoding="utf-8")
    return "ended"


def begin(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a process in a group of its own; what it says goes to a file."""
    with log.open("ab") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)


def wait(process: "subprocess.Popen[bytes]", until: float) -> int | None:
    """The exit code; None where the time was over, and the process with its children stopped."""
    try:
        return process.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        stop(process)
        return None


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its children; training goes on from the checkpoints of all few seconds."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def pack(work: Path, out: Path, ends: dict[str, str]) -> None:
    """Write the report, and copy what is worth to be kept, within the limits."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(report(work, ends), encoding="utf-8")
    with tarfile.open(out / "results.tar.gz", "w:gz") as tar:
        for path in sorted(work.rglob("*")):
            if path.is_file() and path.suffix != ".safetensors":
                tar.add(path, path.relative_to(work))
    for weights in sorted(work.glob("runs/*/weights.safetensors")):
        shutil.copy2(weights, out / f"{weights.parent.name}.safetensors")
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    if max(sizes.values()) > FILE or sum(sizes.values()) > ALL or len(sizes) > 8:
        print(f"{out}: larger than {ALL} bytes, or a file than {FILE}: {json.dumps(sizes)}")


def report(work: Path, ends: dict[str, str]) -> str:
    """Rows of all parts as a table, and what `patchlens plan --measure` said."""
    lines = [f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "", "| part | how it ended | time |"]
    lines += ["|---|---|---|"]
    for part, how in ends.items():
        done = work / f"{part}.done"
        took = done.read_text(encoding="utf-8").strip() if done.is_file() else "–"
        lines.append(f"| {part} | {how} | {took} |")
    lines += ["", "| what | measured | bound | within |", "|---|---|---|---|"]
    for part in ends:
        for row in read(work / f"{part}.jsonl"):
            within = {True: "yes", False: "**no**", None: "–"}[row.ok]
            lines.append(f"| {row.what} | {row.measured} | {row.bound} | {within} |")
    plan = work / "plan.log"
    said = plan.read_text(encoding="utf-8") if plan.is_file() else ""
    return "\n".join([*lines, "", *(["```", said.strip(), "```"] if said else []), ""])
