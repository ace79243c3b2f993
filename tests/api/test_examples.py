"""Every example runs as it stands, in seconds and without downloads, and leaves nothing behind."""

import gc
import json
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
    monkeypatch.setattr(sys, "argv", [str(example)])
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    space = {"__name__": "__main__"}
    exec(compile(example.read_text(encoding="utf-8"), str(example), "exec"), space)
    space.clear()  # as at the end of a script: a temporary dataset goes with its last reference
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
