"""What changed between two sets of metrics."""

import io
from pathlib import Path

import pandas as pd
import pytest

from compared import planted
from conftest import commit, run
from patchlens.errors import DataError
from patchlens.site import compare
from patchlens.site.changes import between
from patchlens.site.compare import page
from patchlens.site.revision import of_revision, of_workspace


@pytest.fixture
def changed(here: Path, root: Path) -> Path:
    planted(here, root)
    return here


def test_scores_are_told_beyond_or_within_the_interval_they_had(changed: Path) -> None:
    found = between(of_revision("HEAD"), of_workspace())

    assert [(c.cell.split("/")[1], round(c.difference, 3), c.beyond) for c in found.scores] == [
        ("mae", 0.05, "beyond"),
        ("dino", 0.01, "within"),
    ]
    assert found.words == [("minicity/random/segmentation: protocol.k", "10", "1")]
    assert found.verdicts == [("m1", "supported", "contradicted")]
    assert found.equal == 1


def cell(**scores: tuple[float, float] | float) -> dict[str, object]:
    """A cell of scores with the half-width of their intervals, or without one."""
    found: dict[str, float] = {}
    for name, score in scores.items():
        value, half = score if isinstance(score, tuple) else (score, None)
        found[name] = value
        if half is not None:
            found |= {f"{name}_ci_low": value - half, f"{name}_ci_high": value + half}
    return {"cells/city/mae/later.json": {"head": {"raw": found}}}


def test_what_moved_farthest_against_its_interval_comes_first_and_is_drawn() -> None:
    before = cell(switches=(100.0, 60.0), small=(0.5, 0.01), large=(0.5, 0.2), chosen=0.1)
    after = cell(switches=(130.0, 60.0), small=(0.55, 0.01), large=(0.62, 0.2), chosen=0.9)

    found = between(before, after)

    names = [change.name.split(".")[-1] for change in found.scores]
    assert names == ["small", "large", "switches", "chosen"]
    drawn = pd.read_csv(io.BytesIO(page(found, "a", "b").files["data/changes.csv"]))
    assert list(drawn["score"]) == ["mae: head.raw.small", "mae: head.raw.large"]


def test_cells_of_one_side_are_listed(changed: Path) -> None:
    (changed / "metrics/cells/minicity/mae/segmentation.json").unlink()

    found = between(of_revision("HEAD"), of_workspace())

    assert found.only_before == ["minicity/mae/segmentation"]
    assert found.only_after == []


def test_two_revisions_are_compared_without_the_workspace(changed: Path) -> None:
    commit(changed, "after")
    (changed / "metrics/cells/minicity/mae/segmentation.json").write_text("{}")

    compare.run("HEAD~1..HEAD")

    page = (changed / "reports/compare/index.html").read_text(encoding="utf-8")
    assert "2 scores changed, 1 of them beyond their interval;" in page


def test_experiment_is_found_by_its_name(changed: Path) -> None:
    commit(changed, "after")
    run("git", "update-ref", "refs/exps/ab/cdef/tidy-moth", "HEAD~1", cwd=changed)

    assert of_revision("tidy-moth") == of_revision("HEAD~1") != of_revision("HEAD")


@pytest.mark.parametrize("name", ["nowhere", "--all", ""])
def test_unknown_revision_is_one_message(changed: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}'"):
        compare.run(name)

    assert not (changed / "reports/compare").exists()


def test_revision_without_metrics_is_one_message(changed: Path) -> None:
    run("git", "rm", "-rqf", "metrics", cwd=changed)
    commit(changed, "without")

    with pytest.raises(DataError, match="revision 'HEAD': has no metrics/"):
        of_revision("HEAD")
