"""`patchlens try` in a terminal: bars, Ctrl-C, and on from there to the answer."""

import re
import sys
from pathlib import Path

import pytest

from photographs import photographs
from terminal import typed

SPECIAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_the_same_command_ends_with_the_answer(tmp_path: Path) -> None:
    photographs(tmp_path)
    command = [sys.executable, "-m", "patchlens", "try", "photos", "--masks", "masks", "--yes"]
    command += ["--models", "pixels", "--out", "out"]
    code, shown = typed(command, tmp_path, b"\x03", "] extract@pixels")
    assert code == 130
    lines = [SPECIAL.sub("", line).strip() for line in shown.splitlines()]
    assert [line for line in lines if line][-1].endswith("run the same command again to continue.")
    assert shown.count("Interrupted") == 1
    assert "Traceback" not in shown
    code, shown = typed(command, tmp_path)
    assert code == 0, shown
    assert "Going on in" in shown
    assert "] weights@pixels" not in shown  # what was done is not done again
    assert "Use pixels: layer 0" in shown
    assert (tmp_path / "out/reports/site/index.html").is_file()
