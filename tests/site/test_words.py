"""What the site is made of, piece by piece: colours, headlines, sentences, plots, the server."""

import urllib.request
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
from typer.testing import CliRunner

from patchlens.cli import app
from patchlens.report.task_tables import Shown
from patchlens.settings.load import load
from patchlens.site import headlines, palette, plots
from patchlens.site.answers import answer
from patchlens.site.headlines import Headline
from patchlens.site.leads import Lead, Rival
from patchlens.site.serve import server


def luminance(colour: str) -> float:
    """Of WCAG 2, between 0 (black) and 1 (white)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", palette.COLOURS)
@pytest.mark.parametrize("ground", palette.GROUNDS.values())
def test_every_colour_stands_out_from_both_grounds(colour: str, ground: str) -> None:
    dark, light = sorted(map(luminance, (colour, ground)))

    assert (light + 0.05) / (dark + 0.05) >= 3


def test_grounds_are_those_of_the_pages(root: Path) -> None:
    css = (root / "src/patchlens/site/static/site.css").read_text(encoding="utf-8")

    for ground in palette.GROUNDS.values():
        assert f"--ground: {ground};" in css


def test_look_of_a_model_depends_on_its_place_alone_and_never_repeats() -> None:
    names = [f"model{i}" for i in range(56)]
    looks = palette.looks(names)

    assert palette.looks(names[:3]) == {name: looks[name] for name in names[:3]}
    assert len({(look.colour, look.shape) for look in looks.values()}) == 56


def headline(**columns: list[object]) -> Headline:
    rows = pd.DataFrame(
        {"model": ["a", "b", "c"], "variant": "raw", "role": "rival", "level": False} | columns
    )
    return Headline("later", "city", "head", Shown("score", "score (%)"), rows, "level")


def sentence(lead: Lead, floors: str = "") -> tuple[str, str]:
    said = answer(lead.headline, lead, lambda model: model in floors)
    return said.sentence, said.caveat


def test_sentences_claim_no_more_than_the_intervals() -> None:
    of = headline(score=[0.5, 0.4, 0.3])
    b, c = Rival("b", 0.1, 0.05, 0.15), Rival("c", 0.2, 0.1, 0.3)
    near = Rival("b", 0.1, -0.01, 0.2)

    assert sentence(Lead(of, "a", 0.5, (b, c), 20)) == (
        "a leads with 50.0 %, by 10.0 points [5.0, 15.0] over b.",
        "",
    )
    assert sentence(Lead(of, "a", 0.5, (near, c), 20)) == (
        "a is best with 50.0 %, not separable from b (10.0 points [-1.0, 20.0]); "
        "ahead of c by 20.0 points [10.0, 30.0].",
        "",
    )
    assert sentence(Lead(of, "a", 0.5, (near,), 20), floors="b")[1] == (
        "Not shown to beat the floor b."
    )
    assert sentence(Lead(of, "a", 0.5, (b,), 20), floors="a")[1] == (
        "a is a floor: here no trained model is shown to beat it."
    )
    assert sentence(Lead(of, "a", 0.5, (b,), 9))[1] == (
        "Undecided: 9 units are too few for a verdict."
    )


def test_best_of_fewer_is_better_metrics_is_the_smallest() -> None:
    rows = pd.DataFrame(
        {"model": ["a", "b"], "variant": "raw", "role": "rival", "idsw": [9.0, 4.0]}
        | {"level": [False, True]}
    )
    of = Headline(
        "tracking", "city", "link", Shown("idsw", "switches", False, False), rows, "level"
    )

    assert answer(of, None, lambda model: False).variant == "Best of all variants: b with raw, 4."


def test_headlines_of_a_later_task_are_what_its_table_compares() -> None:
    table = pd.DataFrame(
        {
            "dataset": "city",
            "model": ["a", "b"],
            "head": "h",
            "variant": "raw",
            "hits": [0.1, 0.2],
            "hits_level_with_best": [False, True],
            "misses": [5, 4],
        }
    )

    found = list(headlines.of("later", table))

    assert [(h.shown.key, h.shown.name, h.level) for h in found] == [
        ("hits", "hits (%)", "hits_level_with_best")
    ]
    assert headlines.first(found) == found


def test_every_plot_of_the_pipeline_that_has_axes_is_found(root: Path, monkeypatch) -> None:
    monkeypatch.chdir(root)
    settings = load(Path("params.yaml"))

    found = plots.read(settings.model_dump())

    assert {plot.stage for plot in found} >= {"segmentation", "sweep", "variance"}
    spectrum = next(plot for plot in found if plot.file == "variance_spectrum.csv")
    assert (spectrum.x, spectrum.y, spectrum.told_apart) == ("rank", "cumulative", "layer")


def test_server_answers_on_the_loopback_only(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("seen")
    with server(tmp_path, 0) as running:
        Thread(target=running.handle_request, daemon=True).start()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        host, port = running.server_address[:2]
        content = opener.open(f"http://{host}:{port}/index.html", timeout=10).read()

    assert (host, content) == ("127.0.0.1", b"seen")


def test_serving_nothing_or_on_a_taken_port_is_one_message(here: Path) -> None:
    nothing = CliRunner().invoke(app, ["serve"])
    site = here / "reports/site"
    site.mkdir(parents=True)
    (site / "index.html").write_text("seen")
    with server(site, 0) as running:
        taken = CliRunner().invoke(app, ["serve", "--port", str(running.server_address[1])])

    assert (nothing.exit_code, taken.exit_code) == (4, 2)
    assert "index.html: missing; run `patchlens report` first" in nothing.output
    assert "Address already in use; give another, or 0" in taken.output
