"""A bar on a terminal, a line now and then elsewhere, nothing with -q."""

import io
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from patchlens import progress
from terminal import typed

SCRIPT = """
import time
from patchlens import progress
progress.set_up({quiet})
for _ in progress.track(range(4), total=4, what="work"):
    time.sleep(0.15)
progress.log.info("done")
"""


def on_a_terminal(quiet: bool) -> str:
    """What a terminal of 100 columns shows."""
    code, shown = typed([sys.executable, "-c", SCRIPT.format(quiet=quiet)])
    assert code == 0, shown
    return shown


def test_a_terminal_shows_a_bar_with_rate_and_remaining_time() -> None:
    shown = on_a_terminal(quiet=False)
    assert "work:  50%" in shown
    assert "2/4 [00:00<00:00" in shown
    assert "image/s" in shown
    assert shown.rstrip().endswith("done")


def test_quiet_shows_nothing() -> None:
    assert on_a_terminal(quiet=True) == ""


def test_elsewhere_there_are_plain_lines_only() -> None:
    command = [sys.executable, "-c", SCRIPT.format(quiet=False)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "done\n"


class Terminal(io.StringIO):
    """A stderr that is a terminal, and what stands on its screen."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[[AJK]|\r|\n|[^\x1b\r\n]+", self.getvalue()):
            if part == "\n":
                row, column = row + 1, 0  # as a terminal has it after `\r`
                lines += [""] * (row + 1 - len(lines))
            elif part == "\r":
                column = 0
            elif part == "\x1b[A":
                row -= 1
            elif part == "\x1b[K":
                lines[row] = lines[row][:column]
            elif part == "\x1b[J":
                lines[row:] = [lines[row][:column]]
            else:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + part + line[column + len(part) :]
                column += len(part)
        return [line for line in lines if line]


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], progress.log.level
    yield
    root.handlers[:] = before[0]
    progress.log.setLevel(before[1])


@pytest.mark.usefixtures("logging_as_before")
def test_bars_of_two_processes_and_log_lines_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)  # pytest has its own until the test begins
    progress.set_up(quiet=False)
    first, second = (progress.bar(total=4, what=what) for what in ("first", "second"))

    def of_another_process(text: str | None) -> None:
        with monkeypatch.context() as there:
            there.setenv(progress.ROW, "1")
            second.display(text, 0)

    progress.log.info("[1/2] a stage")
    assert terminal.screen() == ["[1/2] a stage"]
    of_another_process(None)
    first.refresh()
    log, *bars = terminal.screen()
    assert log == "[1/2] a stage"
    assert [bar.partition(":")[0] for bar in bars] == ["first", "second"]
    first.close()
    assert [line.partition(":")[0] for line in terminal.screen()] == [log, "second"]
    of_another_process("")
    progress.log.info("done")
    assert terminal.screen() == [log, "done"]


@pytest.mark.parametrize("total", [4, None])
def test_elsewhere_there_is_a_line_now_and_then(
    total: int | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.set_level(logging.INFO, "patchlens")
    for seldom in (progress.SELDOM, 0.0):
        for name in ("delay", "mininterval", "maxinterval"):
            monkeypatch.setitem(progress.LINES, name, seldom)
        caplog.clear()
        list(progress.track(range(4), total=total, what="work"))
        lines = [line for line in caplog.messages if line.startswith("work: ")]
        assert bool(lines) == (seldom == 0)
    assert lines[-1].startswith(f"work: 4/{total or '?'}, ")
