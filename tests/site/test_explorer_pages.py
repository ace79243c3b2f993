"""The patch explorer in a real browser."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

import explored
from patchlens import paths
from patchlens.features.store import FeatureFile
from patchlens.files import write_json

ROWS, COLUMNS = 8, 16


def click_patch(page: Page, panel: str, row: int, column: int) -> None:
    stage = page.locator(f"[data-panel={panel}] .stage")
    page.locator(f"[data-panel={panel}] .crops li").first.wait_for()
    box = stage.bounding_box()
    assert box is not None
    x, y = (column + 0.5) / COLUMNS * box["width"], (row + 0.5) / ROWS * box["height"]
    stage.click(position={"x": x, "y": y})


def shown(page: Page, panel: str) -> list[tuple[int, int, float, str]]:
    """Bank image, patch and similarity of the neighbours that a panel shows, and the verdict."""
    items: list[Locator] = page.locator(f"[data-panel={panel}] .crops li").all()
    found = []
    for item in items:
        data = item.evaluate("node => ({...node.dataset, kind: node.className})")
        patch = int(data["row"]) * COLUMNS + int(data["column"])
        found.append((int(data["image"]), patch, float(data["similarity"]), data["kind"]))
    return found


def by_numpy(model: str, pruned: bool, row: int, column: int) -> list[tuple[int, int, float]]:
    """The five nearest bank patches of a patch of the first image, by numpy alone."""
    about, folder = explored.part("city", "patches"), paths.features(dataset="city", model=model)
    support, query = (FeatureFile(folder / f"{s}.safetensors") for s in ("support", "query"))
    layer = query.header.layers[0]
    bank = support.images([image["id"] for image in about["bank"]], layer)
    bank = bank.reshape(-1, bank.shape[-1])
    asked = query.images([about["images"][0]["id"]], layer)[0, row, column]
    if pruned:
        kept = np.argsort(-bank.var(axis=0))[round(0.25 * bank.shape[1]) :]
        bank, asked = bank[:, kept], asked[kept]
    cosine = bank @ asked / np.linalg.norm(bank, axis=1) / np.linalg.norm(asked)
    order = np.argsort(-cosine)[:5]
    return [(*divmod(int(place), ROWS * COLUMNS), float(cosine[place])) for place in order]


@pytest.mark.parametrize(("row", "column"), [(6, 3), (0, 15)])
def test_a_click_shows_the_neighbours_that_numpy_finds(page: Page, row: int, column: int) -> None:
    explored.visit(page, "explorer")
    click_patch(page, "left", row, column)
    assert f"Row {row + 1}, column {column + 1}:" in page.inner_text("[data-panel=left] .said")
    # The first trained model, raw beside pruned; one click moves both.
    for panel, pruned in (("left", False), ("right", True)):
        found, expected = shown(page, panel), by_numpy("vit", pruned, row, column)
        assert [one[:2] for one in found] == [one[:2] for one in expected]
        similarity = [one[2] for one in found]
        np.testing.assert_allclose(similarity, [one[2] for one in expected], atol=6e-5)


def test_right_and_wrong_are_said_in_words_signs_and_lines(page: Page) -> None:
    explored.visit(page, "explorer")
    seen = set()
    for column in range(0, COLUMNS, 3):
        click_patch(page, "left", 4, column)
        truth = page.inner_text("[data-panel=left] .said").split(": ")[1].split(".")[0]
        for item in page.locator("[data-panel=left] .crops li").all():
            kind, text = item.get_attribute("class"), item.inner_text()
            label = item.locator("svg").get_attribute("aria-label")
            assert label is not None
            assert (text.split()[1] == truth) == (kind == "right")
            assert text.startswith("✓" if kind == "right" else "✗")
            assert f", {kind}, similarity" in label
            border = "el => getComputedStyle(el).borderTopStyle"
            style = item.locator("svg").evaluate(border)
            assert style == ("solid" if kind == "right" else "dashed")
            seen.add(kind)
    assert seen == {"right", "wrong"}


def test_the_keyboard_moves_the_patch_and_escape_lets_it_go(page: Page) -> None:
    explored.visit(page, "explorer")
    click_patch(page, "left", 2, 2)
    said = page.locator("[data-panel=left] .said")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert said.inner_text().startswith("Row 5, column 4:")
    assert [one[:2] for one in shown(page, "left")] == [
        one[:2] for one in by_numpy("vit", False, 4, 3)
    ]
    stage = page.locator("[data-panel=left] .stage")
    stage.hover(position={"x": 3, "y": 3})
    assert said.inner_text().startswith("Row 5, column 4:")
    page.keyboard.press("Escape")
    stage.hover(position={"x": 5, "y": 5})
    assert said.inner_text().startswith("Row 1, column 1:")


def test_the_address_holds_the_view(page: Page) -> None:
    explored.visit(page, "explorer")
    page.select_option("[data-panel=right] [data-choose=model]", "pixels")
    page.locator("[name=image][value='1']").check(force=True)
    page.select_option("#layer", "mask")
    page.locator("#opacity").fill("80")
    page.locator("#opacity").dispatch_event("change")
    click_patch(page, "left", 6, 3)
    panels = ("left", "right")
    before = [(page.inner_text(f"[data-panel={p}] .said"), shown(page, p)) for p in panels]
    address = page.url

    page.goto("about:blank")
    page.goto(address)
    page.locator("[data-panel=right] .crops li").first.wait_for()

    assert [(page.inner_text(f"[data-panel={p}] .said"), shown(page, p)) for p in panels] == before
    assert page.input_value("[data-panel=right] [data-choose=model]") == "pixels"
    assert page.locator("[name=image][value='1']").is_checked()
    assert (page.input_value("#layer"), page.input_value("#opacity")) == ("mask", "80")


def test_an_address_of_what_is_not_there_shows_the_first_view(page: Page) -> None:
    page.goto(
        Path("site/explorer.html").resolve().as_uri() + "#image=no&left=gone/raw&at=9,x&over=?"
    )
    page.locator("[data-panel=left] .crops li").first.wait_for()

    assert page.inner_text("[data-panel=left] .said").startswith("Row 5, column 9:")
    assert page.input_value("[data-panel=left] [data-choose=model]") == "vit"
    assert page.input_value("#layer") == "predicted"


def test_other_models_images_and_opacities_can_be_chosen(page: Page) -> None:
    explored.visit(page, "explorer")
    click_patch(page, "left", 6, 3)
    page.select_option("[data-panel=right] [data-choose=model]", "pixels")
    page.select_option("[data-panel=right] [data-choose=variant]", "raw")
    expected = by_numpy("pixels", False, 6, 3)
    np.testing.assert_allclose(
        [one[2] for one in shown(page, "right")], [e[2] for e in expected], atol=6e-5
    )
    overlay = page.locator("[data-panel=left] .overlay")
    predicted = overlay.get_attribute("href")
    assert overlay.get_attribute("opacity") == "0.5"
    page.locator("#opacity").fill("80")
    assert overlay.get_attribute("opacity") == "0.8"
    page.select_option("#layer", "mask")
    assert overlay.get_attribute("href") != predicted
    before = shown(page, "left")
    page.locator("[name=image][value='1']").check(force=True)
    page.wait_for_function("document.querySelector('[name=image][value=\"1\"]').checked")
    page.wait_for_timeout(300)
    assert shown(page, "left") != before


def test_names_of_classes_and_images_are_text_whatever_they_hold(
    page: Page, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run / paths.EXPLORER, tmp_path / paths.EXPLORER)
    monkeypatch.chdir(tmp_path)
    odd = "</script><script>console.error('run')</script>"
    content = explored.part("city", "patches")
    content["classes"] = [odd for _ in content["classes"]]
    for image in content["bank"] + content["images"]:
        image["id"] = odd
    write_json(content, paths.EXPLORER / "city/patches.json")
    explored.pages(tmp_path / "site")
    explored.visit(page, "explorer")
    click_patch(page, "left", 6, 3)
    assert page.locator(".legend li").first.inner_text() == odd
    assert odd in page.inner_text("[data-panel=left] .said")
    assert page.get_attribute(".thumbnails img >> nth=0", "alt") == odd
