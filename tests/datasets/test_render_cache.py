"""The cache of renderings: it saves time, and never changes or prevents a rendering."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from patchlens.datasets import render
from patchlens.settings.datasets import Minicity, View

VIEW = View(mode="whole", grid="equal", patches=[8, 16])
Draw = Callable[..., dict[str, bytes]]


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Renders stills with a renderer that counts its runs in what it draws; the files by name."""
    monkeypatch.setenv("PATCHLENS_CACHE", str(tmp_path / "cache"))
    runs: list[object] = []

    def drawn(folder: Path, scenes: object, **_: object) -> None:
        assert not list(folder.iterdir())
        runs.append(scenes)
        (folder / "images" / "empty").mkdir(parents=True)
        (folder / "images" / "a.png").write_bytes(b"run %d" % len(runs) * 99)

    monkeypatch.setattr(render, "render_dataset", drawn)

    def call(stills: int = 1) -> dict[str, bytes]:
        out = tmp_path / "raw"
        settings = Minicity(
            kind="minicity", stills=stills, videos=0, view=VIEW, support=None, query=None
        )
        assert render.render(out, settings) == 2 * stills
        found = out.rglob("*")
        return {
            p.relative_to(out).as_posix(): p.read_bytes() if p.is_file() else b"" for p in found
        }

    return call


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], list[Path]]:
    return lambda: sorted((tmp_path / "cache/render").glob("*"))


def test_the_second_rendering_is_the_first_one(draw: Draw, kept: Callable[[], list[Path]]) -> None:
    first = draw()
    assert first.keys() == {"images", "images/empty", "images/a.png"}
    assert draw() == first
    assert [path.suffix for path in kept()] == [".zip"]


def test_other_stills_or_another_renderer_are_rendered(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = draw()
    assert draw(2) != first
    (tmp_path / "world.py").write_text("")
    monkeypatch.setattr(render.minicity, "__path__", [str(tmp_path)])
    assert draw() != first


@pytest.mark.parametrize("fault", ["empty", "cut", "changed", "no archive", "a folder"])
def test_a_damaged_rendering_is_made_again(
    fault: str, draw: Draw, kept: Callable[[], list[Path]], caplog: pytest.LogCaptureFixture
) -> None:
    first, (path,) = draw(), kept()
    content = path.read_bytes()
    damaged = {"empty": b"", "cut": content[:-30], "no archive": b"text",
               "changed": content.replace(b"run 1", b"run 2", 1)}  # fmt: skip
    path.unlink()
    path.mkdir() if fault == "a folder" else path.write_bytes(damaged[fault])
    with caplog.at_level(logging.WARNING, "patchlens"):
        again = draw()
    assert again != first
    assert set(again) == set(first)
    assert str(path) in caplog.text
    if fault != "a folder":
        assert draw() == again  # it was mended


def test_a_cache_that_cannot_be_written_costs_a_warning(
    draw: Draw, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file")
    with caplog.at_level(logging.WARNING, "patchlens"):
        first = draw()
    assert first
    assert "PATCHLENS_CACHE=off" in caplog.text
    assert draw() != first


def test_it_can_be_switched_off(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATCHLENS_CACHE", "off")
    assert draw() != draw()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_old_renderings_leave_it(
    draw: Draw, kept: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "KEPT", 2)
    for stills in (1, 2, 3):
        last = draw(stills)
    assert len(kept()) == 2
    assert draw(3) == last
