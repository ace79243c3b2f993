"""Writing files so that a killed run never leaves an incomplete one, and hashing them."""

import hashlib
import json
import shutil
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from patchlens.errors import MachineError, of_machine

if TYPE_CHECKING:
    import pandas as pd

# What begins a formula for some spreadsheet; the last four are full-width.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it when the block ends without error."""
    partial = path.with_name(f".{path.name}.partial")
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            with suppress(OSError):  # on a disk that has become read-only
                partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, renamed to `path` when the block ends without error.

    An existing `path` is moved aside just before: a killed run leaves the old folder or none, never
    an incomplete one.
    """
    partial, old = (path.with_name(f".{path.name}.{s}") for s in ("partial", "old.partial"))
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in (partial, old):  # may remain from a killed run
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            if path.exists():
                path.replace(old)
            partial.replace(path)
        except BaseException as error:
            # Of too many open files, the frames that failed hold some, which removal needs.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            for left in (partial, old):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of the machine: most arise in an open file, which has no name."""
    try:
        yield
    except Exception as error:
        if found := of_machine(error, path):
            raise found from error
        raise


def check_space(what: str, needed: Iterable[tuple[Path, float]], margin: float = 0) -> None:
    """Compare the space that will be needed with the free space, before anything is written.

    Args:
        what: what will be written, for the message.
        needed: folders (they need not exist yet) and the bytes that will be written to them.
        margin: bytes of each disk to keep free.

    Raises:
        MachineError: a disk is too small.
    """
    wanted: dict[Path, float] = {}
    for folder, size in needed:
        disk = next(p for p in (folder.resolve() / "_").parents if p.is_mount())
        wanted[disk] = wanted.get(disk, margin) + size
    for disk, size in wanted.items():
        free = shutil.disk_usage(disk).free
        if size > free:
            want, have = (tqdm.format_sizeof(n, "B") for n in (size, free))
            raise MachineError(
                f"{disk}: not enough space for {what}: about {want} are needed, {have} are free; "
                "free some space and run this again"
            )


def write_json(content: Any, path: Path) -> None:
    """Write JSON with sorted keys; NaN and infinity are errors because DVC cannot compare them."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def write_csv(table: "pd.DataFrame", path: Path) -> None:
    """Write a table without its row numbers; see `csv_text`."""
    write_text(csv_text(table), path)


def csv_text(table: "pd.DataFrame") -> str:
    """A table as CSV without its row numbers; undefined values are empty.

    A text that a spreadsheet would run as a formula, such as the name of a class that begins with
    `=`, gets an apostrophe before it (owasp.org/www-community/attacks/CSV_Injection); numbers, also
    those in columns of texts, stay as they are. `shown` takes the apostrophe away again.
    """
    import pandas as pd

    safe = table.copy(deep=False)
    for name in table.select_dtypes(include=["object", "string", "category"]).columns:
        cells = [_guarded(cell) for cell in table[name]]
        safe[name] = pd.Series(cells, index=table.index, dtype=object)
    safe.columns = pd.Index([_guarded(name) for name in table.columns])
    found: str = safe.to_csv(index=False, lineterminator="\n")
    return found


def shown(cell: Any) -> Any:
    """A cell of a CSV file of ours as it was before it was guarded; see `csv_text`."""
    guarded = isinstance(cell, str) and cell.startswith("'") and _is_formula(cell[1:])
    return cell[1:] if guarded else cell


def _guarded(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r\n", "\n").replace("\r", "\n")  # which pandas leaves without quotes
    return f"'{cell}" if _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    if not text.startswith(FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def write_parquet(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as parquet without its row numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Python would wait for ever for a thread that ends as it starts, without memory.
    found = pa.Table.from_pandas(table, preserve_index=False, nthreads=1)
    with whole_file(path) as partial:
        pq.write_table(found, partial)


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def file_hash(path: Path, algorithm: str) -> str:
    """The hash of a whole file, in hex: `sha256`, `md5`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
