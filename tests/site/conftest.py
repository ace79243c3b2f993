"""What the tests of the site share: a tiny run, and the system's Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

import explored
import ran
from browsing import listening

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    once: Callable[[str, Callable[[Path], None]], Path],
    rendered: Path,
) -> Path:
    """A folder in which the stages ran, with the pages in `site`: this process's own copy."""

    def make(partial: Path) -> None:
        explored.run(rendered)
        explored.pages(partial / "site")

    whole = once("explored", make)
    folder = tmp_path_factory.mktemp("run") / "explored"
    shutil.copytree(whole, folder, symlinks=True)
    return folder


@pytest.fixture
def run(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the working folder."""
    monkeypatch.chdir(made)
    return made


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The site of the run that `ran` makes up."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ran.lay(folder, root)
        return ran.build()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; where it is absent the tests fail, since `.ci/run` installs it."""
    found = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    assert found, "chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Iterator[Page]:
    """The one page of nearly all tests: to open another one takes two seconds."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def blank(tab: Page) -> Iterator[Page]:
    """A page as if it were new: empty and with nothing stored."""
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(color_scheme="light")
    yield tab
    if tab.url != "about:blank":
        tab.evaluate("localStorage.clear()")
        tab.goto("about:blank")


@pytest.fixture
def page(blank: Page, run: Path) -> Iterator[Page]:
    """A page that fails the test on any message, error, or request to elsewhere than the disk."""
    wrong = list[str]()

    def ask(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            wrong.append(request.url)

    with listening(
        blank,
        console=lambda message: wrong.append(message.text),
        pageerror=lambda error: wrong.append(str(error)),
        requestfailed=lambda request: wrong.append(f"failed: {request.url}"),
        request=ask,
    ):
        yield blank
    assert wrong == []
