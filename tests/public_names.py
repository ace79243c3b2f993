"""The names that users compare and write, which `tests/public_names.txt` freezes.

Removing a name breaks a promise to users: list it as old → new in CHANGELOG.md, and raise an error
with that line if settings still contain it. `python tests/public_names.py FOLDER` prints the list
of a reproduced folder.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from patchlens.features.variants import VARIANTS
from patchlens.report import measures
from patchlens.report.compare import flat
from patchlens.settings import models
from patchlens.settings.claims import Claim
from patchlens.settings.load import with_sections
from patchlens.tasks.known import sections

LIST = Path(__file__).with_suffix(".txt")


def names(folder: Path) -> list[str]:
    """All public names, sorted; metric keys and CSV columns are read from `folder`/metrics."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    found = {f"stage {name}" for name in stages}
    found |= {f"claim metric {name}" for name in measures.names()}
    found |= {line for line in LIST.read_text(encoding="utf-8").splitlines() if _accepted(line)}
    found |= {f"variant {name}" for name in VARIANTS}
    found |= {f"claims.yaml {key}" for key in _keys(Claim)}
    found |= {f"params.yaml {key}" for key in _keys(with_sections(sections()))}
    metrics = folder / "metrics"
    for path in metrics.rglob("*.json"):
        if path.parent.name == "tables":  # words, which may be improved
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        found |= {f"metric {_file(path)} {key}" for key in _metric_keys(path, content)}
    for path in metrics.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as stream:
            found |= {f"column {_file(path)} {column}" for column in next(csv.reader(stream))}
    return sorted(found)


def _accepted(line: str) -> bool:
    """Whether a line of the list is a metric of claims that is known: one of a family, as d5."""
    kind, _, name = line.rpartition(" ")
    return kind == "claim metric" and measures.measure(name) is not None


def _file(path: Path) -> str:
    return "weights/*.json" if path.parent.name == "weights" else path.name


def _metric_keys(path: Path, content: dict[str, Any]) -> Iterator[str]:
    """Dotted keys, with one placeholder for all variants and one for all ids of claims."""
    for key, _ in flat(content, "\n"):
        parts = ["<variant>" if part in VARIANTS else part for part in key.split("\n")]
        if path.name == "claims.json":
            parts[0] = "<claim>"
        yield ".".join(parts)


def _keys(kind: Any) -> Iterator[str]:
    """The keys of a section and of its subsections; wrappers of its type are ignored."""
    if kind is models._ArchArgs:  # its keys are the arguments of timm, not ours
        return
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            below = set(_keys(field.annotation))
            yield from (f"{name}.{key}" for key in below) if below else (name,)
    else:
        many = "<name>." if getattr(kind, "__origin__", None) is dict else ""
        for inner in get_args(kind):
            yield from (f"{many}{key}" for key in _keys(inner))


if __name__ == "__main__":
    print("\n".join(names(Path(sys.argv[1]))))
