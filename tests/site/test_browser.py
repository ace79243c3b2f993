"""The report site in Debian's Chromium, from disk."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, ViewportSize

from browsing import listening
from patchlens import paths
from patchlens.site.serve import server
from ran import CLASSES, PAGES, TAG, pages

WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 800}
QUICK = {"preload": False}  # axe would fetch the style sheets, which a page from disk must not
COLOURS = {"runOnly": ["color-contrast"]}  # all that differs in the dark
ALL_DRAWN = "[...document.querySelectorAll('.plot[data-spec]')].every((plot) => plot.dataset.drawn)"
Open = Callable[..., Page]
Speeds = dict[tuple[str, str], float]  # dataset and model -> images per second


@pytest.fixture
def opened(blank: Page, built: Path) -> Iterator[Open]:
    """Opens a page of the site and draws all of its figures; any complaint fails the test."""
    complaints: list[str] = []
    of_site = [built]

    def ask(request: Request) -> None:
        if not request.url.startswith((of_site[-1].as_uri(), "data:")):
            complaints.append(f"asks for {request.url}")

    def open_page(
        name: str, folder: Path = built, viewport: ViewportSize = WIDE, color_scheme: str = "light"
    ) -> Page:
        of_site.append(folder)
        blank.set_viewport_size(viewport)
        blank.emulate_media(color_scheme=color_scheme)  # type: ignore[arg-type]
        blank.goto((folder / f"{name}.html").as_uri())
        blank.wait_for_function(ALL_DRAWN)
        return blank

    with listening(
        blank,
        console=lambda m: complaints.append(f"{m.type} {m.text}"),
        pageerror=lambda error: complaints.append(str(error)),
        request=ask,
    ):
        yield open_page
    assert complaints == []


def column(page: Page, table: str, number: int) -> list[str]:
    """The texts of a column of the rows that are shown."""
    return [
        row.locator("th, td").nth(number).inner_text().strip()
        for row in page.locator(f"#{table} tbody tr:visible").all()
    ]


def test_these_are_all_pages(built: Path) -> None:
    assert len(pages(built)) == len(PAGES)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_page_opens_quietly_and_does_not_overflow(opened: Open, name: str, look: str) -> None:
    dark = "dark" if look == "dark" else "light"
    page = opened(name, viewport=PHONE if look == "phone" else WIDE, color_scheme=dark)

    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.dataset.theme") == dark
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (dark == "light")


@pytest.mark.parametrize(
    ("name", "colours"),
    [*((name, "light") for name in PAGES), ("index", "dark"), ("variance", "dark")],
)
def test_axe_finds_no_serious_violation(opened: Open, name: str, colours: str) -> None:
    options = QUICK if colours == "light" else QUICK | COLOURS
    found = Axe().run(opened(name, color_scheme=colours), options=options).response["violations"]

    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in serious] == []


def test_button_changes_colours_and_the_next_page_keeps_them(opened: Open) -> None:
    page = opened("index", color_scheme="light")
    page.get_by_role("button", name="Dark mode").press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.plot svg text')).fill === 'rgb(165, 173, 184)'"
    )

    page.locator("nav a", has_text="Variance").click()
    page.wait_for_url("**/variance.html")

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_table_sorts_by_keyboard_and_says_how(opened: Open) -> None:
    page = opened("segmentation")
    table = "segmentation-minicity-knn"
    button = page.locator(f"#{table} thead th").nth(2).get_by_role("button")

    button.press("Enter")
    rising = [float(text.split()[0]) for text in column(page, table, 2)]
    said = page.locator(f"#{table} thead th").nth(2).get_attribute("aria-sort")
    button.press(" ")
    falling = [float(text.split()[0]) for text in column(page, table, 2)]

    assert rising == [30.0, 31.0, 35.0, 36.0, 60.0, 65.0]
    assert said == "ascending"
    assert falling == rising[::-1]
    assert page.locator(f"#{table} thead th").nth(2).get_attribute("aria-sort") == "descending"


def test_table_filters_and_says_how_many_rows_are_left(opened: Open) -> None:
    page = opened("segmentation")
    box = page.locator("[data-filter]").first

    box.get_by_role("searchbox").fill("DINO prune")

    assert column(page, "segmentation-minicity-knn", 2) == ["65.0 [63.0, 67.0]"]
    assert box.get_by_role("status").inner_text() == "1 of 6 rows"


def test_selector_changes_what_a_figure_shows(opened: Open) -> None:
    page = opened("segmentation")
    figure = page.locator("#segmentation-segmentation_k")
    line = "path[aria-roledescription='line mark'], .mark-line path"
    before = figure.locator(line).first.get_attribute("d")

    figure.get_by_role("combobox", name="Variant").select_option("prune")

    page.wait_for_function(
        "([line, old]) => line.getAttribute('d') !== old",
        arg=[figure.locator(line).first.element_handle(), before],
    )


def test_names_in_a_legend_hide_and_show_their_models(opened: Open) -> None:
    page = opened("segmentation")
    figure = page.locator("#segmentation-segmentation_k")
    points = figure.locator(".mark-symbol path")
    name = figure.get_by_role("button", name="mae")
    assert points.count() == 9

    name.press("Enter")
    page.wait_for_timeout(300)
    assert (points.count(), name.get_attribute("aria-pressed")) == (6, "false")

    page.get_by_role("button", name="Dark mode").click()
    page.wait_for_timeout(500)
    assert points.count() == 6  # drawn again, and still hidden
    name.press(" ")
    page.wait_for_timeout(300)
    assert points.count() == 9


def test_axes_of_the_cost_figure_are_titled_as_its_selectors_say(opened: Open) -> None:
    page = opened("index")
    drawn = page.locator("#cost .plot svg")
    assert "parameters (millions)" in drawn.text_content()

    page.locator("#cost").get_by_role("combobox", name="Cost").select_option("GFLOPs per image")

    page.wait_for_function(
        "document.querySelector('#cost .plot svg').textContent.includes('GFLOPs per image')"
    )
    assert "parameters (millions)" not in drawn.text_content()


def test_from_disk_the_page_says_how_to_see_the_speed(opened: Open) -> None:
    page = opened("index")
    assert "patchlens serve" in page.locator("#speed").inner_text()
    costs = page.locator("#cost").get_by_role("combobox", name="Cost").locator("option")
    assert costs.all_inner_texts() == ["parameters (millions)", "GFLOPs per image"]
    assert page.locator("#models thead th", has_text="images/s").count() == 0


@pytest.fixture
def served(browser: Browser, built: Path, tmp_path: Path) -> Iterator[Callable[[Speeds], Page]]:
    """Opens the first page from `patchlens serve` with these speeds; complaints fail the test."""
    complaints: list[str] = []
    with server(built, 0, tmp_path / "cost") as running:
        Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_address[1]}/"
        context = browser.new_context(viewport=WIDE)

        def visit(speeds: Speeds) -> Page:
            for (dataset, model), speed in speeds.items():
                path = tmp_path / "cost" / dataset / f"{model}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"images_per_second": speed, "device": "a CPU"}))
            page = context.new_page()
            page.on("console", lambda m: complaints.append(f"{m.type} {m.text}"))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(address)
            page.wait_for_function(ALL_DRAWN)
            return page

        yield visit
        context.close()
        running.shutdown()
    assert complaints == []


def test_served_the_page_shows_speed_in_the_table_and_the_figure(
    served: Callable[[Speeds], Page],
) -> None:
    shown = {("minicity", "dino"): 12.5, ("minicity", "random"): 3.0, ("road", "mae"): 7.0}
    page = served(shown | {("minicity", "other"): 9.0, ("gone", "other"): 9.0})

    heads = page.locator("#models thead th").all_inner_texts()
    assert heads[-2:] == ["images/s (minicity)", "images/s (road)"]
    number = heads.index("images/s (minicity)")
    assert column(page, "models", number) == ["12.5", "", "3"]
    page.locator("#models thead th").nth(number).get_by_role("button").click()
    assert column(page, "models", number) == ["3", "12.5", ""]
    assert "on a CPU, decoding and writing included" in page.locator("#speed").inner_text()

    figure = page.locator("#cost")
    assert figure.locator(".mark-symbol path").count() == 3
    figure.get_by_role("combobox", name="Cost").select_option("images per second")
    page.wait_for_function(
        "document.querySelector('#cost .plot svg').textContent.includes('images per second')"
    )
    assert figure.locator(".mark-symbol path").count() == 2
    labels = figure.locator(".mark-symbol path").evaluate_all(
        "all => all.map((path) => path.getAttribute('aria-label'))"
    )
    assert sorted(label.split("value: ")[1].split(";")[0] for label in labels) == ["12.5", "3"]


def test_served_without_a_speed_the_page_is_that_from_disk(
    served: Callable[[Speeds], Page],
) -> None:
    page = served({("minicity", "other"): 9.0})
    assert "patchlens serve" in page.locator("#speed").inner_text()
    assert page.locator("#models thead th", has_text="images/s").count() == 0


def test_print_shows_all_figures_as_wide_as_paper_and_what_is_folded(opened: Open) -> None:
    page = opened("index")
    claim = page.locator("details p", has_text="Patch features of DINO win.")
    width = "document.querySelector('#claims-forest svg').getBoundingClientRect().width"
    before = page.evaluate(width)
    assert not claim.is_visible()

    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert page.evaluate(width) < 720 < before
    assert claim.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"{width} === {before}")


def test_class_that_is_called_like_a_tag_is_text(opened: Open) -> None:
    page = opened("segmentation")

    assert page.title() == "T1 segmentation · patchlens"
    labels = page.locator("#segmentation-segmentation_classes svg text").all_text_contents()
    assert [name for name in CLASSES if any(name[:8] == label[:8] for label in labels)] == CLASSES
    assert TAG in page.locator("#confusion-segmentation-minicity .plot").get_attribute("aria-label")


def test_figure_data_is_one_click_away(opened: Open, built: Path) -> None:
    page = opened("segmentation")

    with page.expect_download() as download:
        page.locator("#segmentation-segmentation_k").get_by_role("link", name="CSV").click()

    data = built / "data/segmentation-segmentation_k.csv"
    assert download.value.path().read_bytes() == data.read_bytes()


def test_first_page_is_interactive_at_once(browser: Browser, built: Path) -> None:
    """With all of its figures, in a new page; what else runs here lengthens only the clock."""
    with browser.new_context(viewport=WIDE) as context:
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto((built / "index.html").as_uri())
        page.wait_for_function(ALL_DRAWN)
        measured = session.send("Performance.getMetrics")["metrics"]

    (computed,) = (one["value"] for one in measured if one["name"] == "TaskDuration")
    assert 0 < computed < 1.5


def test_pages_are_reached_on_a_phone_by_keyboard(opened: Open) -> None:
    page = opened("index", viewport=PHONE)
    link = page.locator("nav a", has_text="Variance")
    assert not link.is_visible()

    page.get_by_role("button", name="Pages").press("Enter")
    link.press("Enter")

    assert page.title() == "Variance · patchlens"


def test_compare_page_shows_a_planted_difference(
    opened: Open, here: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compared import planted
    from patchlens.site import compare

    planted(here, root)
    compare.run("HEAD")

    page = opened("index", folder=here / paths.COMPARISON)

    summary = "2 scores changed, 1 of them beyond their interval; 1 did not change."
    assert summary in page.locator(".lead").inner_text()
    assert column(page, "scores", 0) == ["minicity/mae/segmentation", "minicity/dino/segmentation"]
    assert column(page, "scores", 5) == ["beyond", "within"]
    assert column(page, "verdicts", 2) == ["contradicted"]
    found = Axe().run(page, options=QUICK).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
