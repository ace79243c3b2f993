"""What the site is made of, piece by piece: colours, headlines, sentences, plots, the server."""

import json
import re
import urllib.request
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from patchlens.cli import app
from patchlens.display import palette
from patchlens.display.grid import difference
from patchlens.report import headlines
from patchlens.report.headlines import Headline
from patchlens.settings.load import load
from patchlens.site import plots
from patchlens.site.answers import answer, beyond, tally
from patchlens.site.leads import lead
from patchlens.site.serve import PLACE, server
from patchlens.tasks.known import known
from patchlens.tasks.metric import Metric
from patchlens.tasks.table import TASKS
from ran import COUNTING, with_counting

GROUNDS = ("#ffffff", "#14171c")  # light and dark, as in site.css
ENDS = ("", "_ci_low", "_ci_high")


def luminance(colour: str) -> float:
    """Of WCAG 2, between 0 (black) and 1 (white)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", palette.MODEL_COLOURS)
@pytest.mark.parametrize("ground", GROUNDS)
def test_every_colour_stands_out_from_both_grounds(colour: str, ground: str) -> None:
    dark, light = sorted(map(luminance, (colour, ground)))

    assert (light + 0.05) / (dark + 0.05) >= 3


def test_grounds_are_those_of_the_pages(root: Path) -> None:
    css = (root / "src/patchlens/site/static/site.css").read_text(encoding="utf-8")

    for ground in GROUNDS:
        assert f"--ground: {ground};" in css


def test_look_of_a_model_depends_on_its_place_alone_and_never_repeats() -> None:
    names = [f"model{i}" for i in range(64)]
    looks = palette.looks(names)

    assert palette.looks(names[:3]) == {name: looks[name] for name in names[:3]}
    assert len({(look.colour, look.shape) for look in looks.values()}) == 64


def headline(**columns: list[object]) -> Headline:
    count = len(next(iter(columns.values())))
    rows = pd.DataFrame(
        {"model": list("abc")[:count], "variant": "raw", "role": "rival"}
        | {"score_level_with_best": False}
        | columns
    )
    return Headline(TASKS["segmentation"], "city", "knn", Metric("score", "score"), rows)


def sentence(*behind: tuple[float, float, float], units: int = 20, floor: str = "") -> list[str]:
    """What is said where a has 50 % and b, c are behind by so much, with these intervals."""
    found = {"score": [0.5, *(0.5 - d for d, _, _ in behind)]}
    ends = zip(*((np.nan,) * 3, *behind), strict=True)
    found |= {f"score_behind{end}": list(v) for end, v in zip(ENDS, ends, strict=True)}
    of = headline(**found, score_units=[units] * (1 + len(behind)))
    said = answer(of, lambda model: model == floor)
    return [said.sentence, said.caveat]


def test_sentences_claim_no_more_than_the_intervals() -> None:
    b, c, near = (0.1, 0.05, 0.15), (0.2, 0.1, 0.3), (0.1, -0.01, 0.2)

    assert sentence(b, c) == ["a leads with 50.0 %, by 10.0 points [5.0, 15.0] over b.", ""]
    assert sentence(near, c) == [
        "a is best with 50.0 %, not separable from b (10.0 points [-1.0, 20.0]); "
        "ahead of c by 20.0 points [10.0, 30.0].",
        "",
    ]
    assert sentence() == ["Only a was run: 50.0 %.", ""]
    assert sentence(near, floor="b")[1] == "Not shown to beat b (a floor)."
    assert sentence(b, floor="a")[1] == "a is a floor, and no trained model is shown to beat it."
    assert sentence(b, units=9)[1] == "Undecided: 9 units are too few for a verdict."


def test_first_page_counts_how_often_a_model_is_best_or_level(built: Path) -> None:
    text = " ".join((built / "index.html").read_text(encoding="utf-8").split())
    [told] = re.findall(r'<p class="answer tally">(.*?)</p>', text)

    words = " ".join(re.sub(r"<[^>]+>", "", told).split())
    assert words == "Best model, or not separable from it: dino in 1 of 1 metric, alone in 1."


def compared(behind: tuple[float, float, float], units: int = 20) -> Headline:
    """Model b is behind a by so much; a was pruned too, at random and for real."""
    found: dict[str, list[object]] = {
        "model": ["a", "b", "a", "a"],
        "variant": ["raw", "raw", "prune", "prune_random"],
        "score": [0.5, 0.4, 0.51, 0.5],
        "score_units": [units] * 4,
    }
    gains = ((np.nan,) * 3, (np.nan,) * 3, (0.01, 0.005, 0.015), (0.0, -0.001, 0.001))
    for i, end in enumerate(ENDS):
        found[f"score_behind{end}"] = [np.nan, behind[i], np.nan, np.nan]
        found[f"score_gain{end}"] = [gain[i] for gain in gains]
    return headline(**found)


def test_tally_counts_leaders_and_their_equals_and_leaves_out_few_units() -> None:
    clear, near = compared((0.1, 0.05, 0.15)), compared((0.1, -0.01, 0.2))

    found, told = tally([clear, near, near, compared((0.1, 0.05, 0.15), units=9)])

    assert told == 3
    assert [(one.model, one.best, one.alone) for one in found] == [("a", 3, 1), ("b", 2, 0)]


def test_what_can_be_said_is_what_beats_a_floor_and_stays_below_a_ceiling() -> None:
    clear, near = compared((0.1, 0.05, 0.15)), compared((0.1, -0.01, 0.2))
    top = {"model": "c", "variant": "raw", "role": "ceiling", "score": 0.9}
    clear = replace(clear, rows=pd.concat([clear.rows, pd.DataFrame([top])]))
    few = compared((0.1, -0.01, 0.2), units=9)

    said, unbeaten = beyond([clear, near, few], lambda model: model == "b")

    assert said == [
        "A trained model is shown to beat every floor in 1 of 2 metrics.",
        "A ceiling, which has seen the labels, is above the best in 1.",
    ]
    assert unbeaten == f"No trained model is shown to beat a floor in {near.task.words.title}, " + (
        f"{near.title} (b)."
    )
    assert beyond([clear], lambda model: model == "b")[1] == ""
    for floor in (lambda model: True, lambda model: False):
        assert beyond([clear, near], floor) == ([], "")


def test_why_says_what_is_over_the_floor_and_what_is_left_without_top_dimensions() -> None:
    pruned = (
        "Without its dimensions of highest variance: +1.0 points [0.5, 1.5]; without as many "
        "random dimensions: +0.0 points [-0.1, 0.1]."
    )
    over = "10.0 points [5.0, 15.0] above the nearest floor, b. "

    assert answer(compared((0.1, 0.05, 0.15)), lambda model: model == "b").why == over + pruned
    assert answer(compared((0.1, -0.01, 0.2)), lambda model: model == "b").why == pruned
    assert answer(compared((0.1, 0.05, 0.15)), lambda model: False).why == pruned


def test_why_says_by_how_much_a_score_changes_also_where_fewer_is_better() -> None:
    fewer = Metric("score", "switches", unit="count", higher_is_better=False)
    of = replace(compared((0.1, -0.01, 0.2)), metric=fewer)

    assert "highest variance: -0.01 [-0.015, -0.005];" in answer(of, lambda model: False).why


def test_no_end_of_an_interval_is_rounded_to_zero() -> None:
    assert difference(True, (0.003, -0.0004, 0.007)) == ("0.30 points [-0.04, 0.70]")


def test_where_the_table_compares_nothing_no_lead_is_claimed() -> None:
    assert lead(headline(score=[0.5, 0.4])) is None


def test_a_ceiling_does_not_lead() -> None:
    ends = {f"score_behind{end}": [np.nan, np.nan, 0.1] for end in ENDS}
    of = headline(score=[0.9, 0.5, 0.4], role=["ceiling", "rival", "rival"], **ends)
    found = lead(replace(of, rows=of.rows.assign(score_units=20)))

    assert found is not None
    assert (found.leader, found.score, [r.model for r in found.rivals]) == ("b", 0.5, ["c"])


def test_best_of_fewer_is_better_metrics_is_the_smallest() -> None:
    rows = pd.DataFrame(
        {"model": ["a", "b"], "variant": "raw", "role": "rival", "idsw": [9.0, 4.0]}
        | {"idsw_level_with_best": [False, True]}
    )
    switches = Metric("idsw", "switches", unit="count", higher_is_better=False)
    of = Headline(TASKS["tracking"], "city", "link", switches, rows)

    assert answer(of, lambda model: False).variant == "Best of all variants: b with raw, 4."


def test_headlines_of_a_later_task_are_the_metrics_that_it_names_of_those_in_its_table() -> None:
    table = pd.DataFrame(
        {
            "dataset": "city",
            "model": ["a", "b"],
            "head": "knn",
            "variant": "raw",
            "hits": [0.1, 0.2],
            "hits_level_with_best": [False, True],
            "misses": [5, 4],
        }
    )

    with with_counting():
        found = list(headlines.of(COUNTING, table))
        without = list(headlines.of(COUNTING, table.drop(columns="hits")))
        other = list(headlines.of(COUNTING, table.assign(head="other")))

    assert [(h.metric.key, h.metric.name, h.level) for h in found] == [
        ("hits", "hits (%)", "hits_level_with_best")
    ]
    assert (without, other) == ([], [])


def test_every_plot_of_the_pipeline_that_has_axes_is_found(root: Path, monkeypatch) -> None:
    monkeypatch.chdir(root)
    settings = load(Path("params.yaml"), known())

    found = plots.read(settings.model_dump())

    assert {plot.stage for plot in found} >= {"segmentation", "sweep", "variance"}
    spectrum = next(plot for plot in found if plot.file == "variance_spectrum.csv")
    assert (spectrum.x, spectrum.y, spectrum.group_by, spectrum.template) == (
        "rank",
        "cumulative",
        "layer",
        "spectrum",
    )


def test_server_answers_on_the_loopback_only(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("seen")
    with server(tmp_path, 0) as running:
        Thread(target=running.handle_request, daemon=True).start()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        host, port = running.server_address[:2]
        content = opener.open(f"http://{host}:{port}/index.html", timeout=10).read()

    assert (host, content) == ("127.0.0.1", b"seen")


def measured(cost: Path, dataset: str, model: str, content: object) -> None:
    path = cost / dataset / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_first_page_is_served_with_the_speed_of_the_moment(tmp_path: Path) -> None:
    page = f"<p>before</p>{PLACE}<p>after</p>"
    (tmp_path / "index.html").write_text(page)
    (tmp_path / "more.html").write_text(page)
    cost, speed = tmp_path / "cost", {"images_per_second": 12, "device": "a </script> CPU"}

    def got(path: str) -> str:
        Thread(target=running.handle_request, daemon=True).start()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        address = f"http://127.0.0.1:{running.server_address[1]}{path}"
        return opener.open(address, timeout=10).read().decode()

    def shown(path: str) -> dict:
        [text] = re.findall(r'<p>before</p>.* id="speeds">(.*)</script><p>after</p>', got(path))
        return json.loads(text)

    with server(tmp_path, 0, cost) as running:
        assert shown("/") == {}
        measured(cost, "city", "dino", speed)
        assert shown("/") == shown("/index.html?x=1") == {"city": {"dino": speed}}
        assert got("/").count("</script>") == 1
        assert got("/more.html") == page
        measured(cost, "city", "mae", speed | {"images_per_second": None})  # a resumed run
        measured(cost, "city", "random", "{")
        measured(cost, "city", "pixels", [])
        measured(cost, "city", "ibot", {"images_per_second": 3})
        measured(cost, "city", "simmim", speed | {"images_per_second": float("nan")})
        measured(cost, "road", "dino", speed | {"images_per_second": 7, "seconds": 1})
        faster = speed | {"images_per_second": 7}
        assert shown("/") == {"city": {"dino": speed}, "road": {"dino": faster}}


def test_serving_nothing_or_on_a_taken_port_is_one_message(here: Path) -> None:
    nothing = CliRunner().invoke(app, ["serve"])
    site = here / "reports/site"
    site.mkdir(parents=True)
    (site / "index.html").write_text("seen")
    with server(site, 0) as running:
        taken = CliRunner().invoke(app, ["serve", "--port", str(running.server_address[1])])

    assert (nothing.exit_code, taken.exit_code) == (4, 2)
    assert "index.html: missing; run `patchlens report` first" in nothing.output
    assert "Address already in use; choose another port, or 0" in taken.output
