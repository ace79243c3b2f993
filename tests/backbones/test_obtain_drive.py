"""Google Drive: past the page about the virus scan to the file, or a word on what it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fileserver import Site, cut, page, status
from patchlens.backbones import drive
from patchlens.backbones.obtain import Obtained, obtain
from patchlens.backbones.registry.entry import Source
from patchlens.errors import SourceError
from patchlens.web.remote import Patience

BODY = b"\0weights" * 5000
QUICK = Patience(tries=3, wait=0.001, longest=5.0, timeout=5.0)
VIEW = "https://drive.google.com/file/d/1abc/view"
FIRST = "download?id=1abc&export=download&confirm=t"
PAST = "download?id=1abc&export=download&confirm=t&uuid=12-%C3%A4"
SCAN = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<form action="/search"><input name="q" value="x"></form>
<form id="download-form" action="https://HOST/download" method="get">
<input type="submit" id="uc-download-link" value="Download anyway"/>
<input type="hidden" name="id" value="1abc"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="12-ä">
</form><input name="stray" value="x"><form><input name="other" value="x"></form></html>"""
QUOTA = "<html><p>Sorry, Too many users have viewed or downloaded this file recently.</html>"
Bring = Callable[..., Obtained]


@pytest.fixture
def bring(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bring:
    """`bring()`: obtain the shared file from the site that stands for Drive."""
    monkeypatch.setattr(drive, "ADDRESS", site.url("download"))

    def run(**published: Any) -> Obtained:
        source = Source(kind="drive", id="1abc", file="w.pth", **published)
        return obtain("m", source, "MIT", False, work=tmp_path / "work", patience=QUICK)

    return run


def complaint(bring: Bring) -> str:
    with pytest.raises(SourceError) as caught:
        bring()
    return str(caught.value)


def scan(site: Site, code: int = 200) -> None:
    text = SCAN.replace("https://HOST", f"http://127.0.0.1:{site.port}")
    site.put(FIRST, b"", last=status(code, text.encode(), Content_Type="text/html; charset=utf-8"))


def test_a_small_file_comes_at_once(site: Site, bring: Bring, tmp_path: Path) -> None:
    site.put(FIRST, BODY)
    found = bring()
    assert found.path == tmp_path / "work/drive.google.com/1abc/w.pth"
    assert found.path.read_bytes() == BODY
    assert (found.origin, found.record.source) == (VIEW, VIEW)


def test_the_form_of_the_scan_page_leads_to_the_file(site: Site, bring: Bring) -> None:
    scan(site)
    site.put(PAST, BODY)
    assert bring().path.read_bytes() == BODY


def test_a_broken_download_goes_on_though_the_form_has_a_new_id(site: Site, bring: Bring) -> None:
    scan(site)
    # The first look closes at once, the first download breaks, and so do its other tries.
    site.put(PAST, BODY, cut(100), cut(10_000), *[status(503)] * 4)
    assert "resume at byte 10000 of 40000" in complaint(bring)
    later = PAST.replace("12-", "13-")
    text = SCAN.replace("https://HOST", f"http://127.0.0.1:{site.port}").replace("12-ä", "13-ä")
    site.put(FIRST, b"", last=page(text.encode()))
    site.put(later, BODY)
    assert bring().path.read_bytes() == BODY
    assert site.gets(later)[-1]["Range"] == "bytes=10000-"


def test_what_is_there_is_not_asked_for_again(site: Site, bring: Bring) -> None:
    site.put(FIRST, BODY)
    bring()
    asked = len(site.seen)
    bring()
    assert len(site.seen) == asked


def test_a_spoilt_file_is_fetched_anew(site: Site, bring: Bring) -> None:
    site.put(FIRST, BODY)
    bring().path.write_bytes(b"spoilt")
    assert bring(bytes=len(BODY)).path.read_bytes() == BODY


@pytest.mark.parametrize("code", [200, 403, 429])
def test_a_used_up_quota_is_said_so(site: Site, bring: Bring, tmp_path: Path, code: int) -> None:
    site.put(FIRST, b"", last=status(code, QUOTA.encode(), Content_Type="text/html"))
    message = complaint(bring)
    assert message.startswith(
        f"{VIEW}: the download quota of Google Drive for this file is exceeded"
    )
    assert "Run this again in a day, or open this address in a browser and download it" in message
    assert "set models.m.file in params.yaml" in message
    assert not (tmp_path / "work").exists()


def test_a_quota_page_behind_the_form_too(site: Site, bring: Bring) -> None:
    scan(site)
    site.put(PAST, b"", last=page(QUOTA.encode()))
    assert "for this file is exceeded" in complaint(bring)


def test_a_login_is_said_so(site: Site, bring: Bring) -> None:
    site.put(FIRST, b"", last=page(b"<html><title>Sign in - Google Accounts</title></html>"))
    assert complaint(bring).startswith(f"{VIEW}: Google Drive requires a login: the file is not")


@pytest.mark.parametrize("code", [200, 404])
def test_any_other_page_is_said_so(site: Site, bring: Bring, code: int) -> None:
    site.put(FIRST, b"", last=status(code, b"<html>gone</html>", Content_Type="text/html"))
    assert "Google Drive sent a web page instead of the file, which may be gone" in complaint(bring)


def test_a_passing_error_is_tried_again(site: Site, bring: Bring) -> None:
    broken = status(503, b"<html>later</html>", Content_Type="text/html")
    site.put(FIRST, BODY, broken, broken)
    assert bring().path.read_bytes() == BODY


def test_no_network_is_said_so(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "ADDRESS", "http://127.0.0.1:9/download")
    assert complaint(bring).startswith(f"{VIEW}: cannot reach Google Drive (")
