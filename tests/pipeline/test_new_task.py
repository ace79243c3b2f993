"""A task is one folder: a toy one, the brightness of a patch, reaches tables, claims and the site.

It needs its folder, its entry in the table of tasks, its stage in dvc.yaml and its section in
params.yaml, as docs/architecture.md says, and no other edit.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import run
from patchlens import paths
from patchlens.errors import SettingsError
from patchlens.features.variants import VARIANTS, FitData, Variant, fit
from patchlens.settings.load import load
from patchlens.tasks.known import known
from tasks.scene import image, write_features, write_index

FOLDER = {
    "__init__.py": '"""A toy."""\n',
    "settings.py": """
from patchlens.settings.base import Section

class Brightness(Section):
    threshold: float

SECTION = Brightness
""",
    "metrics.py": """
from patchlens.tasks.metric import Metric
from patchlens.tasks.resample import Weighted

METRICS = (Metric("bright", "bright patches", heads=("patch",), headline=("patch",)),)

def weighted(rows, index):
    of_unit = rows.groupby("unit", sort=True, observed=True)[["bright", "patches"]].sum()
    bright, patches = of_unit.to_numpy().T

    def metrics(weights, wanted):
        return {"bright": ((weights @ bright) / (weights @ patches))[:, None]}

    return Weighted([str(unit) for unit in of_unit.index], metrics)
""",
    "run.py": """
from functools import partial
import pandas as pd
from patchlens.tasks.brightness.metrics import weighted
from patchlens.tasks.brightness.settings import Brightness
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.result import Result

def run(cell):
    asked, ids = cell.settings.section(Brightness), cell.query.header.image_ids
    values = cell.query.images(ids, cell.layer).mean(axis=-1) > asked.threshold
    records = pd.DataFrame({
        "head": "patch", "variant": "raw", "unit": ids,
        "bright": values.sum(axis=(1, 2)), "patches": values[0].size,
    })
    resampler = SharedResampler.of(cell.settings.uncertainty)
    found = scored(partial(weighted, index=cell.index), records, resampler)
    protocol = cell.protocol() | {"threshold": asked.threshold}
    curve = pd.DataFrame({"variant": "raw", "threshold": [0.25, 0.75], "bright": [0.9, 0.1]})
    return Result(found, protocol, {"": curve}, records)
""",
    "words.py": """
from patchlens.tasks.words import Words

WORDS = Words(
    title="T5 brightness", about="brightness of patches",
    caption=lambda rows: f"Threshold {rows['threshold'].iloc[0]}.",
    heads={"patch": "single patches"}, question="Is a patch bright?",
    columns={"threshold": "grey level"},
)
""",
}
STAGE = """
  brightness:
    matrix:
      model: ${models}
      dataset: ${brightness.datasets}
    cmd: patchlens brightness ${item.model} ${item.dataset}
    deps:
    - data/code/brightness.txt
    metrics:
    - metrics/cells/${item.dataset}/${item.model}/brightness.json:
        cache: false
    plots:
    - metrics/cells/${item.dataset}/${item.model}/brightness.csv:
        cache: false
        x: threshold
        y: bright
"""
ENTRY = '    Entry("brightness", "Evaluate the brightness of patches."),\n'
CLAIM = {
    "text": "The bright model is brighter.",
    "source": "a test",
    "kind": "difference",
    "direction": "greater",
    "metric": "brightness.patch.bright",
    "datasets": ["d"],
    "a": {"models": ["bright"]},
    "b": {"models": ["dark"]},
    "delta": 0.1,
}
COMMANDS = """
import sys
from patchlens.cli import app
for command in sys.argv[1].split(","):
    app(["--quiet", *command.split()], standalone_mode=False)
"""
SHARES = {"bright": 0.75, "dark": 0.25}  # of the patches of every image
IDS = [f"q{i:02}" for i in range(16)]


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which the toy task ran on features that are given."""
    made = tmp_path_factory.mktemp("toy")
    shutil.copytree(root / "src", made / "src", ignore=shutil.ignore_patterns("__pycache__"))
    slice_ = made / "src/patchlens/tasks/brightness"
    slice_.mkdir()
    for name, text in FOLDER.items():
        (slice_ / name).write_text(text, encoding="utf-8")
    table = made / "src/patchlens/tasks/entries.py"
    first = "ENTRIES = (\n"
    text = table.read_text(encoding="utf-8")
    assert text.count(first) == 1
    table.write_text(text.replace(first, first + ENTRY), encoding="utf-8")
    (made / "dvc.yaml").write_text((root / "dvc.yaml").read_text(encoding="utf-8") + STAGE)
    (made / "params.yaml").write_text(yaml.safe_dump(settings(root, made)))
    (made / "claims.yaml").write_text(yaml.safe_dump({"brighter": CLAIM}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        write_index(made, [image(name) for name in IDS], [])
        for model, share in SHARES.items():
            values = np.zeros((len(IDS), 4, 6, 3))
            values.reshape(len(IDS), -1, 3)[:, : round(24 * share)] = 1
            write_features("query", IDS, values, model)
            cell = paths.cell(dataset="d", model=model)
            cell.mkdir(parents=True)
            cost = {"origin": "a file", "architecture": "none", "parameters_m": 0.0}
            (cell / "extract.json").write_text(json.dumps(cost | {"gflops_per_image": 0.0}))
            record = {"sha256": "0" * 64, "tensors": "", "source": "a file", "revision": ""}
            paths.weights_record(model).parent.mkdir(parents=True, exist_ok=True)
            paths.weights_record(model).write_text(json.dumps(record))
        paths.EXPLORER.mkdir(parents=True)
        (paths.EXPLORER / "datasets.json").write_text("{}")
    ran = ["code", "brightness bright d", "brightness dark d", "tables", "claims", "report"]
    run(sys.executable, "-c", COMMANDS, ",".join(ran), cwd=made)
    return made


def settings(root: Path, here: Path) -> dict[str, Any]:
    """The default of params.yaml with two models and one dataset, for the toy task alone."""
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for section in content.values():
        if isinstance(section, dict) and "datasets" in section:
            section["datasets"] = []
    query = {"split": "query", "images": "all", "per": "total", "unit": "image"}
    view = {"mode": "whole", "grid": "equal", "patches": [4, 6]}
    own = {"kind": "folder", "root": str(here), "view": view, "support": None, "query": query}
    content["datasets"] = {"d": own}
    content["fetch"] = {"made": [], "downloaded": [], "placed": ["d"]}
    content["models"] = {model: {"source": "pixels", "patch_size": 8} for model in SHARES}
    content["extract"]["datasets"] = ["d"]
    content["uncertainty"] |= {"resamples": 200, "claim_resamples": 10_000}
    return content | {"brightness": {"datasets": ["d"], "threshold": 0.5}}


def test_its_table_has_scores_with_intervals_and_bold(folder: Path) -> None:
    table = pd.read_csv(folder / "metrics/tables/brightness.csv").set_index("model")
    assert dict(table["bright"]) == SHARES
    assert list(table.loc["bright", ["bright_ci_low", "bright_ci_high"]]) == [0.75, 0.75]
    assert dict(table["bright_level_with_best"]) == {"bright": True, "dark": False}
    text = (folder / "metrics/tables/brightness.md").read_text(encoding="utf-8")
    assert "### d: brightness of patches" in text
    assert "**single patches: bright patches (%)**" in text
    assert "**75.0 [75.0, 75.0]**" in text
    assert "| 25.0 [25.0, 25.0]" in text
    assert r"\textbf{75.0 [75.0, 75.0]}" in (folder / "metrics/tables/brightness.tex").read_text()
    about = json.loads((folder / "metrics/tables/brightness.json").read_text(encoding="utf-8"))
    assert about["captions"] == {"d": "Threshold 0.5."}


def test_a_claim_about_it_is_judged(folder: Path) -> None:
    verdict = json.loads((folder / "metrics/claims/claims.json").read_text())["brighter"]
    assert (verdict["verdict"], verdict["effect"]) == ("supported", 0.5)


def test_the_site_has_its_page_with_ranking_and_curve(folder: Path) -> None:
    page = (folder / "reports/site/brightness.html").read_text(encoding="utf-8")
    assert "<h1>T5 brightness</h1>" in page
    assert "Is a patch bright?" in page
    assert "ranking-brightness-d-patch-bright" in page
    assert "brightness-brightness" in page
    curve = pd.read_csv(folder / "reports/site/data/brightness-brightness.csv")
    assert set(curve["model"]) == set(SHARES)
    first = (folder / "reports/site/index.html").read_text(encoding="utf-8")
    assert "brightness.html" in first
    assert "leads with 75.0 %" in first


def test_a_variant_is_one_entry(root: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    content["segmentation"]["variants"].append("halved")
    Path("params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SettingsError, match=r"segmentation\.variants\[9\]: 'halved' is unknown"):
        load(Path("params.yaml"), known())
    monkeypatch.setitem(VARIANTS, "halved", Variant(lambda data, prune, chance: lambda x: x / 2))
    loaded = load(Path("params.yaml"), known())
    assert loaded.variants[-1] == "halved"
    ones = np.ones((2, 3), dtype=np.float32)
    data = FitData(ones[0], ones[0], np.arange(3), 1, lambda: [ones])
    halved = fit("halved", data, loaded.prune, seed=0, draw=0)
    np.testing.assert_array_equal(halved(ones), ones / 2)


def test_only_its_stage_depends_on_its_code(folder: Path) -> None:
    lists = {path.stem: path.read_text() for path in (folder / "data/code").glob("*.txt")}
    assert "tasks/brightness/run.py" in lists["brightness"]
    others = {name for name, text in lists.items() if "tasks/brightness/run.py" in text}
    assert others == {"brightness"}
    assert {n for n, t in lists.items() if "tasks/brightness/words.py" in t} == {
        *("tables", "claims", "report")
    }
