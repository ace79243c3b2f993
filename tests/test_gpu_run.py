"""The call of scripts/gpu_run.sh: parts with limits, what a stopped one leaves, what is skipped."""

import sys
import tarfile
from pathlib import Path

import pytest

from gpu import run
from gpu.rows import Row, Rows, read

ENDS = "from gpu.rows import Rows; Rows(Path(sys.argv[1])).add('a', '1', '≤ 2', True)"
FAR = "Rows(Path(sys.argv[1])).add('b', '3', '≤ 2', False)"
CODE = {  # part -> what its process does
    "parity": ENDS,
    "bench": f"{ENDS}; time.sleep(60)",
    "train": f"{ENDS}; {FAR}",
}


@pytest.fixture
def here(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which each part is a small process."""
    monkeypatch.chdir(tmp_path)
    start = f"import sys, time; sys.path.insert(0, {str(root / 'scripts')!r})\n"
    start += "from pathlib import Path\n"

    def command(part: str, work: Path, more: list[str]) -> list[str]:
        code = "pass" if "render" in more else CODE[part]
        return [sys.executable, "-c", start + code, str(work / f"{part}.jsonl")]

    monkeypatch.setattr(run, "command_of", command)
    return tmp_path


def called(*arguments: str) -> tuple[int, str]:
    """The exit code and the report of a call."""
    code = run.main(["--tiny", "--out", "out", *arguments])
    return code, Path("out/report.md").read_text(encoding="utf-8")


def test_a_part_that_ended_is_in_the_report_and_is_not_run_again(here: Path) -> None:
    code, said = called("--parts", "parity")
    assert (code, "| parity | ended |" in said, "| a | 1 | ≤ 2 | yes |" in said) == (0, True, True)
    assert called("--parts", "parity")[1].count("| parity | had ended |") == 1
    assert "| parity | ended |" in called("--parts", "parity", "--again")[1]
    with tarfile.open("out/results.tar.gz") as tar:
        assert {"parity.jsonl", "parity.done"} <= set(tar.getnames())


def test_a_part_that_is_stopped_keeps_its_rows_and_runs_again(here: Path) -> None:
    code, said = called("--parts", "bench", "--seconds", "18")
    assert code == 1
    assert "| bench | stopped after " in said
    assert "| a | 1 | ≤ 2 | yes |" in said
    assert not (here / run.WORK / "tiny/bench.done").exists()


def test_a_row_out_of_its_bound_fails_the_call(here: Path) -> None:
    code, said = called("--parts", "train")
    assert (code, "| b | 3 | ≤ 2 | **no** |" in said) == (1, True)


def test_a_row_that_is_cut_short_is_left_out(tmp_path: Path) -> None:
    Rows(tmp_path / "rows").add("a", "1")
    with (tmp_path / "rows").open("a", encoding="utf-8") as stream:
        stream.write('{"what": "b", "mea')
    assert read(tmp_path / "rows") == [Row("a", "1")]
