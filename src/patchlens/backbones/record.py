"""What the weights of a model were when they first came: a small JSON that Git holds.

Many official files have no published hash. So the first one that comes is written down, and a
later one that differs is an error. DVC removes the outputs of a stage before it runs, all but those
with `persist: true`: this file is one, so that it is there when the weights are fetched again, in a
fresh clone too, and `dvc.lock` holds its hash.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from patchlens.errors import DataError
from patchlens.files import write_json


@dataclass(frozen=True)
class Record:
    """Of the weights of one slot in `models:`.

    Attributes:
        source: the file's address as the registry or the settings say it; another address, another
            file. Without a file, what made the weights.
        revision: the commit that the file was taken at, where its source has commits.
        sha256: of the whole file, in hex; empty without one.
        size: of the file in bytes.
        tensors: sha256 over the converted tensors, which names the model in every result.
    """

    source: str
    revision: str = ""
    sha256: str = ""
    size: int = 0
    tensors: str = ""

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(asdict(self), path)


def read_record(path: Path) -> Record | None:
    """The record of an earlier run; None if there is none.

    Raises:
        DataError: the file is no record.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        return Record(
            str(content["source"]),
            str(content["revision"]),
            str(content["sha256"]),
            int(content["size"]),
            str(content["tensors"]),
        )
    except (ValueError, TypeError, KeyError):
        raise DataError(
            f"{path}: this is no record of a weight file; bring it back with `git checkout {path}`"
        ) from None
