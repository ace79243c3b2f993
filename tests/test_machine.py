"""scripts/machine.py: what made the metrics is known only where all of them were made here."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import machine
from conftest import script
from patchlens import paths
from patchlens.settings.load import load
from patchlens.tasks.known import known

MACHINE = {"cpu": "a CPU", "device": "a CPU, 2 threads", "threads": 2}
OUT = Path("metrics/machine.json")


@pytest.fixture
def costs(here: Path, root: Path) -> list[Path]:
    """What the stage extract notes of every cell of the default; an older metrics/machine.json."""
    shutil.copy(root / "params.yaml", here)
    settings = load(paths.PARAMS, known())
    found = [
        paths.cost(dataset=d, model=m) for d in settings.extract.datasets for m in settings.models
    ]
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(MACHINE | {"images_per_second": len(path.name)}))
    OUT.parent.mkdir()
    OUT.write_text("of an older run")
    assert len(found) > 4
    return found


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What the script prints; in this process, as another one imports torch anew."""

    def printed() -> str:
        machine.main()
        return capsys.readouterr().out

    return printed


def test_it_is_a_script(costs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert script("machine.py", cwd=Path.cwd()) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(OUT.read_text())["threads"] == 2


@pytest.mark.parametrize("device", ["cpu", "a GPU"])
def test_what_all_cells_agree_on_is_written(costs: list[Path], said: Said, device: str) -> None:
    if device != "cpu":
        for path in costs:
            path.write_text(json.dumps(MACHINE | {"device": device, "images_per_second": 1}))
    assert said() == ""
    # Virtual machines call many CPUs by one name.
    cpu = f"a CPU ({torch.backends.cpu.get_cpu_capability()})"
    assert json.loads(OUT.read_text()) == {"cpu": cpu, "device": device, "threads": 2}
    costs[0].with_name("gone.json").write_text("a model that params.yaml no longer lists")
    assert said() == ""


@pytest.mark.parametrize("which", [0, -1])
def test_where_a_cell_was_not_extracted_here_it_is_removed(
    costs: list[Path], said: Said, which: int
) -> None:
    costs[which].unlink()
    told = said()
    assert f"knows the machine of {len(costs) - 1} of {len(costs)} cells" in told
    assert "make repro FORCE=1" in told
    assert not OUT.exists()


@pytest.mark.parametrize("change", [{"cpu": "another"}, {"threads": 1}, {"device": "a GPU"}])
def test_where_cells_come_from_several_machines_it_is_removed(
    costs: list[Path], said: Said, change: dict
) -> None:
    costs[1].write_text(json.dumps(MACHINE | change | {"images_per_second": 1}))
    assert "and 2 machines" in said()
    assert not OUT.exists()
