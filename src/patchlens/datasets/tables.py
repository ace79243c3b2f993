"""The tables of an index: their columns, and writing them in parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from patchlens.stored import read_parquet, reading

IMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("split", pa.string()),
        ("path", pa.string()),
        ("mask", pa.string()),
        ("instances", pa.string()),
        ("sequence", pa.string()),
        ("frame", pa.int64()),
        ("group", pa.string()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("mode", pa.string()),
        ("orientation", pa.int64()),
        ("profile", pa.string()),
        ("mask_mode", pa.string()),
        ("labelled", pa.int64()),
        ("window", pa.list_(pa.int64())),
    ]
)
OBJECTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("instance", pa.int64()),
        ("track", pa.int64()),
        ("class_id", pa.int64()),
        ("fine_class", pa.string()),
        ("x0", pa.float64()),
        ("y0", pa.float64()),
        ("x1", pa.float64()),
        ("y1", pa.float64()),
        ("area", pa.float64()),
        ("evaluated", pa.bool_()),
        ("mask_value", pa.int64()),
        ("polygon", pa.list_(pa.float64())),
    ]
)
RELEVANCE = pa.schema(
    [("query_id", pa.string()), ("image_id", pa.string()), ("grade", pa.string())]
)
NULLABLE = ("frame", "track", "mask_value", "labelled")  # integers with missing values


@contextmanager
def rows_of(path: Path, schema: pa.Schema) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Open a new parquet file; each call of the function adds rows, in which missing keys are null.

    The file grows by one row group per call.
    """
    with pq.ParquetWriter(path, schema) as writer:

        def write(rows: list[dict[str, Any]]) -> None:
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))

        yield write


def read(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A table for pandas, with integer columns even if values are missing.

    Raises:
        DataError: the file is missing or damaged.
    """
    with reading(path):
        return typed(read_parquet(path, columns=columns))


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The same with integer columns even if values are missing."""
    return table.astype({name: "Int64" for name in NULLABLE if name in table.columns})
