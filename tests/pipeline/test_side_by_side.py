"""`patchlens repro` on a DVC that only notes how it is called; the real one makes `miniature`."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from conftest import run
from patchlens.cli import app
from patchlens.pipeline import repro as script

STAGES = ["code", "render@one", "render@two", "index@one", "index@two"]
STAGES += [f"weights@{model}" for model in "abc"]
STAGES += [
    f"{name}@{model}-one" for name in ("extract", "segmentation", "sweep") for model in "abc"
]
STAGES += [f"retrieval@{model}-one" for model in "abc"] + ["tables", "claims", "report"]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
DVC = """#!/usr/bin/env -S python -IS
import json, os, sys
args = sys.argv[1:]
open("asked", "w").close()
if args[:2] == ["stage", "list"]:
    print("{stages}")
else:
    names = [name for name in args if not name.startswith("-") and name != "repro"]
    with open("calls", "a") as file:
        threads = [os.environ.get(name) for name in {threads}]
        print(json.dumps([names, threads, [a for a in args if a[0] == "-"]]), file=file)
    if "--dry" in args and "extract@b-one" not in names:
        print("Running stage")
    sys.exit("{broken}" in names)
"""


def repro(
    folder: Path, root: Path, jobs: int, broken: str = "none", *options: str
) -> tuple[int, str, list[Any]]:
    """The exit code, the errors, and of each call of DVC its stages, its threads, its options."""
    for name in ("dvc.yaml", "params.yaml"):
        if not (folder / name).exists():
            shutil.copy(root / name, folder)
    fake = folder / "dvc"
    fake.write_text(DVC.format(stages=r"\n".join(STAGES), broken=broken, threads=THREADS))
    fake.chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        done = CliRunner().invoke(app, ["repro", "--jobs", str(jobs), *options])
    calls = []
    if (folder / "calls").exists():
        calls = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
    return done.exit_code, done.stderr, calls


def test_every_stage_runs_once_and_after_what_it_needs(here: Path, root: Path) -> None:
    code, _, calls = repro(here, root, 2)
    assert code == 0
    called = [names for names, *_ in calls]
    assert called[0] == ["code"]
    assert sorted(called[1:3]) == [["render@one", "index@one"], ["render@two", "index@two"]]
    assert sorted(called[3:5]) == [["weights@a", "weights@c", "extract@a-one", "extract@c-one"],
                                   ["weights@b", "extract@b-one"]]  # fmt: skip
    few_shot = [[f"{name}@{m}-one" for name in ("segmentation", "sweep") for m in of]
                for of in ("ac", "b")]  # fmt: skip
    few_shot[0].append("retrieval@b-one")  # dealt in turn: the fourth unit of tasks
    few_shot[1] += ["retrieval@a-one", "retrieval@c-one"]
    assert sorted(called[5:7]) == few_shot
    assert sorted(called[7:9]) == [["claims"], ["tables"]]
    assert called[9:] == [[]]  # a whole `dvc repro`: report, and whatever was left out


def test_forced_every_stage_runs_once_and_the_report_last(here: Path, root: Path) -> None:
    code, _, calls = repro(here, root, 2, "none", "--force")
    assert code == 0
    assert sorted(stage for names, *_ in calls for stage in names) == sorted(STAGES)
    assert [names for names, *_ in calls[-1:]] == [["report"]]
    assert all({"--force", "--single-item"} <= set(options) for *_, options in calls)
    (here / "calls").unlink()
    unforced = repro(here, root, 2)[2]
    assert not any("--force" in options for *_, options in unforced)
    assert unforced[-1][0] == []
    assert sorted(names for names, *_ in unforced[:-1]) == sorted(names for names, *_ in calls[:-1])


@pytest.mark.parametrize(
    ("variables", "forced"), [([], False), (["FORCE=1"], True), (["FORCE=0"], False)]
)
def test_make_repro_forces_where_it_is_told_to(
    root: Path, variables: list[str], forced: bool
) -> None:
    said = run("make", "--dry-run", "repro", "JOBS=3", *variables, cwd=root).stdout
    [line] = [line.split() for line in said.splitlines() if line.startswith("patchlens")]
    assert line == ["patchlens", "repro", "--jobs", "3", *(["--force"] if forced else [])]


def test_the_cores_are_split_whatever_a_shell_says(
    here: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    share = str(max(1, len(os.sched_getaffinity(0)) // 2))
    calls = repro(here, root, 2)[2]
    assert [threads for _, threads, _ in calls[1:-1]] == [[share] * len(THREADS)] * 8
    assert calls[0][1] == calls[-1][1] == [os.environ.get(name) for name in THREADS]


def test_no_more_processes_than_there_is_to_deal(here: Path, root: Path) -> None:
    assert len(repro(here, root, 8)[2]) == 1 + 2 + 3 + 6 + 2 + 1


def stored(folder: Path) -> dict[str, list[Path]]:
    """Features of the models a, b, c, in the workspace and in the cache of DVC: files of each."""
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = True\n")
    files, locked = {}, {}
    for model in "abc":
        own, digests = (
            folder / f"data/features/one/{model}/query.safetensors",
            [model * 32, "d" * 32],
        )
        listing, object_ = (
            folder / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}{suffix}"
            for digest, suffix in ((digests[0], ""), (model * 31 + "0", ".dir"))
        )
        files[model] = [own, listing, object_]
        for path in files[model]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps([{"md5": digests[0], "relpath": own.name}]))
        outs = [{"path": f"metrics/cells/one/{model}/extract.json", "md5": "e" * 32}]
        outs += [{"path": f"data/features/one/{model}", "md5": model * 31 + "0.dir"}]
        locked[f"extract@{model}-one"] = {"cmd": "true", "outs": outs}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": locked}))
    return files


def test_features_are_dropped_after_the_tasks_of_a_model(here: Path, root: Path) -> None:
    files = stored(here)
    code, said, calls = repro(here, root, 2, "none", "--drop-features")
    assert code == 0, said
    ran = [names for names, _, options in calls if "--dry" not in options]
    asked = [names for names, _, options in calls if "--dry" in options]
    whole = {m: [stage for stage in STAGES if f"@{m}" in stage] for m in "abc"}
    assert asked == [whole["a"], whole["b"], whole["c"]]
    assert [names for names in ran if any("@a" in n or "@b" in n or "@c" in n for n in names)] == [
        whole["a"],  # nothing of b has changed but for its features, which were dropped
        whole["c"],
    ]
    assert ran[-1] == ["report"]
    assert [path for of in files.values() for path in of if path.exists()] == []


def test_features_of_degraded_copies_are_dropped_too(here: Path) -> None:
    stored(here)
    digest = "f" * 32
    copies, kept = here / "data/degraded/one/a.safetensors", here / "metrics/degrade.json"
    cached = here / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}"
    for path in (copies, kept, cached):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    outs = [{"path": str(p.relative_to(here)), "md5": digest} for p in (copies,)]
    outs.append({"path": "metrics/degrade.json", "md5": "9" * 32})
    lock = {"schema": "2.0", "stages": {"degrade@a-one": {"outs": outs}}}
    (here / "dvc.lock").write_text(yaml.safe_dump(lock))
    script._drop_features(["degrade@a-one", "degrade@b-one"])
    assert [path.exists() for path in (copies, cached, kept)] == [False, False, True]


def test_features_are_kept_where_a_task_failed_or_nobody_asks(here: Path, root: Path) -> None:
    files = stored(here)
    assert repro(here, root, 1, "none")[0] == 0
    assert repro(here, root, 1, "sweep@a-one", "--drop-features")[0] == 1
    assert all(path.exists() for of in files.values() for path in of)


def test_dropping_features_is_for_a_run_of_all_stages(here: Path, root: Path) -> None:
    code, said, calls = repro(here, root, 2, "none", "--drop-features", "tables")
    assert (code, calls) == (2, [])
    assert said == "Error: --drop-features: a run of all stages only; name no stages\n"


@pytest.mark.parametrize("broken", ["render@one", "sweep@b-one"])
def test_a_failed_stage_stops_it_and_the_others_come_to_their_end(
    here: Path, root: Path, broken: str
) -> None:
    code, _, calls = repro(here, root, 2, broken)
    assert code == 1
    assert len(calls) == (3 if broken.startswith("render") else 7)
    assert calls[-1][0]  # the last `dvc repro` did not run


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_targets_run_with_what_they_need_in_one_process(
    here: Path, root: Path, options: tuple[str, ...]
) -> None:
    code, _, calls = repro(here, root, 2, "none", *options, "sweep@a-one", "tables")
    assert code == 0
    assert [names for names, *_ in calls] == [["sweep@a-one", "tables"]]
    assert calls[0][2] == [*options, "--"]


@pytest.mark.parametrize("name", ["x;touch X;", "m$(touch X)"])
@pytest.mark.parametrize("section", ["models", "datasets"])
def test_a_name_that_a_shell_would_run_is_refused_before_dvc_is_asked_anything(
    here: Path, root: Path, section: str, name: str
) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    content[section] = {name: next(iter(content[section].values()))}
    (here / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    code, errors, calls = repro(here, root, 2)
    assert (code, calls) == (2, [])
    assert not (here / "asked").exists()
    assert errors == (
        f"Error: params.yaml: {section}: {name!r} is not allowed; use a-z, 0-9 and _ only\n"
    )


def test_no_stage_of_the_real_graph_needs_one_of_another_process(root: Path) -> None:
    """What is dealt at once depends on earlier phases, or on its own unit, where it comes first."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    each = {name: stage for name, stage in stages.items() if "matrix" in stage}
    made_by = {
        path: name
        for name, stage in each.items()
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, [])
        for path in ([entry] if isinstance(entry, str) else entry)
    }
    phases = (script.OF_DATASET, script.OF_FEATURES, sorted(each))  # the last: all others
    phase = {name: next(i for i, of in enumerate(phases) if name in of) for name in each}
    checked = 0
    for name, stage in each.items():
        for needed in filter(None, map(made_by.get, stage["deps"])):
            checked += 1
            assert list(each).index(needed) < list(each).index(name)
            if phase[needed] == phase[name] == 2:
                assert script.NEEDS.get(name) == needed
            else:
                assert phase[needed] <= phase[name]
    assert checked > 20
    *tail, last = [name for name in stages if name not in ("code", *each)]
    made = {
        name: {
            path
            for kind in ("outs", "metrics")
            for out in stages[name].get(kind, [])
            for path in ([out] if isinstance(out, str) else out)
        }
        for name in tail
    }
    below = {name: {str(Path(path).parent) for path in of} | of for name, of in made.items()}
    assert len(tail) > 2
    for name in tail:
        assert all(of.isdisjoint(stages[name]["deps"]) for of in below.values()), name
        assert below[name] & set(stages[last]["deps"]), name
