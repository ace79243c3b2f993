"""Downloads from a real server that behaves badly: what arrives is whole, or is not there."""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest
from werkzeug import Request, Response

from fileserver import (
    File,
    Site,
    chunked,
    cut,
    drip,
    empty_chunks,
    from_the_start,
    from_the_start_cut,
    page,
    stall,
    status,
    whole,
    without_length,
)
from patchlens.errors import MachineError, SourceError
from patchlens.web.download import Patience, Remote, download

BODY = bytes(range(256)) * 1000
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()
QUICK = Patience(tries=3, wait=0.001, longest=5.0, timeout=5.0)
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"

Get = Callable[..., Path]


@pytest.fixture
def get(site: Site, tmp_path: Path) -> Get:
    """`get(answer, ..., checksum=, size=, **file)`: serve BODY so and download it."""

    def run(
        *answers: object,
        checksum: str | None = MD5,
        size: int | None = None,
        patience: Patience = QUICK,
        **file: object,
    ) -> Path:
        if "a.bin" not in {name.lstrip("/") for name in site.files} or answers or file:
            site.put("a.bin", BODY, *answers, **file)
        remote = Remote(site.url("a.bin"), tmp_path / "a.bin", checksum, size)
        download([remote], what="test", patience=patience)
        return remote.path

    return run


def left(folder: Path) -> list[str]:
    """What lies in the folder, but for the locks."""
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def test_a_file_arrives_whole_and_nothing_else_stays(get: Get, site: Site, tmp_path: Path) -> None:
    assert get().read_bytes() == BODY
    assert left(tmp_path) == ["a.bin"]
    (headers,) = site.gets("a.bin")
    assert headers["Accept-Encoding"] == "identity"
    assert "Range" not in headers


def test_a_dropped_connection_goes_on_where_it_stopped(get: Get, site: Site) -> None:
    assert get(cut(1000), cut(5000)).read_bytes() == BODY
    ranges = [h["Range"] for h in site.gets("a.bin")]
    assert ranges == [None, "bytes=1000-", "bytes=6000-"]
    assert [h["If-Range"] for h in site.gets("a.bin")] == [None, '"one"', '"one"']


def test_new_bytes_give_new_tries(get: Get, site: Site) -> None:
    # Six failures in a row with three tries: each one brought something.
    assert get(*[cut(100)] * 6).read_bytes() == BODY
    assert len(site.gets("a.bin")) == 7


def test_a_connection_that_always_breaks_at_one_place_is_given_up(
    get: Get, site: Site, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        get(last=from_the_start_cut(1000))
    assert re.search(
        r"a\.bin: connection lost \(.+\); gave up after 3 tries without a new byte\. Check the "
        r"network or run this again later to resume at byte 1000 of 256000$",
        str(caught.value),
    )
    assert len(site.gets("a.bin")) == 3
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]


def test_the_next_run_goes_on_where_the_last_one_gave_up(get: Get, site: Site) -> None:
    with pytest.raises(SourceError):
        get(cut(7000), last=cut(0))
    del site.seen[:]
    site.files["/a.bin"].last = whole
    assert get().read_bytes() == BODY
    assert [h["Range"] for h in site.gets("a.bin")] == ["bytes=7000-"]


def test_a_server_without_ranges_starts_anew(get: Get) -> None:
    assert get(cut(1000), last=from_the_start).read_bytes() == BODY


def test_a_file_that_changed_between_two_tries_is_not_sewn_together(get: Get, site: Site) -> None:
    def change(request: Request, file: File) -> Response:
        response = cut(1000)(request, file)
        file.body, file.etag = BODY[::-1], '"two"'
        return response

    assert get(change, checksum=None).read_bytes() == BODY[::-1]


def test_a_changed_file_is_seen_where_the_server_ignores_if_range(get: Get, site: Site) -> None:
    def change(request: Request, file: File) -> Response:
        response = cut(1000)(request, file)
        file.body, file.etag = BODY[::-1], '"two"'
        return response

    def careless(request: Request, file: File) -> Response:
        request.environ.pop("HTTP_IF_RANGE", None)
        return whole(request, file)

    assert get(change, last=careless, checksum=None).read_bytes() == BODY[::-1]


def test_a_changed_length_is_seen_without_any_stamp(get: Get, site: Site) -> None:
    other = BODY[::-1] * 2
    checksum = "md5:" + hashlib.md5(other).hexdigest()

    def change(request: Request, file: File) -> Response:
        response = cut(1000)(request, file)
        file.body = other
        return response

    assert get(change, checksum=checksum, etag=None).read_bytes() == other


def test_the_date_serves_where_the_etag_is_weak(get: Get, site: Site) -> None:
    assert get(cut(1000), checksum=None, etag='W/"x"', date=DATE).read_bytes() == BODY
    assert site.gets("a.bin")[1]["If-Range"] == DATE


def test_without_stamp_and_checksum_nothing_is_resumed(get: Get, site: Site, tmp_path) -> None:
    with pytest.raises(SourceError):
        get(cut(1000), last=cut(0), etag=None, checksum=None)
    del site.seen[:]
    site.files["/a.bin"].last = whole
    assert get(checksum=None).read_bytes() == BODY
    assert [h["Range"] for h in site.gets("a.bin")] == [None]


def test_a_rest_that_starts_elsewhere_is_not_sewn_on(get: Get, site: Site) -> None:
    def elsewhere(request: Request, file: File) -> Response:
        request.environ["HTTP_RANGE"] = "bytes=2000-"
        return whole(request, file)

    assert get(cut(1000), elsewhere, checksum=None).read_bytes() == BODY
    assert [h["Range"] for h in site.gets("a.bin")][2] is None


def test_a_range_that_the_server_cannot_serve_starts_anew(get: Get, site: Site) -> None:
    assert get(cut(1000), status(416)).read_bytes() == BODY
    assert [h["Range"] for h in site.gets("a.bin")] == [None, "bytes=1000-", None]


def test_a_whole_part_of_a_killed_run_is_only_checked(get: Get, site: Site, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        get(cut(1000), last=cut(0))
    (tmp_path / "a.bin.part").write_bytes(BODY)
    del site.seen[:]
    assert get().read_bytes() == BODY
    assert site.gets("a.bin") == []


def test_the_part_of_another_address_is_dropped(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        get(cut(1000), last=cut(0))
    url = site.put("b.bin", BODY)
    download([Remote(url, tmp_path / "a.bin", MD5)], what="test", patience=QUICK)
    assert [h["Range"] for h in site.gets("b.bin")] == [None]


def test_what_is_there_and_right_is_not_fetched_again(get: Get, site: Site) -> None:
    get()
    del site.seen[:]
    assert get().read_bytes() == BODY
    assert site.seen == []


def test_what_is_there_and_wrong_is_fetched_again(
    get: Get, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    assert get().read_bytes() == BODY
    assert (
        f"its md5 is {hashlib.md5(b'old').hexdigest()}, but the published one is {MD5[4:]}"
        in caplog.text
    )


def test_what_is_there_and_wrong_does_not_stay(get: Get, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(SourceError, match="file not found"):
        get(last=status(404))
    assert left(tmp_path) == []


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_passing_refusal_is_tried_again(get: Get, code: int) -> None:
    assert get(status(code), status(code)).read_bytes() == BODY


def test_pauses_double(get: Get, site: Site) -> None:
    times: list[float] = []

    def busy(request: Request, file: File) -> Response:
        times.append(time.monotonic())
        return status(503)(request, file)

    patience = Patience(tries=4, wait=0.1, timeout=5)
    with pytest.raises(SourceError) as caught:
        get(last=busy, patience=patience)
    assert "the server returned HTTP 503; gave up after 4 tries without a new byte" in str(
        caught.value
    )
    pauses = [after - before for before, after in pairwise(times)]
    assert len(pauses) == 3
    assert all(p >= due for p, due in zip(pauses, (0.1, 0.2, 0.4), strict=True)), pauses


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_asks_to_wait_is_obeyed(get: Get, form: str) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    started = time.monotonic()
    get(status(429, Retry_After="1" if form == "seconds" else soon))
    assert 0.9 < time.monotonic() - started < 5


def test_a_server_that_asks_to_wait_for_long_ends_the_download(get: Get, site: Site) -> None:
    with pytest.raises(SourceError) as caught:
        get(last=status(503, Retry_After="3600"))
    assert "HTTP 503 and asks for a pause of 3600 s; gave up after 1 try without" in str(
        caught.value
    )
    assert len(site.gets("a.bin")) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, "this file requires an account (HTTP 401)"),
        (403, "access denied: it may require a login or accepted terms, or block"),
        (404, "file not found: it was moved or withdrawn (HTTP 404)"),
        (410, "the file was withdrawn (HTTP 410)"),
        (418, "the server refuses to send it (HTTP 418)"),
        (204, "the server refuses to send it (HTTP 204)"),
    ],
)
def test_a_lasting_refusal_is_one_message_at_once(
    get: Get, site: Site, tmp_path: Path, code: int, reason: str
) -> None:
    with pytest.raises(SourceError) as caught:
        get(last=status(code, b"" if code == 204 else b"no"))
    assert str(caught.value).startswith(f"{site.url('a.bin')}: {reason}")
    assert len(site.gets("a.bin")) == 1
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        page(),
        page(b"\n <html><body>Please log in", kind="application/octet-stream"),
        page(b"Please log in", kind="text/html; charset=utf-8"),
    ],
    ids=["both", "by its bytes", "by its type"],
)
def test_a_login_page_is_no_file(get: Get, site: Site, tmp_path: Path, answer: object) -> None:
    with pytest.raises(SourceError) as caught:
        get(last=answer, checksum=None)
    assert str(caught.value) == (
        f"{site.url('a.bin')}: the server sent a web page instead of the file: a login, a notice "
        "or an error. Open the address in a browser to see what it requires"
    )
    assert left(tmp_path) == []


def test_a_file_that_is_called_a_page_is_a_file(get: Get) -> None:
    assert get(last=status(200, BODY, Content_Type="text/html")).read_bytes() == BODY


def test_a_login_that_has_run_out_does_not_cost_what_is_there(
    get: Get, site: Site, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="a web page"):
        get(cut(1000), last=page())
    site.files["/a.bin"].last = whole
    assert get().read_bytes() == BODY
    assert site.gets("a.bin")[-1]["Range"] == "bytes=1000-"


@pytest.mark.parametrize("answer", [status(200), empty_chunks], ids=["length", "chunked"])
def test_an_empty_file_is_none(get: Get, tmp_path: Path, answer: object) -> None:
    with pytest.raises(SourceError, match=r"it is empty\. The file was removed"):
        get(last=answer, checksum=None)
    assert left(tmp_path) == []


def test_a_redirect_to_a_login_page_says_where(get: Get, site: Site) -> None:
    site.put("login", b"", last=page())
    with pytest.raises(SourceError, match=re.escape(f"web page ({site.url('login')})")):
        get(last=status(302, Location="/login"))


def test_redirects_are_followed(get: Get, site: Site) -> None:
    site.put("there", BODY, cut(1000))
    assert get(*[status(302, Location="/there")] * 2).read_bytes() == BODY
    assert [h["Range"] for h in site.gets("there")] == [None, "bytes=1000-"]


def test_endless_redirects_end(get: Get, site: Site) -> None:
    with pytest.raises(SourceError, match="cannot be downloaded"):
        get(last=status(302, Location="/a.bin"))


def test_a_wrong_checksum_removes_the_file(get: Get, site: Site, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        get(checksum="sha256:" + "0" * 64)
    found = hashlib.sha256(BODY).hexdigest()
    assert str(caught.value).startswith(
        f"{site.url('a.bin')}: its sha256 is {found}, but the published one is {'0' * 64}. "
        "The file was removed"
    )
    assert left(tmp_path) == []


def test_another_length_than_published_is_refused_before_it_comes(
    get: Get, site: Site, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        get(size=255_999)
    assert "the server offers 256000 bytes instead of the published 255999" in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("known", "count"), [({"size": 256_000, "checksum": None}, 9), ({"checksum": None}, None)]
)
def test_a_body_without_length(get: Get, tmp_path: Path, known: dict, count: int | None) -> None:
    # With a published size a short body is seen; with nothing, no body can be trusted.
    with pytest.raises(SourceError, match=r"closed at byte 9 of 256000|states no length"):
        get(last=without_length(count), **known)
    assert not (tmp_path / "a.bin").exists()


def test_a_short_body_without_length_fails_its_checksum(get: Get, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="The file was removed"):
        get(last=without_length(9))
    assert left(tmp_path) == []
    assert get(last=without_length()).read_bytes() == BODY


def test_a_chunked_body_needs_no_length(get: Get) -> None:
    assert get(last=chunked, checksum=None).read_bytes() == BODY


def test_a_length_that_is_too_short_fails_the_checksum(get: Get, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its md5 is"):
        get(last=status(200, BODY[:1000]))
    assert left(tmp_path) == []


def test_a_tar_gz_that_is_served_as_compressed_text_is_not_decoded(get: Get) -> None:
    assert get(last=status(200, BODY, Content_Encoding="gzip")).read_bytes() == BODY


def test_silence_is_a_broken_connection(get: Get, site: Site) -> None:
    release = threading.Event()
    patience = Patience(tries=3, wait=0.001, timeout=0.2)
    try:
        assert get(stall(1000, release), patience=patience).read_bytes() == BODY
    finally:
        release.set()
    assert [h["Range"] for h in site.gets("a.bin")] == [None, "bytes=1000-"]


def test_no_server_at_all(site: Site, tmp_path: Path) -> None:
    remote = Remote("http://127.0.0.1:1/a.bin", tmp_path / "a.bin")
    with pytest.raises(
        SourceError, match=r"cannot reach the server \(.+\); gave up after 3 tries.+Check.+later$"
    ):
        download([remote], what="test", patience=QUICK)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/a.bin", r"only http\(s\) URLs are supported; download this file with"),
        ("http://host:port/a.bin", "not a valid URL"),
    ],
)
def test_other_addresses(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(SourceError, match=f"^{url}: {why}"):
        download([Remote(url, tmp_path / "a.bin")], what="test")


def test_several_files_come_at_a_time(site: Site, tmp_path: Path) -> None:
    release = threading.Event()
    urls = [site.put(f"{n}.bin", BODY, stall(1000, release)) for n in range(3)]
    remotes = [Remote(url, tmp_path / url.rsplit("/", 1)[1], MD5) for url in urls]

    def let_two_go() -> None:
        deadline = time.monotonic() + 4
        while site.most_open < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)  # time for a third one, if there were one
        release.set()

    thread = threading.Thread(target=let_two_go)
    thread.start()
    download(remotes, what="test", jobs=2, patience=QUICK)
    thread.join()
    assert site.most_open == 2
    assert {p.read_bytes() for p in tmp_path.glob("*.bin")} == {BODY}
    assert left(tmp_path) == ["0.bin", "1.bin", "2.bin"]


def test_the_bar_shows_what_is_there(site: Site, tmp_path: Path, monkeypatch) -> None:
    shown: list[int] = []

    class Bar(contextlib.AbstractContextManager):
        def __init__(self, total: int | None, **options: object) -> None:
            self.total, self.n = total, 0

        def update(self, count: int) -> None:
            self.n += count
            shown.append(self.n)

        def __exit__(self, *error: object) -> None:
            shown.append(self.total)

    monkeypatch.setattr("patchlens.web.download.bar", Bar)
    remotes = [
        Remote(site.put("a", BODY, cut(9000), last=from_the_start), tmp_path / "a", MD5),
        Remote(site.put("b", BODY, cut(9000)), tmp_path / "b", MD5),
    ]
    download(remotes, what="test", patience=QUICK)
    assert shown[-2:] == [2 * len(BODY), 2 * len(BODY)]
    assert max(shown) == 2 * len(BODY)
    assert any(after < before for before, after in pairwise(shown))  # one started anew


def test_one_refused_file_stops_the_others(site: Site, tmp_path: Path) -> None:
    gone = Remote(site.url("gone.bin"), tmp_path / "gone.bin", size=1)
    slow = [
        Remote(site.put(f"{n}.bin", BODY, last=status(503)), tmp_path / f"{n}.bin", MD5, len(BODY))
        for n in range(3)
    ]
    started = time.monotonic()
    with pytest.raises(SourceError, match="file not found"):
        download([*slow, gone], what="test", patience=Patience(tries=9, wait=10))
    assert time.monotonic() - started < 8  # a server that is asked again is asked after 10
    assert left(tmp_path) == []


def test_a_file_that_is_on_its_way_stops_too_and_keeps_what_came(
    site: Site, tmp_path: Path
) -> None:
    def late(request: Request, file: File) -> Response:
        time.sleep(0.5)
        return status(404)(request, file)

    gone = Remote(site.put("gone.bin", b"", last=late), tmp_path / "gone.bin", size=1)
    slow = Remote(site.put("slow.bin", BODY, last=drip), tmp_path / "slow.bin", MD5, len(BODY))
    started = time.monotonic()
    with pytest.raises(SourceError, match="file not found"):
        download([slow, gone], what="test", patience=QUICK)
    assert time.monotonic() - started < 3  # the whole body takes 5 seconds
    assert left(tmp_path) == ["slow.bin.part", "slow.bin.part.json"]
    assert 0 < (tmp_path / "slow.bin.part").stat().st_size < len(BODY)


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "fits"), [(200_511_999, False), (200_512_000, True)])
def test_space_is_looked_at_before_anything_comes(
    get: Get, site: Site, tmp_path: Path, monkeypatch, free: int, fits: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))
    # The length is not published: it is asked for.
    remote = Remote(site.put("a.bin", BODY), tmp_path / "a.bin", MD5)
    if fits:
        download([remote], what="test", room=2)
        return
    with pytest.raises(MachineError, match=r"space for the download .*: about 201MB are needed"):
        download([remote], what="test", room=2)
    assert [s.method for s in site.seen] == ["HEAD"]


def test_what_is_there_already_needs_no_space(get: Get, site: Site, tmp_path, monkeypatch) -> None:
    with pytest.raises(SourceError):
        get(cut(56_000), last=cut(0))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 200_200_000))
    site.files["/a.bin"].last = whole
    assert get().read_bytes() == BODY


def test_a_server_without_head_is_no_obstacle(get: Get) -> None:
    assert get(head=False).read_bytes() == BODY


def test_a_full_disk_is_a_message(get: Get, site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").symlink_to("/dev/full")
    about = {"url": site.url("a.bin"), "version": '"one"', "total": None}
    (tmp_path / "a.bin.part.json").write_text(json.dumps(about))
    with pytest.raises(MachineError) as caught:
        get()
    assert str(caught.value) == (
        f"{tmp_path / 'a.bin'}: the disk is full; free some space, then run the same command again"
    )


SCRIPT = """
import sys
from pathlib import Path
from patchlens.web.download import Remote, download
download([Remote(sys.argv[1], Path(sys.argv[2]), sys.argv[3])], what="test")
"""


def test_a_killed_download_goes_on(site: Site, tmp_path: Path, get: Get) -> None:
    release = threading.Event()
    url = site.put("a.bin", BODY, stall(100_000, release))
    goal, part = tmp_path / "a.bin", tmp_path / "a.bin.part"
    with subprocess.Popen([sys.executable, "-c", SCRIPT, url, str(goal), MD5]) as running:
        deadline = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < 50_000:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # A second one does not write into the same file.
        with pytest.raises(SourceError, match="another process is downloading this file"):
            get()
        running.kill()
    release.set()
    assert running.returncode == -9
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    kept = part.stat().st_size
    assert get().read_bytes() == BODY
    assert site.gets("a.bin")[-1]["Range"] == f"bytes={kept}-"
    assert left(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("note", [b"", b'{"url": "http', b"\xff", b"[1]", b"{}"])
def test_a_download_with_a_damaged_note_begins_anew(get: Get, tmp_path: Path, note: bytes) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"what came with another note")
    (tmp_path / "a.bin.part.json").write_bytes(note)
    assert get().read_bytes() == BODY
    assert left(tmp_path) == ["a.bin"]
