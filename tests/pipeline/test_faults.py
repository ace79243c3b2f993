"""scripts/faults: the kills that it plans, and that it never calls good what it did not see."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faults import kills


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
    """Of a stand-in for `patchlens repro` with one child, which rewrites the file as DVC does."""
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    process = subprocess.Popen([sys.executable, "-c", parent, REWRITES])
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
