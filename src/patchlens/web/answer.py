"""What an HTTP response means for a download: resume, restart, retry or give up (RFC 9110)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from patchlens.errors import SourceError
from patchlens.web.partial import Partial
from patchlens.web.remote import Remote

PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses worth a retry
REFUSALS = {
    401: "this file requires an account",
    403: "access denied: it may require a login or accepted terms, or block downloads",
    404: "file not found: it was moved or withdrawn",
    410: "the file was withdrawn",
}
PAGE = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|script)", re.IGNORECASE)
PAGE_TYPES = ("text/html", "application/xhtml+xml")
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Again(Exception):
    """The request is worth a retry, after `pause` seconds if the server asks for it."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


def trouble(remote: Remote, error: httpx2.RequestError) -> Exception:
    """`Again` for a connection that failed or broke, `SourceError` for a lasting failure."""
    text = str(error) or type(error).__name__
    passing = isinstance(error, httpx2.TransportError) and not isinstance(
        error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError
    )
    if not passing or "CERTIFICATE_VERIFY_FAILED" in text:
        return SourceError(f"{remote.url}: cannot be downloaded ({text})")
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Again(f"cannot reach the server ({text})")
    return Again(f"connection lost ({text})")


def judge(response: httpx2.Response, first: bytes, remote: Remote, partial: Partial) -> None:
    """Make `partial` ready for the body of `response`, which starts with `first`.

    Raises:
        Again: a retry may succeed.
        SourceError: the file is refused, gone, or not the published one.
    """
    status = response.status_code
    if status in PASSING:
        raise Again(f"the server returned HTTP {status}", _retry_after(response))
    if status == 206:
        _go_on(response, partial)
    elif status == 200:
        _begin(response, first, remote, partial)
    elif status == 416:
        partial.clear()
        raise Again("the server cannot resume the download; restarting it")
    else:
        reason = REFUSALS.get(status, "the server refuses to send it")
        raise SourceError(f"{remote.url}: {reason} (HTTP {status})")


def _a_page(response: httpx2.Response, remote: Remote) -> SourceError:
    where = "" if str(response.url) == remote.url else f" ({response.url})"
    return SourceError(
        f"{remote.url}: the server sent a web page{where} instead of the file: a login, a notice "
        "or an error. Open the address in a browser to see what it requires"
    )


def _go_on(response: httpx2.Response, partial: Partial) -> None:
    found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
    start = int(found[1]) if found else None
    total = int(found[2]) if found and found[2] != "*" else partial.total
    stamp = "ETag" if partial.validator.startswith('"') else "Last-Modified"
    stated = response.headers.get(stamp, "")
    changed = partial.validator and stated not in ("", partial.validator)
    if changed or start != partial.size() or partial.total not in (None, total):
        partial.clear()
        raise Again("the file changed on the server; restarting the download")
    partial.total = total


def _begin(response: httpx2.Response, first: bytes, remote: Remote, partial: Partial) -> None:
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    # Some servers label everything as HTML; HTML has no zero bytes, and every archive does.
    if PAGE.match(first) or (kind in PAGE_TYPES and b"\0" not in first):
        raise _a_page(response, remote)
    length = response.headers.get("Content-Length")
    total = remote.size if length is None else int(length)
    if remote.size is not None and total != remote.size:
        raise SourceError(
            f"{remote.url}: the server offers {total} bytes instead of the published "
            f"{remote.size}: it is another file or a message"
        )
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if total is None and remote.checksum is None and not chunked:
        raise SourceError(
            f"{remote.url}: the server states no length and no checksum is published, so "
            "the download cannot be verified"
        )
    partial.begin(_validator(response), total)


def _validator(response: httpx2.Response) -> str:
    """The value for If-Range: a strong ETag, otherwise the date of the last change."""
    etag: str = response.headers.get("ETag", "")
    date: str = response.headers.get("Last-Modified", "")
    return etag if etag.startswith('"') else date


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that the server asks to wait, from a number or a date."""
    stated: str = response.headers.get("Retry-After", "").strip()
    if stated.isdecimal():
        return float(stated)
    try:
        until = parsedate_to_datetime(stated)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
