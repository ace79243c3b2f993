"""`patchlens try` in a terminal: bars, Ctrl-C, and on from there to the answer."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terminal import typed

SPECIAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_the_same_command_ends_with_the_answer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for n in range(4):
        mask = np.repeat(np.arange(2, dtype=np.uint8), 16)[rng.integers(8) :][:24]
        labels = np.broadcast_to(np.pad(mask, (0, 24 - len(mask)), "edge")[:, None], (24, 32))
        photo = (labels[..., None] * 120 + rng.integers(0, 60, (24, 32, 3))).astype(np.uint8)
        for name, picture in (("photos", photo), ("masks", labels)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / f"{name}/p{n}.png")
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
