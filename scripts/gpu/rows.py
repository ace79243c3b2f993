"""What a part finds: rows, each written at once, so that a part that is stopped keeps them."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple


def options(about: str | None) -> argparse.ArgumentParser:
    """The options that every part has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--tiny", action="store_true")
    return parser


class Row(NamedTuple):
    """One line of the report; `ok` is None where there is no bound."""

    what: str
    measured: str
    bound: str = "–"
    ok: bool | None = None


class Rows:
    """The rows of a part, in a file of one JSON object a line, which is begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")

    def add(self, *row: Any) -> None:
        """Write and print a `Row`."""
        found = Row(*row)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(found._asdict(), ensure_ascii=False) + "\n")
        print(*(str(value) for value in found), sep=" | ")


def read(path: Path) -> list[Row]:
    """The rows of a part so far; a last line that is cut short is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [Row(**json.loads(line)) for line in lines if line.endswith("}")]


def seconds(do: Callable[[], object], wait: Callable[[], object]) -> float:
    """The least of three calls after a first one; `wait` for the device."""
    do(), wait()
    found = []
    for _ in range(3):
        start = time.perf_counter()
        do(), wait()
        found.append(time.perf_counter() - start)
    return min(found)


def note_packages(path: Path) -> None:
    """Add the packages that this process imported to a file: what another machine must have."""
    of = metadata.packages_distributions()
    used = {name for module in list(sys.modules) for name in of.get(module.partition(".")[0], ())}
    lines = set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()
    lines |= {f"{name}=={metadata.version(name)}" for name in used}
    path.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
