"""The whole pipeline on a miniature: reproduce, change a setting, reproduce again elsewhere."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import networkx
import pandas as pd
import pytest
from dvc.repo import Repo
from typer.testing import CliRunner, Result

import public_names
from conftest import run
from patchlens import paths
from patchlens.cli import app
from patchlens.report.measures import measure
from patchlens.tasks.resample import SharedResampler
from patchlens.tasks.table import TASKS

CELL = "metrics/cells/minicity/random/segmentation.json"

OF_ALL = {"tables", "claims", "explorer", "report"}  # what every score is in
OF_PRUNING = {  # what runs anew when `prune.m` changes
    "minicity": ("segmentation", "variance", "identification", "retrieval"),
    "minicity_video": ("retrieval", "tracking"),
}


def stages_run(output: str) -> list[str]:
    """What DVC, or `patchlens repro`, says that it runs."""
    return re.findall(r"^(?:Running stage '|\[\d+/\d+\] )([^'\n]+)", output, re.MULTILINE)


def test_names_that_users_diff_and_write_are_those_of_the_list(miniature: Path) -> None:
    listed = public_names.LIST.read_text(encoding="utf-8").splitlines()
    found = public_names.names(miniature)
    assert {"stage tracking", "params.yaml prune.m", "claims.yaml slots"} <= set(found)
    gone, new = set(listed) - set(found), set(found) - set(listed)
    assert not gone, f"see tests/public_names.py: {sorted(gone)}"
    assert not new, f"add to tests/public_names.txt: {sorted(new)}"


def test_repro_writes_cells_tables_and_records(miniature: Path) -> None:
    cell = json.loads((miniature / CELL).read_text())
    assert set(cell) == {"protocol", "knn", "linear", "majority"}
    assert set(cell["knn"]) == set(cell["linear"])
    assert len(cell["knn"]) == 9
    raw = cell["knn"]["raw"]
    assert raw["pixel_miou_ci_low"] <= raw["pixel_miou"] <= raw["pixel_miou_ci_high"]
    assert 0 < cell["majority"]["raw"]["pixel_miou"] < raw["pixel_miou"] < 1
    table = pd.read_csv(miniature / "metrics/tables/segmentation.csv")
    assert len(table) == 2 * (9 + 9 + 1)
    named = table.set_index(["model", "head", "variant"]).loc[("random", "knn", "raw")]
    assert named["pixel_miou"] == raw["pixel_miou"]
    for suffix in ("md", "tex"):
        text = (miniature / f"metrics/tables/segmentation.{suffix}").read_text()
        assert f"{100 * raw['pixel_miou']:.1f}" in text
    for axis, values in (("k", {1, 3, 10, 30}), ("layer", {0, 1}), ("shots", {1, 2})):
        sweep = pd.read_csv((miniature / CELL).with_name(f"segmentation_{axis}.csv"))
        assert set(sweep[axis]) == values


def test_claims_resample_what_the_cells_of_the_object_tasks_say(
    miniature: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(miniature)
    resampler, checked = SharedResampler(50, 0), set()
    for task in TASKS.values():
        dataset = {"tracking": "minicity_video"}.get(task.name, "minicity")
        path = paths.cell(dataset=dataset, model="random") / f"{task.name}.json"
        if task.study or task.name in ("segmentation", "selection"):
            continue
        for head, of_head in json.loads(path.read_text()).items():
            for name, value in of_head.get("prune_random", {}).items():
                measured = measure(f"{task.name}.{head}.{name}")
                if measured is not None:
                    score = measured.score(resampler, dataset, "random", "prune_random")
                    assert score.point == pytest.approx([value], abs=1e-4), (head, name)
                    assert score.samples.shape == (50, 1)
                    checked.add(f"{task.name}.{head}")
    assert checked == {
        *("identification.patch", "identification.patch_2", "identification.object"),
        *("retrieval.instance", "retrieval.fine_class"),
        *("tracking.association", "tracking.link", "tracking.link_free"),
    }


def test_the_object_tasks_have_tables_and_pages(miniature: Path) -> None:
    for task in ("identification", "retrieval", "tracking"):
        table = pd.read_csv(miniature / f"metrics/tables/{task}.csv")
        assert set(table["model"]) == {"random", "pixels"}
        assert table["protocol_version"].notna().all()
    pages = {path.stem for path in (miniature / "reports/site").glob("*.html")}
    assert pages >= {"identification-examples", "retrieval-sheets-minicity", "videos"}


def test_repro_leaves_no_partial_work(miniature: Path) -> None:
    assert list((miniature / ".work/extract").iterdir()) == []
    assert list(miniature.rglob("*.partial")) == []


def test_a_second_repro_runs_nothing(miniature: Path) -> None:
    done = run("dvc", "repro", cwd=miniature)
    assert stages_run(done.stdout) == ["code"]  # reads what may lie anywhere, such as own models


# A setting that a user changes, and the stages that read it: those on whose outputs others depend.
CHANGES = {
    "k": ("\n  k: 10\n", "\n  k: 1\n", {"minicity": ("segmentation", "sweep")}),
    "m": ("\n  m: 0.26\n", "\n  m: 0\n", OF_PRUNING),
}


def scored(of: dict[str, tuple[str, ...]]) -> set[str]:
    """The names of stages of both models."""
    return {
        f"{task}@{model}-{dataset}"
        for dataset, tasks in of.items()
        for task in tasks
        for model in ("random", "pixels")
    }


@pytest.fixture(scope="module", params=[pytest.param("k", marks=pytest.mark.slow), "m"])
def changed(
    request: pytest.FixtureRequest, miniature: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A clone, as the working folder, in which one setting is changed and nothing ran yet."""
    clone = cloned(miniature, tmp_path_factory.mktemp("changed"))
    before, after, _ = CHANGES[request.param]
    text = (clone / "params.yaml").read_text()
    assert text.count(before) == 1
    (clone / "params.yaml").write_text(text.replace(before, after))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        yield request.param, clone


@pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
def test_what_reads_a_changed_setting_is_stale_and_nothing_else(changed: tuple[str, Path]) -> None:
    """Without running them; the slow tests below run them."""
    readers = scored(CHANGES[changed[0]][2])
    sweeps = scored({"minicity": ("sweep",)})
    with Repo() as repo:
        stale = set(repo.status(["dvc.yaml"]))
        assert stale - OF_ALL == {"code"} | readers
        graph = repo.index.graph
        for stage in [stage for stage in graph if stage.addressing in stale - {"code"}]:
            stale |= {other.addressing for other in networkx.ancestors(graph, stage)}
    # A sweep waits for the C that segmentation chose, which the next test finds unchanged.
    assert stale - sweeps == ({"code"} | readers | OF_ALL) - sweeps


def test_a_changed_setting_changes_its_own_scores_and_verdicts(changed: tuple[str, Path]) -> None:
    setting, clone = changed
    for command in (["segmentation", "pixels", "minicity"], ["claims"]):
        app(["--quiet", *command], standalone_mode=False)
    difference = json.loads(run("dvc", "metrics", "diff", "--json", cwd=clone).stdout)
    pixels = difference.pop("metrics/cells/minicity/pixels/segmentation.json")
    verdicts = difference.pop("metrics/claims/claims.json")
    assert not difference
    assert not run("git", "diff", "--", "*segmentation_c.csv", cwd=clone).stdout
    assert verdicts["floor_pixels.effect"]["old"] != verdicts["floor_pixels.effect"]["new"]
    if setting == "k":
        assert pixels["protocol.k"] == {"old": 10, "new": 1, "diff": -9}
        assert pixels["knn.raw.pixel_miou"]["diff"] != 0
        assert not [key for key in pixels if key.startswith(("linear", "majority"))]
    else:
        cell = json.loads(Path("metrics/cells/minicity/pixels/segmentation.json").read_text())
        assert pixels["knn.prune.pixel_miou"]["new"] == cell["knn"]["raw"]["pixel_miou"]
        assert pixels["protocol.prune_m_used"] == {"old": 1.0, "new": 0.0, "diff": -1.0}
        assert not [key for key in pixels if ".raw." in key or ".zscore." in key]
        assert verdicts["floor_pixels.verdict"] == {"old": "undecided", "new": "not run"}


@pytest.mark.slow
def test_changing_k_reruns_segmentation_and_what_is_below_it(
    miniature: Path, tmp_path: Path
) -> None:
    clone = cloned(miniature, tmp_path)
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("\n  k: 10\n", "\n  k: 1\n"))
    done = run("patchlens", "repro", cwd=clone)  # `make repro`
    assert set(stages_run(done.stderr)) == {"code"} | scored(CHANGES["k"][2]) | OF_ALL
    difference = json.loads(run("dvc", "metrics", "diff", "--json", cwd=clone).stdout)[CELL]
    assert difference["protocol.k"] == {"old": 10, "new": 1, "diff": -9}
    assert difference["knn.raw.pixel_miou"]["diff"] != 0
    assert not [key for key in difference if key.startswith(("linear", "majority"))]
    plots = run("dvc", "plots", "diff", "--json", cwd=clone)
    assert "segmentation_k.csv" in plots.stdout


@pytest.mark.slow
def test_pruning_nothing_changes_the_numbers_of_pruning_and_the_verdict_on_it(
    miniature: Path, tmp_path: Path
) -> None:
    # The README's example, in small: with too few seeds for the verdict that it starts from.
    clone = cloned(miniature, tmp_path)
    done = run("dvc", "exp", "run", "-S", "prune.m=0", cwd=clone)
    assert set(stages_run(done.stdout)) == {"code"} | scored(OF_PRUNING) | OF_ALL
    difference = json.loads(run("dvc", "metrics", "diff", "--json", cwd=clone).stdout)
    claims = difference["metrics/claims/claims.json"]
    assert claims["floor_pixels.verdict"] == {"old": "undecided", "new": "not run"}
    assert claims["floor_pixels.effect"]["old"] != 0
    pixels = difference["metrics/cells/minicity/pixels/segmentation.json"]
    cell = json.loads(
        (clone / "metrics/cells/minicity/pixels/segmentation.json").read_text(encoding="utf-8")
    )
    assert pixels["knn.prune.pixel_miou"]["new"] == cell["knn"]["raw"]["pixel_miou"]
    assert pixels["protocol.prune_m_used"] == {"old": 1.0, "new": 0.0, "diff": -1.0}
    assert not [key for key in pixels if ".raw." in key or ".zscore." in key]


def test_the_study_and_the_claims_are_written(miniature: Path) -> None:
    cells = miniature / "metrics/cells/minicity"
    spectrum = json.loads((cells / "random/variance.json").read_text())
    assert spectrum["protocol"]["width"] == 24
    assert 0 < spectrum["top1"] < spectrum["top5"] < spectrum["top_10pct"] + spectrum["top5"] < 2
    dimensions = pd.read_csv(cells / "pixels/variance_dimensions.csv").set_index("dimension")
    assert dimensions.loc[4, "r_column"] > 0.99  # pixels: R, G, B, row, column
    assert dimensions.loc[3, "r_row"] > 0.99
    sweep = pd.read_csv(cells / "random/sweep.csv")
    assert set(sweep["head"]) == {"knn", "linear", "retrieval"}
    assert sorted(sweep["dimensions"].unique()) == [2, 6, 12]
    verdicts = json.loads((miniature / "metrics/claims/claims.json").read_text())
    assert verdicts["c1"] == {"verdict": "not run"}
    assert verdicts["floor_pixels"]["n_units"] == 10
    table = (miniature / "metrics/claims/claims.md").read_text()
    assert "c1 (" in table
    assert "not in models" in table
    assert (miniature / "metrics/tables/variance.md").is_file()


@pytest.fixture(scope="module")
def unchanged(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that every test leaves as it was."""
    return cloned(miniature, tmp_path_factory.mktemp("unchanged"))


@pytest.fixture
def clone(unchanged: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the working folder."""
    monkeypatch.chdir(unchanged)
    return unchanged


def called(*words: str) -> Result:
    """The command in this process; another one would import for seconds."""
    return CliRunner().invoke(app, words)


def test_why_tells_the_story_of_a_reproduced_model(clone: Path) -> None:
    text = called("why", "pixels", "minicity").stdout
    raw = json.loads((clone / "metrics/cells/minicity/pixels/sweep.json").read_text())
    assert f"{100 * raw['knn']['raw']['score']:.1f}" in text


@pytest.fixture(scope="module")
def checks(miniature: Path) -> list[subprocess.CompletedProcess[str]]:
    """`check_repro.sh` on this CPU and an emulated one; side by side, as both take minutes."""
    from numpy._core import _multiarray_umath as core

    present = [f for f in core.__cpu_dispatch__ if core.__cpu_features__.get(f)]
    other = {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "NPY_DISABLE_CPU_FEATURES": " ".join(present),
    }
    script = "scripts/check_repro.sh"
    other["OMP_NUM_THREADS"] = "1"
    with ThreadPoolExecutor() as pool:
        here = pool.submit(run, script, cwd=miniature, check=False, OMP_NUM_THREADS="1")
        there = pool.submit(
            run, script, "--tolerance", "0.002", cwd=miniature, check=False, **other
        )
        return [here.result(), there.result()]


@pytest.mark.slow
def test_check_repro_gives_the_committed_numbers(checks: list[Any]) -> None:
    done = checks[0]
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("tolerance 0, as both were made on ")
    assert "equal within the tolerance" in done.stdout


@pytest.mark.slow
def test_another_cpu_gives_the_same_scores_within_the_tolerance(checks: list[Any]) -> None:
    done = checks[1]
    assert done.returncode == 0, done.stdout + done.stderr


# Stands in for DVC below: `repro` brings the committed results, or others.
DVC = """#!/usr/bin/env bash
echo "$OMP_NUM_THREADS $OPENBLAS_NUM_THREADS $MKL_NUM_THREADS: $*" >> "$LOG"
[ "$1" = repro ] || exit 0
[ ! -e metrics ] && [ -f dvc.lock ] || exit 9
cp -r "$RESULTS/metrics" . && mkdir .work && cp -r "$RESULTS/.work/cost" .work
[ -z "$CHANGE" ] || sed -i "$CHANGE" metrics/cells/minicity/random/segmentation.json
"""


@pytest.mark.parametrize(
    ("change", "tolerance", "code", "told"),
    [
        pytest.param("", (), 0, "tolerance 0, as both were made on ", marks=pytest.mark.slow),
        (
            's/"pixel_miou": 0/"pixel_miou": 9/',
            ("--tolerance", "0.5"),
            1,
            "segmentation.json/knn/raw/pixel_miou",
        ),
    ],
)
def test_check_repro_compares_what_a_fresh_clone_makes_with_what_is_committed(
    miniature: Path, tmp_path: Path, change: str, tolerance: tuple[str], code: int, told: str
) -> None:
    """Without the 35 stages, which the slow test above runs."""
    (tmp_path / "dvc").write_text(DVC)
    (tmp_path / "dvc").chmod(0o755)
    # `run` puts the interpreter's folder first on PATH.
    script = f'PATH="{tmp_path}:$PATH" exec scripts/check_repro.sh "$@"'
    env = {"LOG": str(tmp_path / "log"), "RESULTS": str(miniature), "CHANGE": change}
    env |= {"OMP_NUM_THREADS": "3", "TMPDIR": str(tmp_path)}
    done = run("bash", "-c", script, "bash", *tolerance, cwd=miniature, check=False, **env)
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stdout + done.stderr
    *_, cache, forced = (tmp_path / "log").read_text().splitlines()
    assert "cache dir --local" in cache
    assert forced == "3 3 3: repro --force --quiet"
    assert not list(tmp_path.glob("tmp.*"))  # the clone is removed


def test_check_repro_notices_a_changed_number(miniature: Path, tmp_path: Path) -> None:
    cells = tmp_path / "cells"
    run("cp", "-r", "metrics/cells", "metrics/machine.json", str(tmp_path), cwd=miniature)
    path = cells / "minicity/random/segmentation.json"
    cell = json.loads(path.read_text())
    cell["knn"]["raw"]["pixel_miou"] += 0.0001
    path.write_text(json.dumps(cell))
    done = run("patchlens", "compare", "metrics/cells", str(cells), cwd=miniature, check=False)
    assert done.returncode == 1
    assert "minicity/random/segmentation.json/knn/raw/pixel_miou" in done.stdout


@pytest.mark.slow
def test_a_forced_run_executes_every_stage_once_and_leaves_nothing_in_git(
    miniature: Path, tmp_path: Path
) -> None:
    clone = cloned(miniature, tmp_path)
    stages = run("dvc", "stage", "list", "--name-only", cwd=clone).stdout.split()
    two = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))  # one thread, as the first run
    done = run("taskset", "-c", two, "patchlens", "repro", "--force", cwd=clone)
    assert sorted(stages_run(done.stderr)) == sorted(stages)
    assert len(stages) > 30
    run("python", "scripts/machine.py", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""
    assert json.loads(run("dvc", "metrics", "diff", "--json", cwd=clone).stdout or "{}") == {}
    speeds = [json.loads(path.read_text()) for path in sorted(clone.glob(".work/cost/*/*.json"))]
    assert len(speeds) == 4
    assert all(speed["images_per_second"] > 0 for speed in speeds)


@pytest.mark.slow
def test_push_clone_pull_runs_nothing(miniature: Path, tmp_path: Path) -> None:
    run("dvc", "remote", "add", "--local", "-d", "share", str(tmp_path / "remote"), cwd=miniature)
    run("dvc", "push", "-q", cwd=miniature)
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(miniature), str(clone), cwd=tmp_path)
    run("dvc", "remote", "add", "--local", "-d", "share", str(tmp_path / "remote"), cwd=clone)
    run("dvc", "pull", "-q", cwd=clone)
    assert stages_run(run("dvc", "repro", cwd=clone).stdout) == []
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""


def test_orphaned_cells_are_named_and_removed_on_request(clone: Path) -> None:
    orphan = clone / "metrics/cells/minicity/gone"
    orphan.mkdir()
    (orphan / "segmentation.json").write_text("{}")
    stale = clone / "metrics/cells/minicity/random/tracking.json"  # T4 runs on minicity_video only
    stale.write_text("{}")
    records = clone / "metrics/weights"
    (records / "gone.json").write_text("{}")
    told = called("tables").stderr
    assert "metrics/cells/minicity/gone/segmentation.json" in told
    assert "metrics/cells/minicity/random/tracking.json" in told
    assert "gone" not in (clone / "metrics/tables/segmentation.csv").read_text()
    assert called("clean-metrics").exit_code == 0
    assert not orphan.exists()
    assert not stale.exists()
    assert (clone / CELL).is_file()
    assert sorted(path.stem for path in records.iterdir()) == ["pixels", "random"]


def test_a_missing_cell_stops_tables_with_the_remedy(clone: Path) -> None:
    cell = (clone / CELL).read_bytes()
    (clone / CELL).unlink()
    done = called("tables")
    (clone / CELL).write_bytes(cell)
    assert done.exit_code == 4
    assert done.stderr == (
        f"Error: {CELL}: missing; run `git checkout {CELL}`, or make it again with "
        "`dvc repro segmentation@random-minicity`\n"
    )
    assert "git checkout metrics" in done.stderr


def cloned(miniature: Path, tmp_path: Path) -> Path:
    """A clone with all outputs, which shares the miniature's cache."""
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(miniature), str(clone), cwd=tmp_path)
    (clone / ".dvc/config.local").write_text(f"[cache]\n    dir = {miniature / '.dvc/cache'}\n")
    run("dvc", "checkout", "-q", cwd=clone)
    return clone
