"""The metrics of a Git revision: a commit, branch or tag, or a result of `dvc exp` by its name."""

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchlens.errors import DataError

METRICS = Path("metrics")
Metrics = Mapping[str, Any]  # path below metrics/ -> content of a JSON file


def of_revision(revision: str) -> Metrics:
    """The JSON files that a revision holds below metrics/.

    Raises:
        DataError: there is no such revision, or it holds no metrics.
    """
    commit = _commit(revision)
    done = _git("archive", "--format=tar", commit, METRICS.as_posix())
    if done.returncode:
        raise DataError(
            f"revision '{revision}': it holds no {METRICS}/; choose one that was committed after "
            "`dvc repro`"
        )
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None and member.name.endswith(".json"):
                found[member.name.removeprefix(f"{METRICS}/")] = json.load(stream)
    return _some(found, f"revision '{revision}'")


def of_workspace() -> Metrics:
    """The JSON files below metrics/ of the folder that the command runs in.

    Raises:
        DataError: there are none.
    """
    files = sorted(METRICS.rglob("*.json"))
    found = {
        path.relative_to(METRICS).as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in files
    }
    return _some(found, "the workspace")


def _some(found: Metrics, of: str) -> Metrics:
    if not any(path.startswith("cells/") for path in found):
        raise DataError(f"{of}: no cell in {METRICS}/cells; `dvc repro` makes them")
    return found


def _commit(revision: str) -> str:
    """The commit of a revision; a name of `dvc exp` is the last part of a reference below exps."""
    if not revision or revision.startswith("-"):
        raise DataError(f"'{revision}' is no revision; give --compare REV or --compare REV..REV")
    done = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.decode().strip()
    experiments = _git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
    for line in experiments.stdout.decode().splitlines():
        name, commit = line.split()
        if name.rsplit("/", 1)[-1] == revision:
            return commit
    raise DataError(
        f"no revision '{revision}' in this Git repository; `git log` and `dvc exp list` name those "
        "that there are"
    )


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], capture_output=True, check=False)
