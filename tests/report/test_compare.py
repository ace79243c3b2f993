"""Two sets of metrics: equal, nearly equal, different, incomplete."""

import json
from pathlib import Path

from patchlens.report.compare import compare


def cells(folder: Path, score: float = 0.5, device: str = "a CPU", sweep: str = "0.25") -> Path:
    folder.mkdir()
    cost = {"device": device, "images_per_second": score * 100}
    (folder / "extract.json").write_text(json.dumps(cost))
    (folder / "cell.json").write_text(json.dumps({"knn": {"raw": {"pixel_miou": score}}}))
    (folder / "cell_k.csv").write_text(f"variant,k,patch_miou\nraw,1,{sweep}\nzscore,1,\n")
    return folder


def test_on_one_device_nothing_may_differ(tmp_path: Path) -> None:
    before = cells(tmp_path / "a")
    problems, summary = compare(before, cells(tmp_path / "b"), None)
    assert problems == []
    assert summary.endswith("largest difference 0, allowed 0: equal within that")
    problems, summary = compare(before, cells(tmp_path / "c", score=0.501), None)
    assert problems == ["cell.json/knn/raw/pixel_miou: 0.5 became 0.501"]
    assert summary.endswith("allowed 0: 1 differ")


def test_between_devices_two_thousandths_may(tmp_path: Path) -> None:
    before = cells(tmp_path / "a")
    assert compare(before, cells(tmp_path / "b", 0.5019, "another"), None)[0] == []
    assert compare(before, cells(tmp_path / "c", 0.5021, "another"), None)[0] != []


def test_what_is_chosen_among_equals_may_jump_on_another_device_only(tmp_path: Path) -> None:
    folders = [cells(tmp_path / name, device=name[0]) for name in ("x1", "x2", "y")]
    for folder, m in zip(folders, (0.1, 0.3, 0.3), strict=True):
        sweep = {"knn": {"auto": {"chosen_m": m}}, "overlap": {"seeds": {"top_1pct": m}}}
        (folder / "sweep.json").write_text(json.dumps(sweep))
        (folder / "claims.json").write_text(
            json.dumps({"c": {"verdict": "supported", "p_holm": m}})
        )
    here, _ = compare(folders[0], folders[1], None)
    assert [line.split(": ")[0] for line in here] == [
        "claims.json/c/p_holm",
        "sweep.json/knn/auto/chosen_m",
        "sweep.json/overlap/seeds/top_1pct",
    ]
    assert compare(folders[0], folders[2], None)[0] == []
    (folders[2] / "claims.json").write_text(json.dumps({"c": {"verdict": "undecided"}}))
    there, _ = compare(folders[0], folders[2], None)
    assert "claims.json/c/verdict: 'supported' became 'undecided'" in there


def test_sweeps_are_compared(tmp_path: Path) -> None:
    before = cells(tmp_path / "a")
    problems, _ = compare(before, cells(tmp_path / "b", sweep="0.26"), None)
    assert problems == ["cell_k.csv/0/patch_miou: 0.25 became 0.26"]


def test_a_missing_cell_is_a_difference(tmp_path: Path) -> None:
    before, after = cells(tmp_path / "a"), cells(tmp_path / "b")
    (after / "cell.json").unlink()
    problems, _ = compare(before, after, 1.0)
    assert problems == [f"cell.json/knn/raw/pixel_miou: only in {before}"]


def test_who_is_level_with_the_best_may_change_between_devices_only(tmp_path: Path) -> None:
    folders = [cells(tmp_path / name) for name in "ab"]
    for folder, mark in zip(folders, ("True", "False"), strict=True):
        (folder / "tables.csv").write_text(f"model,map_level_with_best,map\nm,{mark},0.5\n")
    assert compare(*folders, 0.002)[0] == []
    assert compare(*folders, None)[0] == ["tables.csv/0/map_level_with_best: 'True' became 'False'"]
