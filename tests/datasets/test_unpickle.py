"""A pickle is read as plain data: nothing that it asks for is executed."""

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patchlens.datasets.unpickle import read_plain_pickle
from patchlens.errors import DataError

PLAIN = {
    "imlist": ["a", "b"],
    "gnd": [{"bbx": [1.5, 2, 3, -4], "easy": [0, 1], "junk": [], "flag": True, "none": None}],
    "nested": [{"x": [[1], [2, 3]]}],
    "bytes": b"\x00\xff",
    "big": 2**70,
}


class Runs:
    """Pickled, it asks for a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gnd.pkl"


def refusal(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_plain_pickle(file)
    return str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(file: Path, protocol: int) -> None:
    content = {k: v for k, v in PLAIN.items() if protocol >= 3 or k != "bytes"}
    file.write_bytes(pickle.dumps(content, protocol))
    assert read_plain_pickle(file) == content


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("kind", ["<i8", ">i8", "<i4", "<f8", "<f4", "|u1", "|b1"])
def test_arrays_become_lists(file: Path, protocol: int, kind: str) -> None:
    array = np.array([1, 0, 1], dtype=kind)
    file.write_bytes(pickle.dumps({"easy": array, "one": array[0]}, protocol))
    content = read_plain_pickle(file)
    assert content == {"easy": [1, 0, 1], "one": 1}
    assert type(content["easy"]) is list
    assert type(content["one"]) in (int, float, bool)


def test_arrays_of_older_numpy(file: Path) -> None:
    content = pickle.dumps(np.arange(3), 2).replace(b"numpy._core", b"numpy.core")
    file.write_bytes(content)
    assert b"numpy.core.multiarray" in content
    assert read_plain_pickle(file) == [0, 1, 2]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_runs_nothing(file: Path, tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "pwned"
    file.write_bytes(pickle.dumps(Runs(os.system, f"touch {mark}"), protocol))
    pickle.loads(file.read_bytes())  # the attack works on Python's own reader
    assert mark.exists()
    mark.unlink()
    message = refusal(file)
    assert not mark.exists()
    assert message == (
        f"{file}: refers to '{os.system.__module__}.system', which is not plain data; nothing "
        "in it was executed"
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (Runs(eval, "1"), "builtins.eval"),
        (Runs(getattr, "", "join"), "builtins.getattr"),
        (Runs(np.load, "x"), "numpy.load"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        (Path("x"), "pathlib."),
        (np.array(["a", None]), "an array of type 'O8'"),
        (np.array(["a"]), "an array of type 'U1'"),
        ([{"deep": (Runs(exec, "1"),)}], "builtins.exec"),
    ],
)
def test_whatever_is_no_plain_data_is_named(file: Path, content: Any, name: str) -> None:
    file.write_bytes(pickle.dumps(content, 4))
    assert name in refusal(file)


def test_bytes_with_another_encoding_are_refused(file: Path) -> None:
    import codecs

    file.write_bytes(pickle.dumps(Runs(codecs.encode, "x", "zip"), 2))
    assert "the encoding 'zip'" in refusal(file)


def test_a_broken_file_is_an_error_at_every_length(file: Path) -> None:
    content = pickle.dumps({"a": [1, np.arange(3)], "b": "text"}, 4)
    for length in range(len(content)):
        file.write_bytes(content[:length])
        assert refusal(file).startswith(f"{file}: is not a readable pickle (")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", b"\x80\x63.", b"cos\n", b"P1\n.", b"\x80\x02]q\x00h\x00a."],
)
def test_what_is_no_pickle(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert refusal(file).startswith(f"{file}: is not a readable pickle (")
