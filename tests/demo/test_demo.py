"""`patchlens demo`: a table, a page with pictures, and scores that fall with the signal."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from patchlens.cli.commands import app
from patchlens.demo import run


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """What a small demo prints, its page, and the folder in which it ran."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as changed:
        changed.chdir(folder)
        changed.setattr(run, "STILLS", 5)
        changed.setattr(run, "SHOTS", 4)
        changed.setattr(run, "NOISE", (0, 160))
        done = CliRunner().invoke(app, ["demo", "--degrade"])
    assert done.exit_code == 0, done.output
    return done.output, (folder / "patchlens-demo.html").read_text(encoding="utf-8"), folder


def rows(printed: str) -> dict[str, list[float]]:
    """Row of the printed table -> score, low and high of every column."""
    lines = [line for line in printed.splitlines() if line.count("|") == 4 and "[" in line]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {
        name: [float(n) for n in re.findall(r"[\d.]+", " ".join(rest))] for name, *rest in cells
    }


def test_trained_models_beat_the_floors(shown: tuple[str, str, Path]) -> None:
    scores = rows(shown[0])
    assert list(scores) == [*run.MODELS, run.CHANCE]
    clean = {name: values[0] for name, values in scores.items()}
    assert clean["supervised"] > clean["mae"] > clean["pixels"] > clean[run.CHANCE] > 0
    assert all(low <= score <= high for score, low, high, *_ in scores.values())


def test_the_score_falls_as_noise_destroys_the_signal(shown: tuple[str, str, Path]) -> None:
    scores = rows(shown[0])
    for name, least in (("supervised", 0.8), ("mae", 0.8), ("pixels", 1)):
        assert scores[name][3] < least * scores[name][0], name
    assert scores[run.CHANCE][3] == scores[run.CHANCE][0]  # it does not look at the images


def test_the_page_is_self_contained(shown: tuple[str, str, Path]) -> None:
    printed, page, folder = shown
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    pictures = [source for source in sources if source.startswith("data:image/")]
    assert len(pictures) == run.SHOWN * (2 + len(run.MODELS))
    assert all(source.startswith("data:") for source in sources)
    for name, values in rows(printed).items():
        assert f'<th scope="row">{name}</th><td>{values[0]:.1f} [' in page
    assert (folder / "patchlens-demo.html").as_uri() in printed
    assert [path.name for path in folder.iterdir()] == ["patchlens-demo.html"]


def test_the_models_are_small_enough_for_a_wheel() -> None:
    sizes = [path.stat().st_size for path in run.HERE.glob("*.safetensors")]
    assert len(sizes) == 2
    assert sum(sizes) <= 2_000_000


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "page")])
    assert done.exit_code != 0
    assert f"{tmp_path / 'page'}: is a folder" in done.output
    assert "Rendering" not in done.output
