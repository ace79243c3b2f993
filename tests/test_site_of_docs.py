"""The docs build as a site: strictly, without network, and with every public name."""

import re
import sys
from pathlib import Path

import patchlens
from conftest import run


def test_the_docs_build_without_network_and_a_dead_link(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(out)]
    run(*command, cwd=root, **offline)
    pages = {path.relative_to(out).with_suffix(".md") for path in out.rglob("*.html")}
    docs = root / "docs"
    assert pages - {Path("404.md")} == {
        (path.relative_to(docs).parent / path.name.replace("README", "index"))
        for path in docs.rglob("*.md")
    }
    names = (out / "api.html").read_text(encoding="utf-8")
    for name in set(patchlens.__all__):
        assert re.search(rf'id="patchlens\.[\w.]+\.{name}"', names), name
    loaded = r'<(?:script|img)[^>]*src="https?:|<link[^>]*rel="stylesheet"[^>]*href="https?:'
    for page in out.rglob("*.html"):
        assert not re.search(loaded, page.read_text(encoding="utf-8")), page.name
