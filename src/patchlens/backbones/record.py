"""The record of a model's weights at their first download: a small JSON file in Git.

Many official files have no published hash. The first download is therefore recorded, and a later
one that differs is an error. DVC removes the outputs of a stage before it runs, except those with
`persist: true`: this file is one, so that it exists when the weights are downloaded again, also in
a fresh clone, and its hash is in `dvc.lock`.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from patchlens.errors import DataError
from patchlens.files import write_json


@dataclass(frozen=True)
class Record:
    """The record of the weights of one slot in `models:`.

    Attributes:
        source: the address of the file in the registry or the settings; another address means
            another file. Without a file, how the weights were made.
        revision: the commit of the file, if its source has commits.
        sha256: of the whole file, in hex; empty without a file.
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
        DataError: the file is not a record.
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
            f"{path}: not a record of a weight file; restore it with `git checkout {path}`"
        ) from None
