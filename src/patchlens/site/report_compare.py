"""`patchlens report --compare`: the page on the changes between two sets of metrics."""

from patchlens import paths
from patchlens.progress import log
from patchlens.site import build, changes, compare, revision


def run(revisions: str) -> None:
    """Write the page on the changes between two revisions, or from one to the workspace.

    Args:
        revisions: `REV` or `REV..REV`.

    Raises:
        DataError: a revision is unknown or has no metrics.
    """
    before, dots, after = revisions.partition("..")
    old = revision.of_revision(before)
    new = revision.of_revision(after) if dots else revision.of_workspace()
    found = changes.between(old, new)
    page = compare.page(found, before, after or "the workspace")
    build.write([page], {"palette": {}}, paths.COMPARISON)
    log.info("report: %d scores changed; %s", len(found.scores), paths.COMPARISON / "index.html")
