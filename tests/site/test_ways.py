"""Each way into `patchlens try`, from a folder to its page in a browser, in one process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from browsing import listening
from check_small import stages
from patchlens.own import answer, attempt

SIZE = 48, 36  # width and height in pixels
CLASSES = ["sky", "road", "car"]
OWN = """import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Conv2d(3, 16, 16, stride=16)
"""


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph [H, W, 3] and its classes [H, W]: a car on a road, at a place of its own."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIZE[::-1], np.uint8)
    horizon = 10 + 5 * (seed % 3)
    mask[horizon:] = 1
    x = 4 + 5 * (seed % 6)
    mask[horizon + 4 : horizon + 14, x : x + 14] = 2
    colours = np.array([[90, 140, 230], [110, 110, 110], [220, 40, 40]])
    noise = rng.integers(-20, 20, (*mask.shape, 3))
    return (colours[mask] + noise).clip(0, 255).astype(np.uint8), mask


def photos(folder: Path, count: int = 7) -> Path:
    (folder / "photos").mkdir(parents=True)
    for n in range(count):
        Image.fromarray(scene(n)[0]).save(folder / f"photos/p{n}.png")
    return folder / "photos"


def masks(folder: Path) -> tuple[Path, Path]:
    given = photos(folder)
    (folder / "masks").mkdir()
    for n in range(5):
        Image.fromarray(scene(n)[1]).save(folder / f"masks/p{n}.png")
    (folder / "masks/classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    return given, folder / "masks"


def boxes(folder: Path) -> tuple[Path, Path]:
    given = photos(folder)
    listed = [{"id": n, "file_name": f"p{n}.png", "width": SIZE[0], "height": SIZE[1]}
              for n in range(5)]  # fmt: skip
    boxed = [
        {"id": 2 * n + k, "image_id": n, "category_id": k, "bbox": box}
        for n in range(5)
        for k, box in enumerate([[4 + 5 * n, 14 + 5 * (n % 3), 14, 10], [1, 1, 12, 8]])
    ]
    content = {"images": listed, "annotations": boxed}
    content["categories"] = [{"id": 0, "name": "car"}, {"id": 1, "name": "cloud"}]
    (folder / "coco.json").write_text(json.dumps(content), encoding="utf-8")
    return given, folder / "coco.json"


def video(folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    with av.open(str(folder / "walk.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for n in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(n)[0], format="rgb24")))
        container.mux(stream.encode())
    Image.fromarray((scene(0)[1] == 2).astype(np.uint8)).save(folder / "first.png")
    return folder / "walk.mp4", folder / "first.png"


@dataclass(frozen=True)
class Way:
    """What is given, what the answer says, and what the page of the pictures has."""

    make: Callable[[Path], tuple[Path, Path | None]]
    said: str
    page: str
    shown: str


WAYS = {
    "masks": Way(masks, "images that the choice had not seen", "predictions", ".predictions img"),
    "boxes": Way(boxes, "Find the same object", "retrieval-sheets", ".crop image"),
    "no labels": Way(
        lambda folder: (photos(folder, 3), None),
        "Without labels nothing here",
        "features",
        "canvas",
    ),
    "video": Way(video, "carried the objects", "videos", ".stage image.carried"),
}


@dataclass(frozen=True)
class Tried:
    """A way that was gone."""

    way: Way
    folder: Path
    said: str


FAST = "masks"  # of the others, tests/own and tests/site have what each adds


@pytest.fixture(
    scope="module",
    params=[pytest.param(w, marks=() if w == FAST else pytest.mark.slow) for w in WAYS],
)
def tried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, root: Path
) -> Iterator[Tried]:
    folder, way = tmp_path_factory.mktemp("try"), WAYS[request.param]
    given, labels = way.make(folder / "in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempt, "PATCHES", 48)
        patch.setattr(attempt.create, "_write_graph", lambda _: None)  # which draws templates
        own = folder / f"own{len(way.page)}.py"  # one process imports a name once
        own.write_text(OWN, encoding="utf-8")
        model = f"{own}:build"  # beside the floor
        asked = attempt.Asked(str(given), labels and str(labels), model, 16)
        attempt.begin(folder / "out", asked, subdir=False, approve=lambda _: True)
        (folder / "out/dvc.yaml").write_bytes((root / "dvc.yaml").read_bytes())
        patch.chdir(folder / "out")
        stages(str(root / "src"), None, set)
        yield Tried(way, folder / "out", answer.text())


@pytest.fixture
def page(blank: Page) -> Iterator[Page]:
    """A page that fails the test on any message or error."""
    wrong = list[str]()
    with listening(
        blank,
        console=lambda message: wrong.append(message.text),
        pageerror=lambda error: wrong.append(str(error)),
        requestfailed=lambda request: wrong.append(request.url),
    ):
        yield blank
    assert wrong == []


def test_it_ends_with_an_answer_and_a_page(tried: Tried, page: Page) -> None:
    assert tried.way.said in tried.said
    place = Path(tried.said.splitlines()[-1].removeprefix("Look: "))
    page.goto(place.as_uri())
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_its_pictures_are_there(tried: Tried, page: Page) -> None:
    page.goto((tried.folder / f"reports/site/{tried.way.page}.html").as_uri())
    assert page.locator(tried.way.shown).count() > 1
    assert "not for publication" in page.locator("main").inner_text()
    # A picture that is broken cannot be decoded, and fails this.
    page.evaluate(
        "Promise.all([...document.images].map((i) => { i.loading = 'eager'; return i.decode(); }))"
    )


def test_what_is_alike_is_one_click_away(tried: Tried, page: Page) -> None:
    site = tried.folder / "reports/site"
    places = list(site.glob("features*.html"))
    assert places
    for place in places:
        page.goto(place.as_uri())
        page.wait_for_function("document.querySelector('canvas').width < 100")  # 300 until drawn
        page.locator("canvas").first.click()
        assert page.input_value("[name=view]") == "similarity"
        assert "The chosen patch is in" in page.inner_text("#said")
    assert (site / "explorer.html").is_file() == (site / "variance.html").is_file()
    if (site / "explorer.html").is_file():
        page.goto((site / "explorer.html").as_uri())
        page.locator("[data-panel=left] .stage").click()
        assert page.locator("[data-panel=left] .crops li").count() > 1
        page.goto((site / "variance.html").as_uri())
        maps = page.locator("main img")
        assert maps.count() > 1
        maps.first.scroll_into_view_if_needed()
        maps.first.evaluate("(image) => image.decode()")
