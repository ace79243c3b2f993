"""The player and the sheets in a real browser; and that all pages of pictures fit and are clean."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

import explored
from markup import problems

PAGES = ["explorer", "videos", "retrieval-sheets", "identification-examples"]
PARTS = {"retrieval-sheets": "lists", "identification-examples": "copies"}
WIDTH = 390  # pixels of a phone


def test_the_player_plays_steps_and_marks_switches(page: Page) -> None:
    explored.visit(page, "videos")
    frame = page.locator("#shown-frame")
    page.wait_for_function("document.getElementById('shown-frame').textContent")
    content = explored.script("video", "tracks/0.js")
    column = next(c for c in content["columns"] if (c["model"], c["variant"]) == ("vit", "raw"))
    page.keyboard.press("ArrowRight")
    assert frame.inner_text() == "2 of 40"
    boxes = page.locator("[data-panel=left] .stage .track")
    assert boxes.count() == len(column["boxes"][1])
    first = next(t for t, boxes in enumerate(column["boxes"]) if any(box[5] for box in boxes))
    page.locator("#frame").fill(str(first))
    switched = page.locator("[data-panel=left] .track.switched")
    assert switched.count() == sum(box[5] for box in column["boxes"][first])
    page.keyboard.press("End")
    assert frame.inner_text() == "40 of 40"
    told = page.inner_text("[data-panel=left] .said")
    assert f"{column['switches']} identity switches so far" in told
    page.click("#play")
    page.wait_for_function("document.getElementById('shown-frame').textContent === '3 of 40'")
    page.click("#play")
    assert page.inner_text("#play") == "Play"


@pytest.mark.parametrize("name", PARTS)
def test_sheets_show_one_model_and_variant_and_mark_right_and_wrong(page: Page, name: str) -> None:
    explored.visit(page, name)
    sheets = page.locator(".sheet:visible")
    assert sheets.count() == 1
    assert sheets.get_attribute("aria-label") == "vit, raw"
    page.select_option("[data-choose=variant]", "prune")
    assert sheets.get_attribute("aria-label") == "vit, prune"
    part = explored.part("city", PARTS[name])
    [column] = [c for c in part["columns"] if (c["model"], c["variant"]) == ("vit", "prune")]
    answers = [one["found"] for one in column.get("answers", [])]
    answers += [one for query in column.get("queries", []) for one in query["found"]]
    right = sum(one["right"] for one in answers)
    assert sheets.locator(".right").count() == right
    assert sheets.locator(".wrong").count() == len(answers) - right
    assert f"{right} " in sheets.locator("h2").inner_text()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_axe_finds_nothing(page: Page, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    explored.visit(page, name)
    page.wait_for_timeout(300)
    of_colours = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}  # all that differs
    found = Axe().run(page, options={"preload": False} | of_colours).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    page.set_viewport_size({"width": WIDTH, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH


def test_html_validates(run: Path, tmp_path: Path) -> None:
    assert problems((run / "site" / f"{name}.html" for name in PAGES), tmp_path) == 0
