"""What only reads, plans, compares or shows never imports the code of `source: python`."""

import shutil
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import ran
from patchlens import paths
from patchlens.cli import app
from patchlens.settings.load import load
from patchlens.site import report
from patchlens.site.serve import server
from patchlens.tasks.known import known

TRAP = "from pathlib import Path\nPath('imported').touch()\n"
OWN = {
    "source": "python",
    "target": "own/trap_of_the_test.py:make",
    "trust_code": True,
    "patch_size": 16,
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A run, one model of which is a file that says when it is imported; and its site."""
    folder = tmp_path_factory.mktemp("trap")
    ran.lay(folder, root)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["models"] |= {"dino": OWN, "mae": params["models"]["random"] | {"seed": 1}}
    del params["counting"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "own").mkdir()
    (folder / "own/trap_of_the_test.py").write_text(TRAP)
    shutil.copy(root / "dvc.yaml", folder / "whole.yaml")
    return folder


def invoked(*command: str) -> str:
    done = CliRunner().invoke(app, [*command])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def plan() -> None:
    Path("dvc.yaml").rename("small.yaml")
    Path("whole.yaml").rename("dvc.yaml")
    try:
        assert "without dino, whose size is unknown" in invoked("plan")
        invoked("code")
        assert "trap_of_the_test.py" in Path("data/code/model_dino.txt").read_text()
        assert Path("data/code/model_mae.txt").read_text() == "no code of its own\n"
    finally:
        Path("dvc.yaml").rename("whole.yaml")
        Path("small.yaml").rename("dvc.yaml")


def built() -> bool:
    report.run(load(paths.PARAMS, known()))
    return (paths.SITE / "index.html").is_file()


def served() -> None:
    assert (paths.SITE / "index.html").is_file() or built()
    with server(paths.SITE, 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        page = urllib.request.urlopen(f"http://127.0.0.1:{running.server_address[1]}/").read()
        running.shutdown()
        thread.join()
    assert b"dino" in page


READERS: dict[str, Callable[[], object]] = {
    "settings": lambda: load(paths.PARAMS, known()).models["dino"].source == "python",
    "plan and code": plan,
    "doctor": lambda: "dvc" in invoked("doctor"),
    "models": lambda: "dinov2" in invoked("models"),
    "compare": lambda: "differ" in invoked("compare", "metrics", "metrics"),
    "report": built,
    "serve": served,
}


@pytest.mark.parametrize("reader", READERS)
def test_code_of_a_model_is_not_imported_by(
    reader: str, trapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trapped)
    assert READERS[reader]() in (None, True)
    assert not Path("imported").exists()
    assert "trap_of_the_test" not in sys.modules


def test_the_stage_weights_does_import_it(trapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trapped)
    monkeypatch.syspath_prepend(trapped / "own")  # and taken away again
    shown = invoked("weights", "dino")
    assert "has no function 'make'" in " ".join(shown.split())
    assert Path("imported").exists()
    sys.modules.pop("trap_of_the_test")
    Path("imported").unlink()
