"""The metrics of a Git revision: a commit, branch or tag, or an experiment of `dvc exp`."""

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchlens import paths
from patchlens.errors import DataError
from patchlens.given import printable
from patchlens.stored import read_json

METRICS = Path("metrics")
Metrics = Mapping[str, Any]  # path below metrics/ -> content of a JSON file


def of_revision(revision: str) -> Metrics:
    """The JSON files of a revision below metrics/.

    Raises:
        DataError: the revision does not exist or has no metrics.
    """
    commit = _commit(revision)
    done = _git("archive", "--format=tar", commit, METRICS.as_posix())
    if done.returncode:
        raise DataError(
            f"revision '{revision}': has no {METRICS}/; choose a revision that was committed after "
            "`dvc repro`"
        )
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None and member.name.endswith(".json"):
                name = paths.current(member.name.removeprefix(f"{METRICS}/"))
                found[name] = json.load(stream)
    return _some(found, f"revision '{revision}'")


def of_workspace() -> Metrics:
    """The JSON files below metrics/ of the working folder.

    Raises:
        DataError: there are none.
    """
    files = sorted(METRICS.rglob("*.json"))
    found = {paths.current(path.relative_to(METRICS).as_posix()): read_json(path) for path in files}
    return _some(found, "the workspace")


def _some(found: Metrics, of: str) -> Metrics:
    if not any(path.startswith("cells/") for path in found):
        raise DataError(f"{of}: no cells in {METRICS}/cells; run `dvc repro`")
    return found


def _commit(revision: str) -> str:
    """The commit of a revision; an experiment of `dvc exp` is a reference below refs/exps."""
    if not revision or revision.startswith("-") or not revision.isprintable():
        raise DataError(
            f"'{printable(revision)}' is not a revision; use --compare REV or --compare REV..REV"
        )
    if _git("rev-parse", "--git-dir").returncode:
        raise DataError(
            f"{Path.cwd()}: is not in a Git repository, so it has no revision '{revision}'; run "
            "this in a clone of the repository, or compare two folders of metrics with `patchlens "
            "compare BEFORE AFTER`"
        )
    if _git("rev-parse", "--verify", "--quiet", "HEAD").returncode:
        raise DataError(
            f"{Path.cwd()}: this Git repository has no commit yet, so it has no revision "
            f"'{revision}'; commit metrics/ first (`git add -A`, `git commit`)"
        )
    done = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.decode().strip()
    experiments = _git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
    for line in experiments.stdout.decode().splitlines():
        name, commit = line.split()
        if name.rsplit("/", 1)[-1] == revision:
            return commit
    raise DataError(
        f"no revision '{revision}' in this Git repository; `git log` and `dvc exp list` show the "
        "existing ones"
    )


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise DataError("git: no such program; install Git, which keeps the revisions") from None
