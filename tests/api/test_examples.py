"""Every example runs as it stands, in seconds and without downloads, and leaves nothing behind."""

import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import notebook

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
PRINTED = {
    "custom_task": "nearest",
    "explore_image": "most similar patches",
    "own_module": "retrieval of patchify on minicity",
    "training_lightning": "pixel mIoU 0.",
    "training_loop": "epoch 4: loss",
    "variants_on_arrays": "pca_whiten",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_runs_and_says_what_it_found(
    example: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "load_dataset" in example.read_text(encoding="utf-8"):
        # A temporary dataset goes with its last reference, at the latest with its process.
        env = os.environ | {"TMPDIR": str(here)}
        done = subprocess.run(
            [sys.executable, example], env=env, capture_output=True, text=True, check=True
        )
        printed = done.stdout
    else:
        monkeypatch.setattr(sys, "argv", [str(example)])
        monkeypatch.setattr(tempfile, "tempdir", str(here))
        runpy.run_path(str(example), run_name="__main__")
        printed = capsys.readouterr().out
    assert PRINTED[example.stem] in printed
    gc.collect()
    # The first import of a part of torch makes a cache of its own.
    made = {path.name for path in here.iterdir() if not path.name.startswith("torchinductor")}
    assert made == ({"similarity.png"} if example.stem == "explore_image" else set())


def test_each_is_there_and_each_fits_on_a_screen() -> None:
    assert [e.stem for e in EXAMPLES] == sorted(PRINTED)
    for example in EXAMPLES:
        assert len(example.read_text(encoding="utf-8").splitlines()) < 40, example.name


def test_the_notebook_is_that_of_its_script_and_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells in order, in one namespace, as a kernel runs them."""
    text = notebook.TARGET.read_text(encoding="utf-8")
    assert text == notebook.notebook(notebook.EXAMPLE.read_text(encoding="utf-8"))
    cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    assert len(cells) > 2
    space: dict[str, object] = {"__name__": "__main__"}
    for cell in cells:
        exec("".join(cell["source"]), space)
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert float(shown["prune"]) > float(shown["raw"]) + 0.1
