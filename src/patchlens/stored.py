"""Reads what stages wrote, so that a missing or damaged file is one line with what to do about it.

Libraries name neither the file nor a remedy, and each has errors of its own. The remedy comes from
dvc.yaml, which says what makes a file and whether DVC or Git keeps it.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import md5
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml.cyaml import CSafeLoader
from safetensors import safe_open

from patchlens import paths
from patchlens.errors import DataError, PatchlensError, first_line
from patchlens.given import why_not

PIPELINE, LOCK, CACHE = Path("dvc.yaml"), Path("dvc.lock"), Path(".dvc/cache/files/md5")
AXIS = re.compile(r"\\\$\\\{item\\\.(\w+)\\\}")  # ${item.model}, escaped
_read: dict[Path, None] = {}  # what this process has read, for `blame`


@contextmanager
def reading(path: Path, remedy: str | None = None) -> Iterator[Path]:
    """Read a file that a stage wrote, and take apart what is in it.

    Args:
        path: the file.
        remedy: what to do if it is missing or damaged; by default, what dvc.yaml says of it.

    Raises:
        DataError: it is no file, or the block fails, as it does at what a damaged file contains.
    """
    if reason := why_not(path):
        reason = "missing" if reason == "no such file" else reason
        raise DataError(f"{path}: {reason}; {remedy or remedy_for(path)}")
    _read[path] = None
    try:
        yield path
    except (PatchlensError, MemoryError):
        raise
    except Exception as error:  # whatever a library raises: see the head of this file
        if isinstance(error, OSError) and error.errno:
            raise  # of the machine, not of the content
        raise DataError(
            f"{path}: is damaged ({_reason(path, error)}); {remedy or remedy_for(path)}"
        ) from error


def read_bytes(path: Path, remedy: str | None = None) -> bytes:
    """The content of a file that is never empty; errors as in `reading`."""
    with reading(path, remedy):
        content = path.read_bytes()
        if not content:
            raise ValueError
        return content


def read_text(path: Path) -> str:
    """A text in whole lines, as `files` writes them; errors as in `reading`."""
    with reading(path):
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("it is cut short")
        return text


def read_json(path: Path, remedy: str | None = None) -> Any:
    """The content of a JSON file; errors as in `reading`."""
    with reading(path, remedy):
        return json.loads(path.read_bytes())


def read_csv(path: Path, *columns: str, **options: Any) -> pd.DataFrame:
    """A table in CSV, which must have these columns; errors as in `reading`.

    Args:
        path: the file.
        columns: those that the caller needs.
        options: of pandas.
    """
    with reading(path):
        read_text(path)
        table: pd.DataFrame = pd.read_csv(path, **options)
        if lacks := [name for name in columns if name not in table]:
            raise ValueError(f"no column {lacks[0]}")
        return table


def read_parquet(
    path: Path, columns: list[str] | None = None, **where: Collection[str]
) -> pd.DataFrame:
    """A table in parquet: some columns, and the rows that have one of the values of each `where`.

    Errors as in `reading`. The last file is kept, because the rows of one are asked for in turn.
    """
    with reading(path):
        found = _parquet(path, tuple(columns) if columns else None, Path.cwd(), state(path))
        for name, values in where.items():
            found = found.filter(pc.is_in(found[name], pa.array(values)))
        table: pd.DataFrame = found.to_pandas(use_threads=False)
        return table


@lru_cache(maxsize=1)
def _parquet(path: Path, columns: tuple[str, ...] | None, *_: object) -> Any:
    """A table of Arrow, without its threads: one that a limit on memory bars is waited for."""
    file = pq.ParquetFile(pa.BufferReader(read_bytes(path)))
    return file.read(list(columns) if columns else None, use_threads=False)


def state(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written anew; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def open_tensors(path: Path) -> tuple[Any, dict[str, Any]]:
    """A safetensors file as a memory map, and its metadata, of which each value is JSON.

    Raises:
        DataError: as in `reading`.
    """
    opened: Any = safe_open
    with reading(path):
        file = opened(path, framework="numpy")
        return file, {key: json.loads(value) for key, value in (file.metadata() or {}).items()}


def remedy_for(path: Path, other: str = "run `dvc repro`") -> str:
    """How to get a file back, from the pipeline in the working folder; `other` if it makes none."""
    made = None
    with suppress(Exception):  # a damaged pipeline is another message
        made = _maker(path)
    if made is None:
        return other
    stage, keeper = made
    again = f"`dvc repro {stage}`"
    if keeper is None or (keeper == "dvc" and not path.exists()):  # of what it has, DVC takes it
        return f"run {again}"
    force = " --force" if keeper == "dvc" else ""  # which DVC asks for where a file has changed
    return f"run `{keeper} checkout {path}{force}`, or make it again with {again}"


def blame(error: BaseException) -> DataError | None:
    """The file behind an unexpected error: one that was read, and is not as its stage left it.

    Damage that is valid JSON, CSV or parquet fails far from where it was read.
    """
    with suppress(Exception):  # without a lock, nothing is known of any file
        known = dict(_locked())
        for path in _read:
            if path in known and md5(path.read_bytes()).hexdigest() != known[path]:
                return DataError(
                    f"{path}: is damaged: it is not what its stage wrote (dvc.lock has another "
                    f"md5), and cannot be used ({_reason(path, error)}); {remedy_for(path)}"
                )
    return None


def _reason(path: Path, error: BaseException) -> str:
    with suppress(OSError):
        if not path.stat().st_size:
            return "it is empty"
    return first_line(error)


def _maker(path: Path) -> tuple[str, str | None] | None:
    """The stage that writes a file, as DVC names it, and who keeps it: `dvc`, `git` or nobody."""
    stages, params = _yaml(PIPELINE)["stages"], _yaml(paths.PARAMS)
    for name, stage in stages.items():
        outputs = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
        for out in outputs:
            place, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            pattern = AXIS.sub(r"(?P<\1>[a-z0-9_]+)", re.escape(place))
            found = re.fullmatch(f"{pattern}(/.*)?", path.as_posix())
            matrix: Mapping[str, Any] = stage.get("matrix", {})
            if found is None or any(
                found[axis] not in _values(source, params) for axis, source in matrix.items()
            ):
                continue
            cell = "-".join(found[axis] for axis in matrix)
            committed = "git" if path.parts[0] != "data" else None
            return f"{name}@{cell}" if cell else name, (
                "dvc" if options.get("cache", True) else committed
            )
    return None


def _yaml(path: Path) -> Any:
    return CSafeLoader(path.read_bytes()).get_single_data()


def _values(source: Any, params: Any) -> Any:
    """The values of an axis: a list, or `${key.in.params}`."""
    if isinstance(source, str):
        for key in source.removeprefix("${").removesuffix("}").split("."):
            params = params[key]
        return params
    return source


def _locked() -> Iterator[tuple[Path, str]]:
    """File -> md5, of all outputs in dvc.lock; those of folders are listed in DVC's cache."""
    for stage in _yaml(LOCK)["stages"].values():
        for out in stage.get("outs", []):
            path, digest = Path(out["path"]), out["md5"]
            if not digest.endswith(".dir"):
                yield path, digest
                continue
            with suppress(OSError):
                for file in json.loads((CACHE / digest[:2] / digest[2:]).read_bytes()):
                    yield path / file["relpath"], file["md5"]
