"""Download files in parallel with one progress bar, after checking the free disk space.

Built on httpx2, a dependency of huggingface_hub (streams, redirects, proxies and certificates
of the environment), and filelock. This folder adds resuming, retrying and checking.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Event, Lock

import httpx2
from tqdm.contrib.logging import logging_redirect_tqdm

from patchlens.errors import SourceError
from patchlens.progress import bar
from patchlens.web.partial import place
from patchlens.web.remote import Patience, Remote
from patchlens.web.space import check_space
from patchlens.web.transfer import Transfer

MARGIN = 200_000_000  # bytes to keep free


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
        SourceError: a file cannot be downloaded, or the disk is too small. Complete and partial
            files are kept, and the next call resumes them.
    """
    patience = patience or Patience()
    _check_addresses(remotes)
    stop = Event()
    with _client(patience) as client, ThreadPoolExecutor(jobs) as pool:
        sizes = list(pool.map(lambda remote: _size(client, remote), remotes))
        needed = _still_needed(remotes, sizes, room)
        check_space("the download and the files made from it", needed, MARGIN)
        with _shown(what, sizes) as places:
            transfers = [
                Transfer(client, remote, patience, at, stop)
                for remote, at in zip(remotes, places, strict=True)
            ]
            futures = [pool.submit(transfer.run) for transfer in transfers]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:  # including Ctrl-C: the others stop at their next chunk
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise


def _check_addresses(remotes: Sequence[Remote]) -> None:
    for remote in remotes:
        try:
            scheme = httpx2.URL(remote.url).scheme
        except httpx2.InvalidURL as error:
            raise SourceError(f"{remote.url}: not a valid URL ({error})") from None
        if scheme not in ("http", "https"):
            raise SourceError(
                f"{remote.url}: only http(s) URLs are supported; download this file with "
                "another program, for example curl -O"
            )


def _client(patience: Patience) -> httpx2.Client:
    return httpx2.Client(
        follow_redirects=True,
        timeout=patience.timeout,
        headers={"User-Agent": f"patchlens/{version('patchlens')}"},
    )


def _size(client: httpx2.Client, remote: Remote) -> int | None:
    """Bytes of a file, as published, on disk, or stated by the server; None if unknown."""
    if remote.size is not None:
        return remote.size
    if remote.path.is_file():
        return remote.path.stat().st_size
    # Only an estimate for the bar and the free space: the download itself reports failures.
    try:
        headers = {**remote.headers, "Accept-Encoding": "identity"}
        answer = client.head(remote.url, headers=headers)
    except httpx2.RequestError:
        return None
    length = answer.headers.get("Content-Length", "")
    return int(length) if answer.status_code == 200 and length.isdecimal() else None


def _still_needed(
    remotes: Sequence[Remote], sizes: Sequence[int | None], room: float
) -> Iterator[tuple[Path, float]]:
    """The folder of each file, and its remaining bytes."""
    for remote, size in zip(remotes, sizes, strict=True):
        here = remote.path if remote.path.is_file() else place(remote)
        there = here.stat().st_size if here.is_file() else 0
        yield remote.path.parent, max((size or 0) * room - there, 0)


@contextmanager
def _shown(what: str, sizes: Sequence[int | None]) -> Iterator[list[Callable[[int], None]]]:
    """One progress bar for all files; one function per file that receives its bytes so far."""
    known = [size for size in sizes if size is not None]
    total = sum(known) if len(known) == len(sizes) else None
    lock, places = Lock(), [0] * len(sizes)
    with logging_redirect_tqdm(), bar(total=total, what=what, unit="B", scale=True) as shown:

        def at(number: int, there: int) -> None:
            with lock:
                shown.update(there - places[number])
                places[number] = there

        yield [partial(at, number) for number in range(len(sizes))]
