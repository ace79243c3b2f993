"""What the tests of the site share: a tiny run, and the system's Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import explored
import ran

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


@pytest.fixture
def page(browser: Browser, run: Path) -> Iterator[Page]:
    """A page that fails the test on any message, error, or request to elsewhere than the disk."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))

    def ask(url: str) -> None:
        if not url.startswith(("file:", "data:")):
            wrong.append(url)

    page.on("request", lambda request: ask(request.url))
    yield page
    context.close()
    assert wrong == []
