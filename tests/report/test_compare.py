"""Two sets of metrics: equal, nearly equal, different, incomplete, nothing at all."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from patchlens.cli import app
from patchlens.errors import DataError, SettingsError
from patchlens.report.compare import compare

HERE = {"cpu": "a CPU", "device": "cpu", "threads": 2}


def cells(
    folder: Path, score: float = 0.5, machine: dict | None = HERE, sweep: str = "0.25"
) -> Path:
    folder.mkdir(parents=True)
    if machine:
        (folder / "machine.json").write_text(json.dumps(machine))
    (folder / "cell.json").write_text(json.dumps({"knn": {"raw": {"pixel_miou": score}}}))
    (folder / "cell_k.csv").write_text(f"variant,k,patch_miou\nraw,1,{sweep}\nzscore,1,\n")
    return folder


def test_on_one_machine_nothing_may_differ(tmp_path: Path) -> None:
    before = cells(tmp_path / "a")
    problems, summary = compare(before, cells(tmp_path / "b"), None)
    assert problems == []
    assert summary == (
        "tolerance 0, as both were made on a CPU, 2 threads; 7 values compared, largest "
        "difference 0: equal within the tolerance"
    )
    problems, summary = compare(before, cells(tmp_path / "c", score=0.501), None)
    assert problems == ["cell.json/knn/raw/pixel_miou: 0.5 became 0.501"]
    assert summary.endswith("largest difference 0.001: 1 differ")


@pytest.mark.parametrize(
    ("machines", "reason"),
    [
        ((HERE, HERE | {"cpu": "another CPU"}), "another CPU"),
        ((HERE, HERE | {"threads": 4}), "4 threads"),
        ((HERE, HERE | {"device": "a GPU"}), "a GPU with a CPU, 2 threads"),
        ((None, HERE), "no machine.json says what made {a}"),
        ((HERE, None), "no machine.json says what made {b}"),
        ((None, None), "no machine.json says what made {a} and {b}"),
    ],
)
def test_between_machines_or_where_one_is_unknown_two_thousandths_may(
    tmp_path: Path, machines: tuple[dict | None, dict | None], reason: str
) -> None:
    before = cells(tmp_path / "a", machine=machines[0])
    near, far = (
        cells(tmp_path / name, score, machines[1]) for name, score in (("b", 0.5019), ("c", 0.5021))
    )

    problems, summary = compare(before, near, None)

    assert problems == []
    assert summary.startswith("tolerance 0.002, as ")
    assert reason.format(a=before, b=near) in summary.partition(";")[0]
    assert compare(before, far, None)[0] == ["cell.json/knn/raw/pixel_miou: 0.5 became 0.5021"]


def test_a_folder_below_takes_the_machine_of_the_one_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = [tmp_path / name / "cells" for name in "ab"]
    for side in sides:
        cells(side, machine=None)
        shutil.move(cells(side.parent / "more") / "machine.json", side.parent)
    assert compare(*sides, None)[1].startswith("tolerance 0, as both")
    monkeypatch.chdir(sides[0])
    assert compare(Path(), sides[1], None)[1].startswith("tolerance 0, as both")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"cpu": "a CPU"}'])
def test_a_machine_that_cannot_be_read_is_an_error(tmp_path: Path, content: str) -> None:
    sides = [cells(tmp_path / name) for name in "ab"]
    (sides[1] / "machine.json").write_text(content)
    with pytest.raises(DataError, match=r"machine\.json: "):
        compare(*sides, None)


def test_what_is_chosen_among_equals_may_jump_on_another_machine_only(tmp_path: Path) -> None:
    other = HERE | {"cpu": "another"}
    folders = [cells(tmp_path / name, machine=m) for name, m in zip("abc", (HERE, HERE, other))]  # noqa: B905
    for folder, m in zip(folders, (0.1, 0.3, 0.3), strict=True):
        sweep = {"knn": {"auto": {"chosen_m": m}}, "overlap": {"seeds": {"top_1pct": m}}}
        (folder / "sweep.json").write_text(json.dumps(sweep))
        (folder / "claims").mkdir()
        (folder / "claims/claims.json").write_text(
            json.dumps({"c": {"verdict": "supported", "p_holm": m}})
        )
    here, _ = compare(folders[0], folders[1], None)
    assert [line.split(": ")[0] for line in here] == [
        "claims/claims.json/c/p_holm",
        "sweep.json/knn/auto/chosen_m",
        "sweep.json/overlap/seeds/top_1pct",
    ]
    problems, summary = compare(folders[0], folders[2], None)
    assert problems == []
    assert ", 3 left out (chosen among near equals)," in summary
    (folders[2] / "claims/claims.json").write_text(json.dumps({"c": {"verdict": "undecided"}}))
    there, _ = compare(folders[0], folders[2], None)
    assert "claims/claims.json/c/verdict: 'supported' became 'undecided'" in there


def test_verdicts_of_an_older_version_are_compared_with_those_in_their_present_place(
    tmp_path: Path,
) -> None:
    before, after = (cells(tmp_path / name) for name in "ab")
    places = [("claims.json", "claims/claims.json"), ("tables/claims.csv", "claims/claims.csv")]
    for old, new in places:
        for path, verdict in ((before / old, "supported"), (after / new, "undecided")):
            path.parent.mkdir(exist_ok=True)
            as_json = json.dumps({"c": {"verdict": verdict}})
            path.write_text(f"verdict\n{verdict}\n" if path.suffix == ".csv" else as_json)
    assert compare(before, after, None)[0] == [
        "claims/claims.csv/0/verdict: 'supported' became 'undecided'",
        "claims/claims.json/c/verdict: 'supported' became 'undecided'",
    ]


def test_a_folder_called_as_what_is_chosen_is_compared(tmp_path: Path) -> None:
    sides = [tmp_path / name for name in "ab"]
    for side, score in zip(sides, (0.5, 0.6), strict=True):
        cells(side / "overlap" / "mean", score)
    assert compare(*sides, 0.002)[0] == [
        "overlap/mean/cell.json/knn/raw/pixel_miou: 0.5 became 0.6"
    ]


def test_sweeps_are_compared(tmp_path: Path) -> None:
    before = cells(tmp_path / "a")
    problems, _ = compare(before, cells(tmp_path / "b", sweep="0.26"), None)
    assert problems == ["cell_k.csv/0/patch_miou: 0.25 became 0.26"]


def test_a_missing_cell_is_a_difference(tmp_path: Path) -> None:
    before, after = cells(tmp_path / "a"), cells(tmp_path / "b")
    (after / "cell.json").unlink()
    problems, _ = compare(before, after, 1.0)
    assert problems == [f"cell.json/knn/raw/pixel_miou: only in {before}"]


def test_who_is_level_with_the_best_may_change_between_machines_only(tmp_path: Path) -> None:
    folders = [cells(tmp_path / name) for name in "ab"]
    for folder, mark in zip(folders, ("True", "False"), strict=True):
        (folder / "tables.csv").write_text(f"model,map_level_with_best,map\nm,{mark},0.5\n")
    assert compare(*folders, 0.002)[0] == []
    assert compare(*folders, None)[0] == ["tables.csv/0/map_level_with_best: 'True' became 'False'"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": math.nan}, {"x": 0.5}),
        ({"x": 0.5}, {"x": math.nan}),
        ({"x": math.nan}, {"x": math.nan}),
        ({"x": math.inf}, {"x": 0.5}),
        ({"x": 0.5}, {"x": math.inf}),
        ({"x": math.inf}, {"x": -math.inf}),
        ({"x": None}, {"x": 0.5}),
        ({"x": 0}, {"x": None}),
        ({"x": None}, {"x": ""}),
        ({"x": True}, {"x": False}),
        ({"x": True}, {"x": 1}),
        ({"x": 0}, {"x": False}),
        ({"x": "0.5"}, {"x": 0.5}),
        ({"x": [1, 2, 3]}, {"x": [1, 2, 4]}),
        ({"x": [1, 2]}, {"x": [1, 2, 3]}),
        ({"x": [1]}, {"x": 1}),
        ({"x": []}, {"x": {}}),
        ({"x": {}}, {}),
        ({"x": [{"y": 1}]}, {"x": [{"y": 2}]}),
        ({"x": 10**400}, {"x": 0.5}),
        (["a"], ["b"]),
        (1, 2),
        (None, 1),
    ],
)
def test_these_values_differ(tmp_path: Path, one: object, other: object) -> None:
    sides = [cells(tmp_path / name) for name in "ab"]
    for side, content in zip(sides, (one, other), strict=True):
        (side / "more.json").write_text(json.dumps(content))
    problems, summary = compare(*sides, 0.002)
    assert len(problems) >= 1
    assert all(line.startswith("more.json/") for line in problems)
    assert summary.endswith(f"{len(problems)} differ")


@pytest.mark.parametrize("place", ["chosen_m", "overlap", "map_level_with_best"])
def test_nan_is_not_left_out_even_where_values_may_jump(tmp_path: Path, place: str) -> None:
    sides = [cells(tmp_path / name) for name in "ab"]
    for side, value in zip(sides, (0.5, math.nan), strict=True):
        (side / "more.json").write_text(json.dumps({place: value}))
    assert compare(*sides, 0.002)[0] == [f"more.json/{place}: 0.5 became nan"]


@pytest.mark.parametrize(
    "content",
    [{"x": None}, {"x": True}, {"x": [1, "a", [None]]}, {"x": {}}, {"x": math.inf}, [], 7, None],
)
def test_these_values_are_equal_to_themselves(tmp_path: Path, content: object) -> None:
    sides = [cells(tmp_path / name) for name in "ab"]
    for side in sides:
        (side / "more.json").write_text(json.dumps(content))
    assert compare(*sides, None)[0] == []


@pytest.mark.parametrize(
    ("one", "other", "problem"),
    [
        ("x\nnan\n", "x\nnan\n", "0/x: nan became nan"),
        ("x\nNaN\n", "x\n0.5\n", "0/x: nan became 0.5"),
        ('x,y\n"",1\n', "x,y\n0.5,1\n", "0/x: '' became 0.5"),
        ("x\n0.5\n", "x\n0.5\n0.5\n", "1/x: only in {after}"),
        ("x\n", "y\n", "header: ('x',) became ('y',)"),
        ("x\n", None, "header: only in {before}"),
        ("", "x\n", "header: () became ('x',)"),
    ],
)
def test_rows_differ(tmp_path: Path, one: str, other: str | None, problem: str) -> None:
    before, after = cells(tmp_path / "a"), cells(tmp_path / "b")
    for side, content in ((before, one), (after, other)):
        if content is not None:
            (side / "more.csv").write_text(content)
    problems, _ = compare(before, after, 0.002)
    assert problems == ["more.csv/" + problem.format(before=before, after=after)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cell.json", b"{"),
        ("cell.json", b""),
        ("cell.json", b"\xff"),
        ("cell.json", b"[" * 100_000),
        ("cell_k.csv", b"x,y\n1\n"),
        ("cell_k.csv", b"x,y\n1,2,3\n"),
        ("cell_k.csv", b"x,x\n1,2\n"),
        ("cell_k.csv", b'x\n"1\n'),
        ("cell_k.csv", b"\xff\n"),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_what_cannot_be_read_is_an_error_that_names_it(
    tmp_path: Path, side: int, name: str, content: bytes
) -> None:
    sides = [cells(tmp_path / name) for name in "ab"]
    path = sides[side] / name
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        compare(*sides, None)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def nothing(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)


def only(name: str, content: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        (path / name).write_text(content)

    return make


EMPTY: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (nothing, "missing; give a folder of metrics"),
    "file": (lambda path: path.write_text("{}"), "not a folder"),
    "empty": (Path.mkdir, "holds no value"),
    "no metrics": (only("README.md", "0.5"), "holds no value"),
    "machine": (only("machine.json", json.dumps(HERE)), "holds no value"),
    "empty JSON": (only("cell.json", "{}"), "holds no value"),
    "header": (only("cell_k.csv", "model,k\n"), "holds no value"),
}


@pytest.mark.parametrize("what", EMPTY)
@pytest.mark.parametrize("sides", ["both", "before", "after"])
def test_a_side_with_nothing_to_compare_never_passes(tmp_path: Path, what: str, sides: str) -> None:
    make, words = EMPTY[what]
    folders = [tmp_path / "before", tmp_path / "after"]
    for folder in folders:
        (make if sides in ("both", folder.name) else cells)(folder)

    done = CliRunner().invoke(app, ["compare", *map(str, folders)])

    assert done.exit_code == 4
    assert words in done.output
    assert "equal" not in done.output
    assert done.output.count("\n") == 1


def test_where_all_is_left_out_nothing_passes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder, value in zip(folders, (1, 2), strict=True):
        only("sweep.json", json.dumps({"chosen_m": value}))(folder)
    with pytest.raises(DataError, match="nothing was compared"):
        compare(*folders, 0.002)
    assert compare(*folders, 0)[0] == ["sweep.json/chosen_m: 1 became 2"]


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-inf", "-0.1"])
def test_a_tolerance_that_is_none_is_refused(tmp_path: Path, tolerance: str) -> None:
    sides = [str(cells(tmp_path / name)) for name in "ab"]
    done = CliRunner().invoke(app, ["compare", *sides, "--tolerance", tolerance])
    assert done.exit_code == 2
    assert f"--tolerance {tolerance}: give a finite number of at least 0" in done.output
    with pytest.raises(SettingsError):
        compare(Path(sides[0]), Path(sides[1]), float(tolerance))


def test_a_tolerance_of_zero_is_taken(tmp_path: Path) -> None:
    sides = [cells(tmp_path / "a"), cells(tmp_path / "b", 0.5001, None)]
    assert compare(*sides, 0)[0] == ["cell.json/knn/raw/pixel_miou: 0.5 became 0.5001"]
    assert compare(*sides, None)[0] == []
