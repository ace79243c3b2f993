"""Reads a pickle of plain data without executing code from it.

A pickle names functions to call; none of them is ever imported. Dicts, lists, tuples, sets, strings
and numbers need no function. For numpy arrays and numbers, which some writers put in such files,
placeholders in this module replace numpy's functions and build plain lists from the bytes; any
other name is refused.
"""

import pickle
import struct
from pathlib import Path
from typing import Any

from patchlens.errors import DataError

NUMBERS = {"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H"}
NUMBERS |= {"u4": "I", "u8": "Q", "f4": "f", "f8": "d"}


class Refused(Exception):
    """The pickle refers to something that is not plain data."""


class _Dtype:
    """Placeholder for numpy.dtype: the type of a number and its byte order."""

    def __init__(self, name: str, *_: object) -> None:
        if name not in NUMBERS:
            raise Refused(f"an array of type '{name}'")
        self.code, self.order = NUMBERS[name], "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def numbers(self, raw: bytes | str) -> list[Any]:
        """The numbers in the bytes; Python 2 wrote bytes as latin-1 text."""
        content = raw.encode("latin-1") if isinstance(raw, str) else raw
        size = struct.calcsize(self.order + self.code)
        return list(struct.unpack(f"{self.order}{len(content) // size}{self.code}", content))


class _Array:
    """Placeholder for numpy.ndarray: its numbers in one list, without its shape."""

    values: list[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, _, dtype, _, raw = state
        self.values = dtype.numbers(raw)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, raw: bytes | str) -> Any:
    return dtype.numbers(raw)[0]


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"the encoding '{encoding}'")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


STAND_INS = {
    "__builtin__.bytes": _no_bytes,  # protocol 2 writes the bytes of an empty array like this
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _encode,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    STAND_INS |= {f"{_module}._reconstruct": _reconstruct, f"{_module}.scalar": _scalar}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (stand_in := STAND_INS.get(f"{module}.{name}")) is None:
            raise Refused(f"'{module}.{name}'")
        return stand_in


def read_plain_pickle(path: Path) -> Any:
    """The content of a pickle: dicts, lists, strings, numbers; arrays become lists of numbers.

    Raises:
        DataError: the file is broken, or refers to anything else, which the message names.
    """
    try:
        with path.open("rb") as stream:
            return _unwrap(_Plain(stream, encoding="latin-1").load())
    except Refused as refused:
        raise DataError(
            f"{path}: refers to {refused}, which is not plain data; nothing in it was executed"
        ) from None
    except Exception as error:  # a broken pickle can raise any exception
        raise DataError(f"{path}: is not a readable pickle ({type(error).__name__})") from None


def _unwrap(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.values
    if isinstance(value, dict):
        return {key: _unwrap(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_unwrap(member) for member in value]
    return value
