"""The download of one file over HTTP(S), resumed until it is complete."""

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from threading import Event

import httpx2
from filelock import FileLock, Timeout
from tqdm import tqdm

from patchlens.errors import SourceError
from patchlens.progress import log
from patchlens.web.answer import Again, judge, trouble
from patchlens.web.partial import Partial
from patchlens.web.remote import Patience, Remote, fault_of


class Stopped(Exception):
    """Another file failed, or the user pressed Ctrl-C."""


@dataclass(frozen=True)
class Transfer:
    """The download of one file.

    Attributes:
        at: receives the number of bytes so far.
        stop: ends the download early when it is set.
    """

    client: httpx2.Client
    remote: Remote
    patience: Patience
    at: Callable[[int], None]
    stop: Event

    def run(self) -> None:
        """Download the file to its path.

        Raises:
            SourceError: it cannot be downloaded. Nothing is written to its path; valid partial
                data is kept for the next run.
            Stopped: `stop` was set.
        """
        path = self.remote.path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path.with_name(f"{path.name}.lock"), timeout=0):
                if not self._is_there():
                    self._insist()
        except Timeout:
            raise SourceError(
                f"{path}: another process is downloading this file; wait until it has finished"
            ) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise SourceError(
                f"{path}: the disk is full; free some space and run this again to resume the "
                "download"
            ) from None

    def _is_there(self) -> bool:
        path = self.remote.path
        if not path.is_file():
            return False
        fault = fault_of(path, self.remote.checksum, self.remote.size)
        if fault is None:
            self.at(path.stat().st_size)
            return True
        log.warning("%s: %s; downloading it again", path, fault)
        path.unlink()
        return False

    def _insist(self) -> None:
        partial = Partial(self.remote)
        failures, furthest = 0, partial.size()
        while True:
            try:
                self._attempt(partial)
                break
            except Again as again:
                # Only new bytes are progress: a download that always fails at one byte is given up.
                failures = 1 if partial.size() > furthest else failures + 1
                furthest = max(furthest, partial.size())
                self._pause(partial, again, failures)
        partial.finish()
        size = tqdm.format_sizeof(self.remote.path.stat().st_size, "B")
        log.info("%s: downloaded, %s", self.remote.path.name, size)

    def _pause(self, partial: Partial, again: Again, failures: int) -> None:
        pause = self.patience.wait * 2 ** (failures - 1) if again.pause is None else again.pause
        if failures >= self.patience.tries or pause > self.patience.longest:
            asked = "" if again.pause is None else f" and asks for a pause of {again.pause:.0f} s"
            of = "" if partial.total is None else f" of {partial.total}"
            there = f" to resume at byte {partial.size()}{of}" if partial.size() else ""
            raise SourceError(
                f"{self.remote.url}: {again}{asked}; gave up after {failures} "
                f"{'try' if failures == 1 else 'tries'} without a new byte. "
                f"Check the network or run this again later{there}"
            )
        log.info("%s: %s; retrying in %.0f s", self.remote.url, again, pause)
        if self.stop.wait(pause):
            raise Stopped

    def _attempt(self, partial: Partial) -> None:
        """Request the missing bytes once and write what arrives."""
        have = partial.size()
        if have and have == partial.total:  # killed before it was renamed
            self.at(have)
            return
        # Identity: with compression, lengths and ranges would be meaningless.
        headers = {**self.remote.headers, "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        if have and partial.validator:
            headers["If-Range"] = partial.validator
        try:
            with self.client.stream("GET", self.remote.url, headers=headers) as response:
                # Raw: some servers declare a .tar.gz as a compressed tar, which would be decoded.
                chunks = response.iter_raw()
                first = next(chunks, b"") if response.is_success else b""
                judge(response, first, self.remote, partial)
                self._write(chain([first], chunks), partial)
        except httpx2.RequestError as error:
            raise trouble(self.remote, error) from None
        have = partial.size()
        if partial.total is not None and have < partial.total:
            raise Again(f"connection closed at byte {have} of {partial.total}")

    def _write(self, chunks: Iterable[bytes], partial: Partial) -> None:
        with partial.path.open("ab") as file:
            have = file.tell()
            self.at(have)
            for chunk in chunks:
                file.write(chunk)
                have += len(chunk)
                self.at(have)
                if self.stop.is_set():
                    raise Stopped
