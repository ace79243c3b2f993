"""Kills a reproduction of the miniature, goes on with it, and compares its metrics.

A run is one reproduction from nothing. It is killed a few times, and every time `patchlens repro`
goes on with it; at its end all metrics must equal those of a run that nothing disturbed. Random
kills come after a random time of `patchlens repro`; aimed ones meet plain `dvc repro` at the moment
in which a file of DVC is empty, as `patchlens repro` never empties dvc.lock. Finished
runs are kept in .work/faults/kills, so that a campaign that was stopped continues.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from tabulate import tabulate

from check_small import shrink
from embed import embed

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".work/faults/kills"
PAGE = ROOT / "docs/reliability.md"
RANDOM = {
    "all": "all processes at once, as by a power cut",
    "repro": "`patchlens repro` only",
    "server": "the process from which stages are forked",
    "stage": "one stage only, as by the out-of-memory killer",
}
AIMED = {
    "dvc.lock": "`dvc repro`, while `dvc.lock` is empty",
    ".dvc/tmp/rwlock": "`dvc repro`, while `.dvc/tmp/rwlock` is empty",
}
PER_RUN = 7  # kills
PATIENCE = 20  # times an undisturbed run, until a run counts as hanging
LINGER = 20.0  # seconds in which what a kill left must end
REPRO = [sys.executable, "-m", "patchlens", "repro"]
DVC = [sys.executable, "-m", "dvc", "repro"]


@dataclass(frozen=True)
class Kill:
    """Where and when to kill.

    Attributes:
        what: a key of `RANDOM` or of `AIMED`.
        after: of a random kill, the share of the time of an undisturbed run; of an aimed one, how
            many times the file is seen empty before.
    """

    what: str
    after: float


@dataclass
class Outcome:
    """What came of a kill.

    Attributes:
        what, after: those of the kill.
        hit: whether an aimed kill left the file damaged; true of a random kill.
        survivors: processes that still lived after `LINGER` seconds.
        resumed: whether the next `patchlens repro` went on, until its own kill or the end.
    """

    what: str
    after: float
    hit: bool
    survivors: list[str]
    resumed: bool = False


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="faults kills", description=__doc__)
    parser.add_argument("--random", type=int, default=15, help="kills at random times")
    parser.add_argument("--aimed", type=int, default=20, help="kills while a file is empty")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    parser.add_argument("--so-far", action="store_true", help="only what earlier calls have done")
    asked = parser.parse_args(arguments)
    if asked.random + asked.aimed < 1:
        parser.error("no kill is asked for: nothing would be checked")
    folder, planned = KEPT / code(), plan(asked.seed, asked.random, asked.aimed)
    results = {}
    for number, kills in enumerate(planned):
        result = folder / f"run-{number}-{name_of(kills)}.json"
        if not result.exists():
            if asked.so_far:
                continue
            print(f"run {number}: {', '.join(kill.what for kill in kills)}", flush=True)
            calm, seconds = undisturbed(folder)
            write(result, run(folder, kills, calm, seconds, asked.seed * 1000 + number))
        results[number] = json.loads(result.read_text(encoding="utf-8"))
    command = f"python scripts/faults kills --random {asked.random} --aimed {asked.aimed}"
    asked_for = sum(map(len, planned))
    summary = {"command": command, "seed": asked.seed, "planned": asked_for, "runs": results}
    write(KEPT / "kills.json", summary)
    text = table(summary)
    print(text)
    if asked.write:
        embed(PAGE, "kills", text)
    return 0 if good(results) else 1


def code() -> str:
    """A name of the code and the settings: other ones need other runs."""
    of_run = ["src", "params.yaml", "dvc.yaml", "claims.yaml", "scripts/check_small.py"]
    listed = ["git", "ls-files", "-co", "--exclude-standard", *of_run]
    done = subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    names = done.stdout.splitlines()
    digest = hashlib.sha256()
    for name in sorted(names):
        if (ROOT / name).is_file():
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


def plan(seed: int, count: int, aimed: int) -> list[list[Kill]]:
    """The kills of each run, in a random order."""
    dice = random.Random(seed)
    kills = [Kill(dice.choice(list(RANDOM)), round(dice.uniform(0, 0.5), 3)) for _ in range(count)]
    files = list(AIMED)
    kills += [Kill(files[i % len(files)], dice.randrange(4)) for i in range(aimed)]
    dice.shuffle(kills)
    return [kills[i : i + PER_RUN] for i in range(0, len(kills), PER_RUN)]


def name_of(kills: Sequence[Kill]) -> str:
    return hashlib.sha256(repr(kills).encode()).hexdigest()[:8]


def undisturbed(folder: Path) -> tuple[Path, float]:
    """The metrics of a run without kills, and how long it took."""
    calm = folder / "calm"
    if not calm.is_dir():
        with workspace(folder) as work:
            begun = time.monotonic()
            if finish(start(work), work, None):
                sys.exit("the miniature fails without any kill; see above")
            seconds = time.monotonic() - begun
            write(folder / "calm.json", {"seconds": seconds})
            (work / "metrics").rename(calm)
    about = json.loads((folder / "calm.json").read_text(encoding="utf-8"))
    return calm, float(about["seconds"])


class workspace:
    """A new miniature in a Git repository of its own; removed when the block ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "victim"

    def __enter__(self) -> Path:
        self.__exit__()
        listed = ["git", "ls-files", "-co", "--exclude-standard"]
        done = subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        for name in done.stdout.splitlines():
            out = name.startswith(("metrics/", "runs/", "docs/", "tests/")) or name == "dvc.lock"
            if (ROOT / name).is_file() and not out:
                (self._path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self._path / name)
        shrink(self._path / "params.yaml")
        who = ["-c", "user.name=t", "-c", "user.email=t@t.t"]
        for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "miniature"]):
            subprocess.run(["git", *command], cwd=self._path, check=True)
        return self._path

    def __exit__(self, *_: object) -> None:
        for process in inhabitants(self._path):
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self._path, ignore_errors=True)


def start(work: Path, command: Sequence[str] = REPRO) -> "subprocess.Popen[bytes]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PYTHONPATH": str(work / "src"), "PATH": path, "OMP_NUM_THREADS": "1"}
    with (work.parent / "log.txt").open("ab") as log:
        return subprocess.Popen(command, cwd=work, env=env, stdout=log, stderr=log)


def finish(process: "subprocess.Popen[bytes]", work: Path, patience: float | None) -> int:
    """The exit code of a run; that of SIGKILL if it takes longer than the patience, in seconds."""
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        kill_all(process, work)
        return process.wait()


def run(
    folder: Path, kills: Sequence[Kill], calm: Path, seconds: float, seed: int
) -> dict[str, Any]:
    """One reproduction with these kills; if it ends before a kill, another one takes the rest."""
    dice, outcomes = random.Random(seed), list[Outcome]()
    todo, problems = list(kills), list[str]()
    while todo:
        with workspace(folder) as work:
            while todo:
                process = start(work, DVC if todo[0].what in AIMED else REPRO)
                made = kill(process, todo[0], work, seconds, dice)
                if made is None:  # it ended before
                    break
                resumed(outcomes)
                outcomes.append(made)
                if made.hit:
                    todo.pop(0)
                # What stops plain `dvc repro`, if that is the next victim, must not stop this.
                if made.what in AIMED and todo and todo[0].what in AIMED:
                    once = start(work, [*REPRO, "code"])
                    if finish(once, work, PATIENCE * seconds) == 0:
                        resumed(outcomes)
            else:
                process = start(work)
            if finish(process, work, PATIENCE * seconds) == 0:
                resumed(outcomes)
            else:
                problems.append(f"patchlens repro ended with {process.returncode}")
                todo.clear()
            problems += differences(calm, work / "metrics")
    return {"kills": [asdict(outcome) for outcome in outcomes], "problems": problems}


def differences(calm: Path, metrics: Path) -> list[str]:
    """What `patchlens compare` prints of two folders of metrics that are not equal."""
    command = [*REPRO[:-1], "compare", str(calm), str(metrics), "--tolerance", "0"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    return done.stdout.splitlines() if done.returncode else []


def resumed(outcomes: Sequence[Outcome]) -> None:
    """Note of the last kill that the run after it went on."""
    if outcomes:
        outcomes[-1].resumed = True


def kill(
    process: "subprocess.Popen[bytes]",
    asked: Kill,
    work: Path,
    seconds: float,
    dice: random.Random,
) -> Outcome | None:
    """Kill a run, and wait until all of it has ended; None if it ends by itself before."""
    if asked.what in AIMED:
        if not await_empty(process, work / asked.what, int(asked.after)):
            return None
        kill_all(process, work)
        hit = not (work / asked.what).read_bytes().endswith((b"\n", b"}"))
    else:
        if not await_end(process, asked.after * seconds):
            return None
        hit = kill_random(process, asked.what, work, dice)
        if not hit:
            return None
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE * seconds)  # the other processes of DVC come to their end
    deadline = time.monotonic() + LINGER
    while (left := inhabitants(work)) and time.monotonic() < deadline:
        time.sleep(0.1)
    survivors = [" ".join(words(p)) for p in left]
    kill_all(process, work)
    return Outcome(asked.what, asked.after, hit, survivors)


def await_end(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait; whether the process still runs."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.poll() is None


def await_empty(process: "subprocess.Popen[bytes]", path: Path, skipped: int) -> bool:
    """Watch a file as fast as possible until it is empty; whether that came to pass.

    DVC is killed here, as every microsecond counts.
    """
    name, looks, was_empty = str(path), 0, True
    while True:
        looks += 1
        if looks % 20_000 == 1 and process.poll() is not None:
            return False
        try:
            empty = os.stat(name).st_size == 0
        except FileNotFoundError:
            continue
        if empty and not was_empty:
            if skipped < 1:
                process.kill()
                return True
            skipped -= 1
        was_empty = empty


def kill_random(
    process: "subprocess.Popen[bytes]", what: str, work: Path, dice: random.Random
) -> bool:
    """Kill what is asked for; false if the run ended before there was such a process."""
    if what == "all":
        kill_all(process, work)
        return True
    if what == "repro":
        process.kill()
        return True
    while process.poll() is None:
        found = [p for p in inhabitants(work) if is_fork(p) == (what == "stage")]
        with suppress(psutil.Error, IndexError):
            dice.choice(found).kill()
            return True
        time.sleep(0.05)
    return False


def is_fork(process: psutil.Process) -> bool | None:
    """Whether a process is a fork of the server, or the server itself; None of all others."""
    with suppress(psutil.Error):
        if any("forkserver" in word for word in words(process)):
            return any("forkserver" in word for word in words(process.parent()))
    return None


def kill_all(process: "subprocess.Popen[bytes]", work: Path) -> None:
    """SIGKILL to a run and to all that work in its folder, until none is left."""
    while True:
        process.poll()
        left = list(inhabitants(work))
        if not left:
            break
        for one in left:
            with suppress(psutil.Error):
                one.kill()
    process.wait()


def inhabitants(work: Path) -> list[psutil.Process]:
    """The other processes that work in a folder, zombies left out."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if Path(process.cwd()).is_relative_to(work):
                found.append(process)
    return found


def words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def rows(summary: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Per kind of kill: how many, resumed, without survivors, in runs that ended equal."""
    for what, title in (RANDOM | AIMED).items():
        found = [
            (made, run)
            for run in summary["runs"].values()
            for made in run["kills"]
            if made["what"] == what and made["hit"]
        ]
        if found:
            yield (
                title,
                len(found),
                sum(made["resumed"] for made, _ in found),
                sum(not made["survivors"] for made, _ in found),
                sum(not run["problems"] for _, run in found),
            )


def good(runs: dict[int, Any]) -> bool:
    """Whether every kill was resumed, left no process, and ended in equal metrics."""
    made = [one for run in runs.values() for one in run["kills"]]
    return bool(made) and all(
        [not run["problems"] for run in runs.values()]
        + [one["resumed"] and not one["survivors"] for one in made]
    )


def table(summary: dict[str, Any]) -> str:
    heads = ("what was killed", "kills", "resumed", "no process left", "equal metrics")
    found = list(rows(summary))
    shown, done = tabulate(found, heads, "github"), sum(row[1] for row in found)
    ended = "" if done >= summary["planned"] else f": {done} of {summary['planned']} kills so far"
    return f"{shown}\n\nMade by `{summary['command']}`, seed {summary['seed']}{ended}."


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
