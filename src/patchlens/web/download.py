"""Download files in parallel: resumed, retried and checked; a file is complete or absent.

httpx2 (a dependency of huggingface_hub) streams and follows redirects, filelock keeps two processes
apart. What an answer means for a partial download is here, after RFC 9110: no library that was
tried resumes in a later run (pooch starts anew after every fault, huggingface_hub in every run).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from threading import Event, Lock

import httpx2
from filelock import FileLock, Timeout
from tqdm import tqdm

from patchlens.errors import SourceError, of_machine
from patchlens.files import check_space, file_hash, write_json
from patchlens.progress import bar, log

MARGIN = 200_000_000  # bytes to keep free
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


@dataclass(frozen=True)
class Remote:
    """A file to download, and its path.

    `checksum` is `md5:<hex>` or `sha256:<hex>`, or both with a space between,
    and `size` is in bytes; None if not published.
    """

    url: str
    path: Path
    checksum: str | None = None
    size: int | None = None

    @property
    def part(self) -> Path:
        """The path of the file until it is complete."""
        return self.path.with_name(f"{self.path.name}.part")


@dataclass(frozen=True)
class Patience:
    """How long to retry. `tries` counts consecutive failures without a new byte.

    The pause before the second try is `wait` seconds and doubles with each try; the download ends
    if the server asks for more than `longest`. `timeout` is the limit of one read.
    """

    tries: int = 6
    wait: float = 1.0
    longest: float = 300.0
    timeout: float = 60.0


class Again(Exception):
    """The request is worth a retry, after `pause` seconds if the server asks for it."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Stopped(Exception):
    """Another file failed, or the user pressed Ctrl-C."""


def fault_of(path: Path, checksum: str | None, size: int | None = None) -> str | None:
    """Why a file is not the published one; None if it is, or if nothing is published about it."""
    found = path.stat().st_size
    if found == 0:
        return "it is empty"
    if size is not None and found != size:
        return f"its size is {found} bytes, but the published size is {size}"
    for one in (checksum or "").split():
        algorithm, published = one.split(":")
        digest = file_hash(path, algorithm)
        if digest != published:
            return f"its {algorithm} is {digest}, but the published one is {published}"
    return None


def download(
    remotes: Sequence[Remote],
    *,
    what: str,
    jobs: int = 4,
    room: float = 1.0,
    patience: Patience | None = None,
) -> None:
    """Download every file to its path, complete and checked.

    Complete files are kept, partial ones are resumed.

    Args:
        remotes: the files, with distinct paths.
        what: the label of the progress bar.
        jobs: number of parallel downloads.
        room: disk space that the files will need, as a multiple of their size: 2 for archives
            that will be unpacked in place.
        patience: how often and how long to retry.

    Raises:
        SourceError: a file cannot be downloaded. Complete and partial files are kept, and the
            next call resumes them.
        MachineError: the disk is too small.
    """
    patience = patience or Patience()
    for remote in remotes:
        _check_address(remote.url)
    client = httpx2.Client(
        follow_redirects=True,
        timeout=patience.timeout,
        headers={
            "User-Agent": f"patchlens/{version('patchlens')}",
            "Accept-Encoding": "identity",  # lengths and ranges mean nothing with compression
        },
    )
    stop, lock = Event(), Lock()
    with client, ThreadPoolExecutor(jobs) as pool:
        sizes = list(pool.map(lambda remote: _size(client, remote), remotes))
        check_room(remotes, sizes, room)
        total = None if None in sizes else sum(size or 0 for size in sizes)
        with bar(total=total, what=what, unit="B", scale=True) as shown:

            def more(count: int) -> None:
                with lock:
                    shown.update(count)

            transfers = [_Transfer(client, remote, patience, more, stop) for remote in remotes]
            futures = [pool.submit(transfer.run) for transfer in transfers]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:  # including Ctrl-C: the others stop at their next chunk
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise


@contextmanager
def arriving(remote: Remote) -> Iterator[bool]:
    """Lock a file; check what the block has written to `remote.part`, and rename it into place.

    Yields whether the complete file is there already, so that there is nothing to write.

    Raises:
        SourceError: another process downloads it, or it is not the published
            file and was removed.
    """
    path, part = remote.path, remote.part
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=0):
            if path.is_file() and (fault := fault_of(path, remote.checksum, remote.size)):
                log.warning("%s: %s; downloading it again", path, fault)
                path.unlink()
            there = path.is_file()
            yield there
            if there:
                return
            fault = fault_of(part, remote.checksum, remote.size)
            _note(part).unlink(missing_ok=True)
            if fault is not None:
                part.unlink()
                raise SourceError(
                    f"{remote.url}: {fault}. The file was removed: it was damaged in transit, or "
                    "it changed on the server. Run this again; if the error remains, the source "
                    "has changed"
                )
            part.replace(path)
            size = tqdm.format_sizeof(path.stat().st_size, "B")
            log.info("%s: downloaded, %s", path.name, size)
    except Timeout:
        raise SourceError(
            f"{path}: another process is downloading this file; wait until it has finished"
        ) from None
    except OSError as error:
        raise of_machine(error, path) or error from None


def _check_address(url: str) -> None:
    try:
        scheme = httpx2.URL(url).scheme
    except httpx2.InvalidURL as error:
        raise SourceError(f"{url}: not a valid URL ({error})") from None
    if scheme not in ("http", "https"):
        raise SourceError(
            f"{url}: only http(s) URLs are supported; download this file with another program, "
            "for example curl -O"
        )


def _size(client: httpx2.Client, remote: Remote) -> int | None:
    """Bytes of a file, as published, on disk, or stated by the server; None if unknown."""
    if remote.size is not None:
        return remote.size
    if remote.path.is_file():
        return remote.path.stat().st_size
    try:  # only an estimate for the bar and the free space: the download itself reports failures
        answer = client.head(remote.url)
    except httpx2.RequestError:
        return None
    length = answer.headers.get("Content-Length", "")
    return int(length) if answer.status_code == 200 and length.isdecimal() else None


def check_room(remotes: Sequence[Remote], sizes: Sequence[int | None], times: float) -> None:
    """Refuse files for which, with what is made from them, the disk is too small.

    Args:
        remotes: the files.
        sizes: their bytes, as far as they are known.
        times: what is needed as a multiple of their sizes.
    """
    wanted = []
    for remote, size in zip(remotes, sizes, strict=True):
        here = remote.path if remote.path.is_file() else remote.part
        there = here.stat().st_size if here.is_file() else 0
        wanted.append((remote.path.parent, max((size or 0) * times - there, 0)))
    check_space("the download and the files made from it", wanted, MARGIN)


def _note(part: Path) -> Path:
    """Where the address, the version and the size of a partial file are noted, to resume it."""
    return part.with_name(f"{part.name}.json")


@dataclass
class _Transfer:
    """The download of one file.

    `more` receives the number of new bytes; `stop` ends the download early. `version` is the ETag
    or date of the file, empty if the server gave none; `total` its size, if known.
    """

    client: httpx2.Client
    remote: Remote
    patience: Patience
    more: Callable[[int], None]
    stop: Event
    version: str = ""
    total: int | None = None
    counted: int = field(default=0, init=False)

    def run(self) -> None:
        """Download the file to its path; see `arriving`.

        Raises:
            SourceError: it cannot be downloaded. Valid partial data is kept for the next run.
            Stopped: `stop` was set.
        """
        with arriving(self.remote) as there:
            if there:
                self.more(self.remote.path.stat().st_size)
                return
            self._recall()
            failures, furthest = 0, self._have()
            while True:
                try:
                    return self._attempt()
                except Again as again:
                    # Only new bytes are progress: what always fails at one byte is given up.
                    failures = 1 if self._have() > furthest else failures + 1
                    furthest = max(furthest, self._have())
                    self._pause(again, failures)

    def _have(self) -> int:
        return self.remote.part.stat().st_size if self.remote.part.is_file() else 0

    def _recall(self) -> None:
        """Take up the partial file of an earlier run, or discard it if it may be another file."""
        self.total = self.remote.size
        try:
            about = json.loads(_note(self.remote.part).read_bytes())
            same = about["url"] == self.remote.url
            version, total = about["version"], about["total"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            same, version, total = False, "", None
        # Without a version or a checksum, parts of two different files could be joined.
        if same and (version or self.remote.checksum):
            self.version, self.total = version, total
        else:
            self._discard()

    def _discard(self) -> None:
        self.remote.part.unlink(missing_ok=True)
        _note(self.remote.part).unlink(missing_ok=True)
        self.version, self.total = "", self.remote.size

    def _pause(self, again: Again, failures: int) -> None:
        pause = self.patience.wait * 2 ** (failures - 1) if again.pause is None else again.pause
        if failures >= self.patience.tries or pause > self.patience.longest:
            asked = "" if again.pause is None else f" and asks for a pause of {again.pause:.0f} s"
            of = "" if self.total is None else f" of {self.total}"
            there = f" to resume at byte {self._have()}{of}" if self._have() else ""
            raise SourceError(
                f"{self.remote.url}: {again}{asked}; gave up after {failures} "
                f"{'try' if failures == 1 else 'tries'} without a new byte. "
                f"Check the network or run this again later{there}"
            )
        log.info("%s: %s; retrying in %.0f s", self.remote.url, again, pause)
        if self.stop.wait(pause):
            raise Stopped

    def _attempt(self) -> None:
        """Request the missing bytes once and write what arrives."""
        have = self._have()
        if not have or have != self.total:  # else killed before it was renamed
            headers = {"Range": f"bytes={have}-"} if have else {}
            if have and self.version:
                headers["If-Range"] = self.version
            try:
                with self.client.stream("GET", self.remote.url, headers=headers) as response:
                    # Raw: some servers declare a .tar.gz as a compressed tar, to be decoded.
                    chunks = response.iter_raw()
                    first = next(chunks, b"") if response.is_success else b""
                    self._judge(response, first)
                    self._write(chain([first], chunks))
            except httpx2.RequestError as error:
                raise self._trouble(error) from None
        have = self._have()
        self._count(have)
        if self.total is not None and have < self.total:
            raise Again(f"connection closed at byte {have} of {self.total}")

    def _write(self, chunks: Iterable[bytes]) -> None:
        with self.remote.part.open("ab") as file:
            self._count(file.tell())
            for chunk in chunks:
                file.write(chunk)
                self._count(file.tell())
                if self.stop.is_set():
                    raise Stopped

    def _count(self, have: int) -> None:
        self.more(have - self.counted)
        self.counted = have

    def _trouble(self, error: httpx2.RequestError) -> Exception:
        """`Again` for a connection that failed or broke, `SourceError` for a lasting failure."""
        text = str(error) or type(error).__name__
        lasting = not isinstance(error, httpx2.TransportError) or isinstance(
            error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError
        )
        if lasting or "CERTIFICATE_VERIFY_FAILED" in text:
            return SourceError(f"{self.remote.url}: cannot be downloaded ({text})")
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return Again(f"cannot reach the server ({text})")
        return Again(f"connection lost ({text})")

    def _judge(self, response: httpx2.Response, first: bytes) -> None:
        """Make the partial file ready for the body of `response`, which starts with `first`.

        Raises:
            Again: a retry may succeed.
            SourceError: the file is refused, gone, or not the published one.
        """
        status = response.status_code
        if status in PASSING:
            raise Again(f"the server returned HTTP {status}", _retry_after(response))
        if status == 416:
            self._discard()
            raise Again("the server cannot resume the download; restarting it")
        if status == 206:
            self._go_on(response)
        elif status == 200:
            self._begin(response, first)
        else:
            reason = REFUSALS.get(status, "the server refuses to send it")
            raise SourceError(f"{self.remote.url}: {reason} (HTTP {status})")

    def _go_on(self, response: httpx2.Response) -> None:
        found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
        start = int(found[1]) if found else None
        total = int(found[2]) if found and found[2] != "*" else self.total
        stamp = "ETag" if self.version.startswith('"') else "Last-Modified"
        stated = response.headers.get(stamp, "")
        changed = self.version and stated not in ("", self.version)
        if changed or start != self._have() or self.total not in (None, total):
            self._discard()
            raise Again("the file changed on the server; restarting the download")
        self.total = total

    def _begin(self, response: httpx2.Response, first: bytes) -> None:
        url, size, headers = self.remote.url, self.remote.size, response.headers
        kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
        # Some servers label everything as HTML; HTML has no zero bytes, and every archive does.
        if PAGE.match(first) or (kind in PAGE_TYPES and b"\0" not in first):
            where = "" if str(response.url) == url else f" ({response.url})"
            raise SourceError(
                f"{url}: the server sent a web page{where} instead of the file: a login, a notice "
                "or an error. Open the address in a browser to see what it requires"
            )
        length = headers.get("Content-Length")
        total = size if length is None else int(length)
        if size is not None and total != size:
            raise SourceError(
                f"{url}: the server offers {total} bytes instead of the published {size}: it is "
                "another file or a message"
            )
        chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        if total is None and self.remote.checksum is None and not chunked:
            raise SourceError(
                f"{url}: the server states no length and no checksum is published, so the "
                "download cannot be verified"
            )
        # Emptied first: a run killed in between must not mistake old bytes for the new file.
        self.remote.part.write_bytes(b"")
        etag = headers.get("ETag", "")  # only a strong one serves If-Range
        self.version = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        self.total = total
        note = {"url": url, "version": self.version, "total": total}
        write_json(note, _note(self.remote.part))


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
