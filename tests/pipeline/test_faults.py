"""scripts/faults: what it plans, and that it never calls good what it did not see."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from faults import cases, kills, tables


def test_a_seed_gives_the_same_kills_of_every_kind() -> None:
    runs = kills.plan(0, 15, 20)
    assert runs == kills.plan(0, 15, 20) != kills.plan(1, 15, 20)
    flat = [kill for run in runs for kill in run]
    assert len(flat) == 35
    assert sum(kill.what in kills.AIMED for kill in flat) == 20
    assert {kill.what for kill in flat} == {*kills.RANDOM, *kills.AIMED}
    assert max(map(len, runs)) == kills.PER_RUN
    assert kills.name_of(runs[0]) != kills.name_of(runs[1])


def outcome(**changes: Any) -> dict[str, Any]:
    return {"what": "all", "after": 1, "hit": True, "survivors": [], "resumed": True} | changes


@pytest.mark.parametrize(
    ("runs", "good", "counts"),
    [
        ({}, False, []),
        ({0: {"kills": [], "problems": []}}, False, []),
        ({0: {"kills": [outcome()], "problems": []}}, True, [1, 1, 1, 1]),
        ({0: {"kills": [outcome(resumed=False)], "problems": []}}, False, [1, 0, 1, 1]),
        ({0: {"kills": [outcome(survivors=["x"])], "problems": []}}, False, [1, 1, 0, 1]),
        ({0: {"kills": [outcome()], "problems": ["a is 1 not 2"]}}, False, [1, 1, 1, 0]),
        ({0: {"kills": [outcome(hit=False), outcome()], "problems": []}}, True, [1, 1, 1, 1]),
    ],
)
def test_only_what_was_seen_to_hold_is_good(
    runs: dict[int, Any], good: bool, counts: list[int]
) -> None:
    assert kills.good(runs) == good
    found = list(kills.rows({"runs": runs}))
    assert [list(row[1:]) for row in found] == ([counts] if counts else [])


def test_no_kill_is_no_check(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        kills.main(["--random", "0", "--aimed", "0"])
    assert caught.value.code == 2
    assert "nothing would be checked" in capsys.readouterr().err


REWRITES = """
import time
while True:
    with open("dvc.lock", "w") as file:
        time.sleep(0.01)
        file.write("whole\\n")
    time.sleep(0.01)
"""


def test_an_aimed_kill_leaves_the_file_empty_and_no_process(here: Path) -> None:
    """Of a stand-in for `dvc repro` with one child, which rewrites the file as DVC does."""
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], stdin=-1)"
    process = subprocess.Popen([sys.executable, "-c", child + REWRITES])
    asked = kills.Kill("dvc.lock", 2)
    made = kills.kill(process, asked, here, 1.0, kills.random.Random(0))
    assert made == kills.Outcome("dvc.lock", 2, hit=True, survivors=[])
    assert Path("dvc.lock").read_bytes() == b""
    assert process.returncode is not None
    assert kills.inhabitants(here) == []


def test_a_run_that_ends_before_its_kill_is_none(here: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    made = kills.kill(process, kills.Kill("all", 60.0), here, 1.0, kills.random.Random(0))
    assert made is None
    deadline = time.monotonic() + 5
    assert process.poll() == 0
    assert time.monotonic() < deadline


@pytest.fixture
def base(here: Path, root: Path) -> Path:
    """A workspace in which nothing ran, but one file of each kind between two stages."""
    folder = here / "base"
    for pattern in tables.READERS:
        path = folder / pattern.replace("*", "x")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("dataset,model\n")
    for name in ("params.yaml", "claims.yaml", "dvc.yaml"):
        shutil.copy(root / name, folder)
    tables.own(folder)
    return folder


@pytest.mark.parametrize("part", tables.PARTS)
def test_a_seed_gives_the_same_cases(base: Path, part: str) -> None:
    names = [
        [(case.kind, case.name) for case in tables.PARTS[part](base, Random(seed), cases.Case)]
        for seed in (0, 0, 1)
    ]
    assert names[0] == names[1]
    assert len(names[0]) >= (5 if part == "damaged" else 50)
    assert (names[0] != names[2]) == (part in ("inputs",))


def test_cases_of_files_that_are_not_there_are_no_cases(base: Path) -> None:
    shutil.rmtree(base / "data/raw")
    with pytest.raises(SystemExit, match=r"has no data/raw/minicity/\S+, so its cases would check"):
        list(tables.damaged(base, Random(0), cases.Case))


ENDS: dict[str, tuple[int | None, str, bool, str]] = {
    "worked": (0, "fine", False, "done"),
    "worked though it must not": (0, "fine", True, "accepted"),
    "refused": (2 << 8, "Error: params.yaml: x", True, "one line"),
    "no word": (1 << 8, "", True, "traceback"),
    "traceback": (1 << 8, "Error: x\nTraceback (most recent call last):", True, "traceback"),
    "traceback at exit 0": (0, "Traceback (most", False, "traceback"),
    "killed": (11, "", False, "crash"),
    "hangs": (None, "", False, "hang"),
}


@pytest.mark.parametrize("end", ENDS)
def test_only_a_clear_line_or_work_that_was_done_is_good(
    base: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    status, output, refused, outcome = ENDS[end]
    monkeypatch.setattr(cases, "forked", lambda words, limit: (status, output))
    case = cases.Case("kind", "name", lambda: None, ["plan"], refused=refused)
    assert cases.attempt(case, base)[0] == outcome
    assert Path.cwd() == base.parent


@pytest.mark.parametrize(("left", "outcome"), [("EXECUTED", "executed"), (".a.partial", "half-w")])
def test_what_a_command_must_not_leave_is_seen(
    base: Path, monkeypatch: pytest.MonkeyPatch, left: str, outcome: str
) -> None:
    def forked(words: object, limit: object) -> tuple[int, str]:
        Path(left).touch()
        return 256, "Error: x"

    monkeypatch.setattr(cases, "forked", forked)
    case = cases.Case("kind", "name", lambda: None, ["plan"])
    assert cases.attempt(case, base)[0].startswith(outcome)


def test_a_command_really_runs_and_ends(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    status, output = cases.forked(["compare", "nope", "nope"], lambda: None)
    assert status == 4 << 8
    assert output.startswith("Error: nope: missing")
    monkeypatch.setattr(cases, "PATIENCE", 0.2)
    assert cases.forked(["plan"], lambda: time.sleep(60))[0] is None


def test_the_table_counts_every_case_once() -> None:
    results = [("p", "k", "done"), ("p", "k", "hang"), ("p", "l", "one line")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in
            cases.table(results).splitlines()[2:]]  # fmt: skip
    assert rows == [
        ["p", "k", "2", "0", "1", "1"],
        ["p", "l", "1", "1", "0", "0"],
        ["all", "", "3", "1", "1", "1"],
    ]
