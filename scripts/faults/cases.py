"""Bad inputs, damaged and malicious files, and hostile environments, through the real commands.

Every case is a fresh copy of a reproduced miniature, a change of it, and the commands that meet it.
A command must do its work or end with one clear line: no traceback, no crash, no hang, nothing of
the input executed, nothing half-written. Commands run in forked processes, which share the imports.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

import check_small
from embed import embed
from faults import tables
from faults.kills import KEPT, PAGE, ROOT, code
from patchlens.plan.stages import OF_ALL, OF_CELL, OTHERS, module

PATIENCE = 120.0  # seconds until a command counts as hanging
MARK = "EXECUTED"  # the file that a malicious input tries to make
COUNTS = ("done", "one line", "traceback", "crash", "hang", "executed", "half-written", "accepted")
BAD = COUNTS[2:]


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        kind: the row of the table.
        name: what was done, for the list of failures.
        harm: does it, in the workspace that is the working folder.
        commands: run one after the other, each up to the first that fails.
        limit: changes the process in which a command runs, and what it sees.
        refused: whether one of the commands must fail; otherwise they may also succeed.
        results: whether the commands need what the miniature has made.
    """

    kind: str
    name: str
    harm: Callable[[], object]
    commands: Sequence[str]
    limit: Callable[[], object] = lambda: None
    refused: bool = True
    results: bool = False


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="faults cases", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(tables.PARTS)}; by default, all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--some", type=int, help="only so many cases of each part, at random")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.parts) - set(tables.PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("DVC_STAGE", None)
    base = reproduced()
    preload()
    results: list[tuple[str, str, str]] = []
    begun = time.monotonic()
    text, parts = "", asked.parts or list(tables.PARTS)
    for number, part in enumerate(parts, 1):
        found = list(tables.PARTS[part](base, random.Random(asked.seed), Case))
        if asked.some is not None:
            found = random.Random(asked.seed).sample(found, min(asked.some, len(found)))
        for case in found:
            outcome, output = attempt(case, base)
            results.append((part, case.kind, outcome))
            if len(results) % 25 == 0:
                print(f"{len(results)} cases in {time.monotonic() - begun:.0f} s", flush=True)
            if outcome in BAD:
                print(
                    f"{outcome}: {part}, {case.kind}: {case.name}: {case.commands}\n{output[-900:]}"
                )
        words = "" if asked.some is None else f" --some {asked.some}"
        done = parts[:number] if asked.parts or number < len(parts) else []
        command = " ".join(["python scripts/faults cases", *done]) + words
        took = f"in {time.monotonic() - begun:.0f} s on {os.cpu_count()} cores"
        text = f"{table(results)}\n\nMade by `{command}`, seed {asked.seed}, {took}."
        if asked.write:  # also if the next part is interrupted
            embed(PAGE, "cases", text)
    print(text)
    return 0 if results and not any(outcome in BAD for *_, outcome in results) else 1


def preload() -> None:
    """Import what the forked processes would each import."""
    for stage in OF_CELL | OF_ALL | OTHERS:
        importlib.import_module(module(stage))


def table(results: Sequence[tuple[str, str, str]]) -> str:
    """One row per part and kind; the columns of what must not be are shown as their sum."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for part, kind, outcome in results:
        counted.setdefault((part, kind), Counter())[outcome] += 1
    heads = ("part", "what was tried", "cases", "one clear line", "worked all the same", "failed")
    rows = [
        (*key, count.total(), count["one line"], count["done"], sum(count[bad] for bad in BAD))
        for key, count in counted.items()
    ]
    total = [sum(row[i] for row in rows) for i in range(2, len(heads))]
    return tabulate([*rows, ("all", "", *total)], heads, "github")


def attempt(case: Case, base: Path) -> tuple[str, str]:
    """What came of a case, one of `COUNTS`, and what its last command printed."""
    place = base.parent / "case"
    shutil.rmtree(place, ignore_errors=True)
    work = place / "work"
    made = () if case.results else ("data", "metrics", "reports")
    shutil.copytree(base, work, symlinks=True, ignore=shutil.ignore_patterns(*made))
    output = ""
    with ExitStack() as stack:
        stack.callback(os.chdir, os.getcwd())
        stack.callback(_unmount, place)
        os.chdir(work)
        case.harm()
        for command in case.commands:
            status, output = forked(command.split(), case.limit)
            left = sorted(str(p) for p in place.rglob("*.partial"))
            if (place / "work" / MARK).exists() or list(place.rglob(MARK)):
                return "executed", output
            if status is None:
                return "hang", output
            if os.WIFSIGNALED(status):
                return "crash", output
            if "Traceback" in output or "panicked at" in output:
                return "traceback", output
            if left:
                return "half-written", f"{output}\n{left}"
            if os.waitstatus_to_exitcode(status):
                lines = [x for x in output.splitlines() if x.startswith(("Error: ", "FIX  "))]
                return ("one line" if lines else "traceback"), output
    return ("accepted" if case.refused else "done"), output


def forked(words: Sequence[str], limit: Callable[[], object]) -> tuple[int | None, str]:
    """The wait status of a command and its output; None if it hangs."""
    log = Path.cwd().parent / "output.txt"
    pid = os.fork()
    if not pid:
        _child(words, limit, log)
    deadline = time.monotonic() + PATIENCE
    status = None
    while time.monotonic() < deadline:
        done, found = os.waitpid(pid, os.WNOHANG)
        if done:
            status = found
            break
        time.sleep(0.005)
    else:
        with suppress(ProcessLookupError):
            os.killpg(pid, 9)
        os.waitpid(pid, 0)
    return status, log.read_text(encoding="utf-8", errors="replace")


def _child(words: Sequence[str], limit: Callable[[], object], log: Path) -> None:
    """Run a command in this process, a child, as its interpreter would."""
    code = 70
    try:
        os.setsid()
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="replace")
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="replace", buffering=1)
        sys.argv = ["patchlens", *words]
        limit()
        from patchlens.cli.commands import app

        app(list(words), prog_name="patchlens")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        with suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def _unmount(place: Path) -> None:
    for line in reversed(Path("/proc/mounts").read_text(encoding="utf-8").splitlines()):
        if (where := line.split()[1]).startswith(str(place)):
            subprocess.run(["umount", "-l", where], check=True)


def reproduced() -> Path:
    """A folder in which all stages of the miniature ran; made once per version of the code."""
    base = KEPT.parent / "cases" / code() / "base"
    if base.is_dir():
        return base
    for other in base.parent.parent.glob("*"):
        shutil.rmtree(other)
    partial = base.with_name("partial")
    partial.mkdir(parents=True)
    for name in check_small.INPUTS:
        shutil.copy(ROOT / name, partial)
    check_small.shrink(partial / "params.yaml")
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")} | dict.fromkeys(check_small.THREADS, "1")
    run = [sys.executable, str(ROOT / "scripts/check_small.py"), "--stages", str(ROOT / "src")]
    subprocess.run(run, cwd=partial, env=env, check=True, stdout=subprocess.DEVNULL)
    prepare(partial, base)
    shutil.rmtree(partial)
    return base


def prepare(ran: Path, base: Path) -> None:
    """Make the folder from which cases start of one in which all stages of the miniature ran."""
    whole = base.with_name("whole")
    shutil.copytree(ROOT / ".dvc/plots", whole / ".dvc/plots")
    for name in check_small.INPUTS:
        shutil.copy(ran / name, whole)
    for name in ("data", "metrics", "reports"):
        shutil.copytree(ran / name, whole / name)
    lock(whole)
    tables.own(whole)
    whole.rename(base)


def lock(folder: Path) -> None:
    """A dvc.lock of what the stages made: the hash of each file, as that of an output."""
    found = (path for top in ("data", "metrics") for path in sorted((folder / top).rglob("*")))
    files = [path for path in found if path.is_file()]
    outs = [
        {"path": str(p.relative_to(folder)), "md5": hashlib.md5(p.read_bytes()).hexdigest()}
        for p in files
    ]
    text = json.dumps({"schema": "2.0", "stages": {"all": {"cmd": "true", "outs": outs}}})
    (folder / "dvc.lock").write_text(text + "\n", encoding="utf-8")
