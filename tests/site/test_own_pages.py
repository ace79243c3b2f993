"""The pages of own pictures in a real browser: predictions, and features without labels."""

import numpy as np
import pytest
from playwright.sync_api import Page

import explored
from patchlens import paths
from patchlens.features.store import FeatureFile

MODELS = tuple(explored.MODELS)


def test_predictions_stand_beside_photo_and_labels_best_first(page: Page) -> None:
    explored.visit(page, "predictions")
    about = explored.part("city", "predictions")
    rows = page.locator(".predictions").all()
    assert len(rows) == len(about["images"]) > 1
    for row, image in zip(rows, about["images"], strict=True):
        said = [caption.inner_text() for caption in row.locator("figcaption").all()]
        of_models = [f"{m}: {100 * image['models'][m]['miou']:.1f} %" for m in MODELS]
        assert said == ["photo", "labels", *of_models]
    means = [np.mean([one["miou"] for one in i["models"].values()]) for i in about["images"]]
    assert means == sorted(means, reverse=True)
    broken = "() => [...document.images].filter(i => i.complete && !i.naturalWidth).length"
    assert page.evaluate(broken) == 0


def like(model: str, image: int, row: int, column: int) -> np.ndarray:
    """The cosine of a patch with all patches of its image, by numpy alone."""
    about = explored.part("city", "features")
    file = FeatureFile(paths.features(dataset="city", model=model) / "query.safetensors")
    features = file.images([one["id"] for one in about["images"]], file.header.layers[0])
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    return unit[image] @ unit[image, row, column]


def drawn(page: Page, model: str, image: int) -> np.ndarray:
    """The red channel of a canvas."""
    script = """([model, image]) => {
      const found = [...document.querySelectorAll("canvas")].find(
        (c) => c.dataset.model === model && c.dataset.image === String(image));
      const data = found.getContext("2d").getImageData(0, 0, found.width, found.height);
      return [found.height, found.width, [...data.data].filter((_, i) => i % 4 === 0)];
    }"""
    height, width, values = page.evaluate(script, [model, image])
    return np.array(values).reshape(height, width)


@pytest.mark.parametrize("model", MODELS)
def test_a_click_shows_the_patches_that_numpy_finds_alike(page: Page, model: str) -> None:
    explored.visit(page, "features-city")
    page.wait_for_function("document.querySelector('canvas').width < 100")
    canvas = page.locator(f"canvas[data-model={model}][data-image='0']")
    box = canvas.bounding_box()
    assert box is not None
    found = like(model, 0, 5, 3)
    height, width = found.shape
    canvas.click(position={"x": 3.5 / width * box["width"], "y": 5.5 / height * box["height"]})
    assert page.input_value("[name=view]") == "similarity"
    assert "The chosen patch is in" in page.inner_text("#said")
    shown = drawn(page, model, 0) / 255
    kept = np.ones_like(found, dtype=bool)
    kept[5, 3] = False  # the mark
    # Bytes on few axes: near, and in the same order where it matters.
    assert np.abs(shown - found.clip(0))[kept].mean() < 0.05


def test_the_keyboard_moves_the_chosen_patch_and_layers_and_colours_can_be_chosen(
    page: Page,
) -> None:
    explored.visit(page, "features-city")
    page.wait_for_function("document.querySelector('canvas').width < 100")
    before = drawn(page, "vit", 0)
    page.select_option("[name=view]", "image")
    assert (drawn(page, "vit", 0) != before).any()
    page.locator("canvas").first.focus()
    page.keyboard.press("ArrowDown")
    first = page.inner_text("#said")
    page.keyboard.press("ArrowRight")
    assert first != page.inner_text("#said") != ""
    assert "None of this ranks models for a labelled task" in page.inner_text("main")


@pytest.mark.parametrize("slug", ["predictions", "features-city"])
@pytest.mark.parametrize("width", [390, 1440])
def test_a_page_is_as_wide_as_the_screen(page: Page, slug: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    explored.visit(page, slug)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
