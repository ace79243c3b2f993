"""What changed between two sets of metrics."""

from pathlib import Path

import pytest

from compared import planted
from conftest import commit, run
from patchlens.errors import DataError
from patchlens.site.changes import between
from patchlens.site.revision import of_revision, of_workspace
from patchlens.stages import report_compare


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


def test_cells_of_one_side_are_listed(changed: Path) -> None:
    (changed / "metrics/cells/minicity/mae/segmentation.json").unlink()

    found = between(of_revision("HEAD"), of_workspace())

    assert found.only_before == ["minicity/mae/segmentation"]
    assert found.only_after == []


def test_two_revisions_are_compared_without_the_workspace(changed: Path) -> None:
    commit(changed, "after")
    (changed / "metrics/cells/minicity/mae/segmentation.json").write_text("{}")

    report_compare.run("HEAD~1..HEAD")

    page = (changed / "reports/compare/index.html").read_text(encoding="utf-8")
    assert "scores that changed: 2, beyond their interval: 1;" in page


def test_experiment_is_found_by_its_name(changed: Path) -> None:
    commit(changed, "after")
    run("git", "update-ref", "refs/exps/ab/cdef/tidy-moth", "HEAD~1", cwd=changed)

    assert of_revision("tidy-moth") == of_revision("HEAD~1") != of_revision("HEAD")


@pytest.mark.parametrize("name", ["nowhere", "--all", ""])
def test_unknown_revision_is_one_message(changed: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}'"):
        report_compare.run(name)

    assert not (changed / "reports/compare").exists()


def test_revision_without_metrics_is_one_message(changed: Path) -> None:
    run("git", "rm", "-rqf", "metrics", cwd=changed)
    commit(changed, "without")

    with pytest.raises(DataError, match="revision 'HEAD': it holds no metrics/"):
        of_revision("HEAD")
