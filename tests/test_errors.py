"""What the machine lacks is one line with path, reason and remedy, whichever library meets it."""

import errno
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from patchlens import files, stored
from patchlens.cli import application
from patchlens.errors import LACKS, MachineError, SourceError, of_machine
from patchlens.files import check_space, whole_file, whole_folder
from patchlens.pipeline import locks

NOISE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)


@contextmanager
def limited(what: int, size: int) -> Iterator[None]:
    """A real limit of the kernel on this process."""
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def written(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(bytes(8000))


WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": written,
    "text": lambda path: path.write_text("x" * 8000),
    "parquet": lambda path: pd.DataFrame({"a": np.random.rand(2000)}).to_parquet(path),
    "csv": lambda path: pd.DataFrame({"a": range(4000)}).to_csv(path),
    "safetensors": lambda path: save_file({"a": np.ones(2000)}, path),
    "numpy": lambda path: np.save(path.open("wb"), np.ones(2000)),
    "png": lambda path: Image.fromarray(NOISE).save(path, format="PNG"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_that_fails_names_the_file_and_leaves_nothing(
    tmp_path: Path, writer: str
) -> None:
    """The limit on the size of files stands for a full disk: the kernel refuses both alike."""
    target = tmp_path / "out" / "a"
    small = limited(resource.RLIMIT_FSIZE, 4096)
    with pytest.raises(MachineError) as caught, small, whole_file(target) as partial:
        WRITERS[writer](partial)
    reason, remedy = LACKS[errno.ENOSPC if writer == "numpy" else errno.EFBIG]
    assert str(caught.value) == f"{target}: {reason}; {remedy}"
    assert list((tmp_path / "out").iterdir()) == []
    small = limited(resource.RLIMIT_FSIZE, 4096)
    with pytest.raises(MachineError, match=f"^{target}"), small, whole_folder(target) as folder:
        WRITERS[writer](folder / "b")
    assert list((tmp_path / "out").iterdir()) == []


def opened(folder: Path) -> None:
    """Open files in a frame that, like a pool of processes, holds them after it failed."""
    held = []
    (folder / "c").mkdir()
    for number in range(10_000):
        held.append((folder / "c" / str(number)).open("wb"))


def test_a_folder_goes_though_too_many_files_are_open(tmp_path: Path) -> None:
    few = limited(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 8)
    with (
        pytest.raises(MachineError, match="too many files are open"),
        few,
        whole_folder(tmp_path / "a/b") as folder,
    ):
        opened(folder)
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize("number", LACKS, ids=errno.errorcode.get)
def test_each_lack_is_said_with_what_to_do(tmp_path: Path, number: int) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / ".a.partial/.b.partial"))
    found = of_machine(error, "elsewhere")
    reason, remedy = LACKS[number]
    assert str(found) == f"{tmp_path}/a/b: {reason}; {remedy}"


def torch_like() -> Exception:
    """As torch.OutOfMemoryError, without importing torch."""
    kind = type("OutOfMemoryError", (RuntimeError,), {})
    return kind("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")


SPOKEN: dict[str, tuple[BaseException, str]] = {
    "rust": (type("SafetensorError", (Exception,), {})("I/O error: (os error 28)"), "disk is full"),
    "arrow": (OSError("Error writing bytes to file. Detail: [errno 28] No sp"), "the disk is full"),
    "panic": (
        type("PanicException", (BaseException,), {})("an `Err`: Os { code: 24, kind: U"),
        "too many files",
    ),
    "memory": (MemoryError("Unable to allocate 9 GiB"), "out of memory .*9 GiB.*batch_size"),
    "cpu": (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough"), "out of memory"),
    "gpu": (torch_like(), "the GPU is out of memory .*2.00 GiB.*device: cpu"),
    "cuda": (RuntimeError("CUDA error: out of memory"), "the GPU is out of memory"),
    "worker": (BrokenProcessPool("a process was terminated"), "one of its processes was killed"),
    "thread": (RuntimeError("can't start new thread"), "no more processes can start"),
    "other": (OSError(errno.EXDEV, "Invalid cross-device link"), "invalid cross-device link; mend"),
}


@pytest.mark.parametrize("kind", SPOKEN)
def test_libraries_that_say_it_in_their_own_way_are_understood(kind: str) -> None:
    error, said = SPOKEN[kind]
    line = str(of_machine(error, "patchlens extract"))
    assert line.startswith("patchlens extract: ")
    assert "\n" not in line
    assert ";" in line
    assert pd.Series([line]).str.contains(said)[0]


def followed(first: Exception, then: Exception, *, hidden: bool = False) -> Exception:
    then.__context__, then.__suppress_context__ = first, hidden
    return then


def test_what_a_cleanup_meets_hides_no_lack_of_the_machine() -> None:
    """As a pool of processes: `cannot join thread before it is started`."""
    join = RuntimeError("cannot join thread before it is started")
    found = of_machine(followed(followed(MemoryError(), KeyError("b")), join), "patchlens render")
    assert str(found).startswith("patchlens render: out of memory (MemoryError)")
    assert of_machine(followed(MemoryError(), ValueError("ours"), hidden=True), "p") is None
    assert of_machine(SourceError("a.pth: not readable ([Errno 22] invalid)"), "p") is None
    assert of_machine(followed(FileNotFoundError(2, "none"), KeyError("ours")), "p") is None


@pytest.mark.parametrize("error", [ValueError("a"), KeyError("b"), RuntimeError("c"), OSError("d")])
def test_mistakes_of_ours_are_none_of_the_machine(error: Exception, tmp_path: Path) -> None:
    assert of_machine(error, "patchlens") is None
    with pytest.raises(type(error)), whole_file(tmp_path / "a"):
        raise error


def test_a_full_disk_is_seen_where_the_library_does_not_say_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Pillow: `encoder error -2 when writing image file`."""
    usage = files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(MachineError, match="/a: the disk is full"), whole_file(tmp_path / "a"):
        raise OSError("encoder error -2 when writing image file")


def test_a_table_is_written_without_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python waits for ever for one that ends as it starts, without memory."""
    table = pd.DataFrame({"a": np.arange(1000), "b": ["x", "y"] * 500})
    before = pa.cpu_count()
    pa.set_cpu_count(4)
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread"))
    files.write_parquet(table, tmp_path / "t")
    pa.set_cpu_count(before)
    found = stored.read_parquet(tmp_path / "t", b=["x"])
    pd.testing.assert_frame_equal(found, table[table["b"] == "x"].reset_index(drop=True))
    with pq.ParquetWriter(tmp_path / "none", pa.schema([("b", pa.string())])):
        pass  # no rows at all, as of an index without objects
    assert stored.read_parquet(tmp_path / "none", b=["x"]).empty


def test_a_table_without_memory_for_threads_does_not_hang(tmp_path: Path) -> None:
    files.write_parquet(pd.DataFrame({"a": range(1000)}), tmp_path / "t")
    pid = os.fork()
    if not pid:  # Arrow has no threads after a fork
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20),) * 2)
        with suppress(Exception):
            stored.read_parquet(tmp_path / "t", columns=["a"])
        os._exit(0)
    deadline = time.monotonic() + 5
    while not (ended := os.waitpid(pid, os.WNOHANG)[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert ended


def test_memory_that_is_really_used_up() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with limited(resource.RLIMIT_AS, used + (100 << 20)), pytest.raises(MemoryError) as caught:
        np.ones(1 << 30)
    assert "out of memory (" in str(of_machine(caught.value, "patchlens"))


@pytest.fixture
def ask(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    """Run a command that fails in this way."""

    def run(error: BaseException) -> Result:
        def fails() -> None:
            raise error

        app = application.typer.Typer()
        app.command("fails")(application.guarded(fails))
        return CliRunner().invoke(app, [])

    return run


def test_a_command_ends_in_one_line(ask: Callable[[BaseException], Result]) -> None:
    for error, _ in SPOKEN.values():
        done = ask(error)
        assert (done.exit_code, done.stdout) == (5, "")
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
    assert isinstance(ask(ValueError("ours")).exception, ValueError)


def test_a_stage_says_how_metrics_come_back(
    ask: Callable[[BaseException], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "tables")
    monkeypatch.setattr(application, "end_with_dvc", lambda: None)
    done = ask(OSError(errno.ENOSPC, "No space left on device", "metrics/x"))
    first, second = done.stderr.splitlines()
    assert first == f"Error: metrics/x: the disk is full; {LACKS[errno.ENOSPC][1]}"
    assert "run `git checkout metrics`" in second


def test_space_is_looked_at_before_a_stage_begins(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = files.shutil.disk_usage(here)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    stage = application.alone(lambda: pytest.fail("it began"), "tables")
    with pytest.raises(MachineError, match=r"space for any results: about 32\.0MB are n"):
        stage()
    assert list(locks.LOCKS.iterdir()) == []


def test_space_is_summed_per_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=100))
    check_space("x", [(tmp_path / "new/a", 50), (tmp_path, 50)])
    with pytest.raises(MachineError, match="for x: about 101B are needed, 100B are free"):
        check_space("x", [(tmp_path / "new/a", 50), (tmp_path, 51)])
