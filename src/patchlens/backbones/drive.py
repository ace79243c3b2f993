"""The download address of a file on Google Drive, behind its page about the virus scan.

Drive answers the request for a large file with a web page that contains a form; submitting the form
leads to the file. gdown (MIT) does the same, but has its own downloader without our retries and
messages, and would add two packages for a single file.
"""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

import httpx2

from patchlens.backbones.registry.entry import drive_page
from patchlens.errors import SourceError
from patchlens.web.answer import PASSING
from patchlens.web.remote import Patience

ADDRESS = "https://drive.usercontent.google.com/download"
PAGES = ("text/html", "application/xhtml+xml")
QUOTA = re.compile(r"quota (?:has been )?exceeded|too many users|downloadQuotaExceeded", re.I)
LOGIN = re.compile(r"accounts\.google\.com|you need access|sign in|request access", re.I)
LIMIT = 1_000_000  # bytes of a page; Drive's pages have a few thousand


def address(file_id: str, patience: Patience) -> str:
    """The download address of the shared file.

    Raises:
        SourceError: the file is not shared, gone or over its daily quota, or there is no network.
    """
    url = f"{ADDRESS}?{urlencode({'id': file_id, 'export': 'download', 'confirm': 't'})}"
    with httpx2.Client(follow_redirects=True, timeout=patience.timeout) as client:
        page = _page(client, url, file_id)
        if page is None:
            return url
        url = _past(page, file_id)
        if (page := _page(client, url, file_id)) is not None:
            raise _refusal(page, file_id)
    return url


def _page(client: httpx2.Client, url: str, file_id: str) -> str | None:
    """The web page at `url`; None for the file itself, or a status that the download handles."""
    try:
        with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
            attached = "attachment" in response.headers.get("Content-Disposition", "").lower()
            if attached or kind not in PAGES:
                return None
            text = b""
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > LIMIT:
                    break
            page = f"{response.url}\n{text.decode('utf-8', 'replace')}"
            passing = response.status_code in PASSING and not QUOTA.search(page)
            return None if passing else page
    except httpx2.RequestError as error:
        reason = str(error) or type(error).__name__
        raise SourceError(
            f"{drive_page(file_id)}: cannot reach Google Drive ({reason}). Check the network "
            "or run this again later"
        ) from None


class _Form(HTMLParser):
    """The form of the page about the virus scan: its address and its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action, self.fields, self._inside = "", dict[str, str](), False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {key: value or "" for key, value in attrs}
        if tag == "form":
            self._inside = named.get("id") == "download-form"
            self.action = named.get("action", "") if self._inside else self.action
        elif tag == "input" and self._inside and named.get("name"):
            self.fields[named["name"]] = named.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"


def _past(page: str, file_id: str) -> str:
    form = _Form()
    form.feed(page)
    if not form.action:
        raise _refusal(page, file_id)
    return f"{urljoin(ADDRESS, form.action)}?{urlencode(form.fields)}"


def _refusal(page: str, file_id: str) -> SourceError:
    if QUOTA.search(page):
        reason = (
            "the download quota of Google Drive for this file is exceeded. "
            "Run this again in a day, or"
        )
    elif LOGIN.search(page):
        reason = (
            "Google Drive requires a login: the file is not public (any more). If you have access,"
        )
    else:
        reason = "Google Drive sent a web page instead of the file, which may be gone. To check,"
    return SourceError(
        f"{drive_page(file_id)}: {reason} open this address in a browser and download it"
    )
