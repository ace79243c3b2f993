"""The official file of a model comes whole and as published, or not at all, and says why."""

import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from fileserver import Site, cut, page, status
from patchlens.backbones.obtain import Obtained, obtain
from patchlens.backbones.record import Record
from patchlens.backbones.registry.entry import Source
from patchlens.errors import DataError, SettingsError, SourceError
from patchlens.settings.sources import Elsewhere
from patchlens.web.download import Patience

BODY = b"\0weights" * 5000
OTHER = b"\0weightz" * 5000
SHA, OTHER_SHA = (hashlib.sha256(body).hexdigest() for body in (BODY, OTHER))
MD5 = hashlib.md5(BODY).hexdigest()
QUICK = Patience(tries=3, wait=0.001, longest=5.0, timeout=5.0)
NAME = "folder/w.pth"
Bring = Callable[..., Obtained]


@pytest.fixture
def bring(site: Site, tmp_path: Path) -> Bring:
    """`bring(sha256_starts=...)`: obtain the file that the site serves; keys of the source."""

    def run(*, licence: str = "MIT", non_commercial: bool = False, **settings: Any) -> Obtained:
        own = {k: settings.pop(k) for k in ("file", "expect", "record", "sources") if k in settings}
        # The registry takes https only; the test's server has none.
        source = Source(kind="url", url="https://x", **settings)
        source = source.model_copy(update={"url": site.url(NAME)})
        return obtain(
            "m",
            source,
            licence,
            non_commercial,
            work=tmp_path / "work",
            file=own.get("file"),
            sha256=own.get("expect"),
            record=own.get("record"),
            sources=own.get("sources"),
            patience=QUICK,
        )

    return run


def complaint(bring: Bring, **settings: Any) -> str:
    with pytest.raises(SourceError) as caught:
        bring(**settings)
    assert caught.value.exit_code == 3
    return str(caught.value)


def left(tmp_path: Path) -> list[str]:
    """Files below the work folder, without empty locks."""
    return [p.name for p in (tmp_path / "work").rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_a_file_comes_with_its_hash_and_origin(site: Site, bring: Bring, tmp_path: Path) -> None:
    url = site.put(NAME, BODY)
    found = bring(bytes=len(BODY), sha256=SHA, md5=MD5)
    assert found.path.read_bytes() == BODY
    assert found.path.relative_to(tmp_path / "work").parts[1:] == ("folder", "w.pth")
    assert (found.sha256, found.origin) == (SHA, url)
    assert found.record == Record(url, "", SHA, len(BODY))


def test_a_second_run_downloads_nothing(site: Site, bring: Bring) -> None:
    site.put(NAME, BODY)
    bring()
    bring()
    assert len(site.gets(NAME)) == 1


def test_a_broken_download_goes_on_where_it_stopped(
    site: Site, bring: Bring, tmp_path: Path
) -> None:
    site.put(NAME, BODY, cut(10_000), *[status(503)] * 4)
    assert "resume at byte 10000 of 40000" in complaint(bring)
    assert sorted(left(tmp_path)) == ["w.pth.part", "w.pth.part.json"]
    assert bring().path.read_bytes() == BODY
    assert site.gets(NAME)[-1]["Range"] == "bytes=10000-"
    assert left(tmp_path) == ["w.pth"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), r"file not found: it was moved or withdrawn \(HTTP 404\)"),
        (status(403), r"access denied: it may require a login or accepted terms"),
        (status(401), r"this file requires an account"),
        (page(), r"the server sent a web page instead of the file: a login"),
        (cut(0), r"connection lost \(.*\); gave up after 3 tries without a new byte"),
    ],
)
def test_what_cannot_be_had_says_why_and_what_to_do(
    site: Site, bring: Bring, tmp_path: Path, answer: Any, message: str
) -> None:
    url = site.put(NAME, BODY, last=answer)
    found = complaint(bring)
    assert found.startswith(f"{url}: ")
    assert re.search(message, found), found
    assert found.endswith(
        f"Otherwise download {url} yourself and set models.m.file in params.yaml to its path "
        "(source: registry or file)"
    )
    assert [name for name in left(tmp_path) if not name.startswith("w.pth.part")] == []


def test_a_file_on_google_drive_is_brought_by_hand(tmp_path: Path) -> None:
    source = Source(kind="drive", id="1abc", file="w.pth")
    with pytest.raises(SourceError) as caught:
        obtain("m", source, "MIT", False, work=tmp_path / "work")
    assert str(caught.value) == (
        "https://drive.google.com/file/d/1abc/view: Google Drive sends this file to browsers only. "
        "Open the address in one, download w.pth and set models.m.file in params.yaml to its path"
    )
    assert not (tmp_path / "work").exists()
    (tmp_path / "mine.pth").write_bytes(BODY)
    found = obtain("m", source, "MIT", False, work=tmp_path / "w", file=tmp_path / "mine.pth")
    assert found.record == Record("https://drive.google.com/file/d/1abc/view", "", SHA, len(BODY))


def test_a_gated_file_is_not_asked_for_but_explained(
    site: Site, bring: Bring, tmp_path: Path
) -> None:
    url = site.put(NAME, BODY)
    assert complaint(bring, gated=True) == (
        f"{url}: this file requires accepting its terms. Accept them on the page that `patchlens "
        "models show` names, download the file and set models.m.file in params.yaml to its path"
    )
    assert site.seen == []
    (tmp_path / "mine.pth").write_bytes(BODY)
    assert bring(gated=True, file=tmp_path / "mine.pth").sha256 == SHA


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ({"kind": "hub", "repo": "a/b"}, "kind hub needs file"),
        ({"kind": "hub", "file": "f"}, "kind hub needs repo"),
        ({"kind": "url", "id": "1"}, "kind url needs url"),
        ({"kind": "drive"}, "kind drive needs id and file"),
    ],
)
def test_a_source_without_its_place_is_no_source(source: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        Source.model_validate(source)


def test_no_network_is_said_so(bring: Bring, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Site, "url", lambda self, name: f"http://127.0.0.1:9/{name}")
    assert "cannot reach the server" in complaint(bring)


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ({"bytes": 40_001}, "the server offers 40000 bytes instead of the published 40001"),
        ({"sha256": OTHER_SHA}, f"its sha256 is {SHA}, but the published one is {OTHER_SHA}"),
        ({"sha256_starts": "0bad"}, f"its sha256 is {SHA} but should start with 0bad"),
        ({"md5": "0" * 32}, f"its md5 is {MD5}, but the published one is {'0' * 32}"),
        ({"md5_starts": "0bad"}, f"its md5 is {MD5} but should start with 0bad"),
    ],
)
def test_another_file_than_the_published_one_is_removed(
    site: Site, bring: Bring, tmp_path: Path, published: dict[str, Any], message: str
) -> None:
    site.put(NAME, BODY)
    assert message in complaint(bring, **published)
    assert left(tmp_path) == []


def test_first_digits_that_are_published_are_enough(site: Site, bring: Bring) -> None:
    site.put(NAME, BODY)
    assert bring(sha256_starts=SHA[:8], md5_starts=MD5[:6]).sha256 == SHA


def test_a_non_commercial_licence_is_stated_before_the_download(
    site: Site, bring: Bring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = site.put(NAME, BODY, last=status(404))
    complaint(bring, licence="CC-BY-NC-4.0", non_commercial=True)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        "m: its licence (CC-BY-NC-4.0) forbids commercial use"
    ]
    assert f"m: {url}. Licence: CC-BY-NC-4.0" in caplog.text


def test_an_open_licence_is_stated_without_a_warning(
    site: Site, bring: Bring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site.put(NAME, BODY)
    bring()
    assert "Licence: MIT" in caplog.text
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_without_a_published_hash_the_first_is_shown_and_recorded(
    site: Site, bring: Bring, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url, record = site.put(NAME, BODY), tmp_path / "m.json"
    bring(record=record).record.write(record)
    assert f"m: no hash is published; recording the sha256 of this file: {SHA}" in caplog.text
    content = json.loads(record.read_text())
    assert (content["source"], content["sha256"], content["size"]) == (url, SHA, 40_000)


def recorded(tmp_path: Path, url: str) -> Path:
    Record(url, "", SHA, len(BODY)).write(tmp_path / "m.json")
    return tmp_path / "m.json"


def test_a_file_that_changed_since_it_was_recorded_is_an_error(
    site: Site, bring: Bring, tmp_path: Path
) -> None:
    url = site.put(NAME, OTHER)
    record = recorded(tmp_path, url)
    assert complaint(bring, record=record) == (
        f"{url}: its sha256 is {OTHER_SHA}, but was {SHA} at the first download (see {record}): "
        f"it changed at its source. To accept the new file, remove {record} and run this again. "
        "The file was removed"
    )
    assert left(tmp_path) == []
    assert bring(record=record, expect=OTHER_SHA).record.sha256 == OTHER_SHA
    record.unlink()
    assert bring(record=record).record.sha256 == OTHER_SHA


def test_the_recorded_file_passes_again(
    site: Site, bring: Bring, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = site.put(NAME, BODY)
    assert bring(record=recorded(tmp_path, url)).sha256 == SHA
    assert "is recorded" not in caplog.text


def test_a_record_of_another_address_does_not_count(
    site: Site, bring: Bring, tmp_path: Path
) -> None:
    site.put(NAME, OTHER)
    found = bring(record=recorded(tmp_path, site.url("elsewhere.pth")))
    assert found.record == Record(site.url(NAME), "", OTHER_SHA, len(OTHER))


def test_a_damaged_record_is_an_error_and_not_forgotten(
    site: Site, bring: Bring, tmp_path: Path
) -> None:
    site.put(NAME, BODY)
    (tmp_path / "m.json").write_text("{}")
    with pytest.raises(DataError, match=r"m\.json: not a record of a weight file; restore it"):
        bring(record=tmp_path / "m.json")
    assert site.gets(NAME) == []


def test_the_hash_that_the_user_expects_is_checked(
    site: Site, bring: Bring, tmp_path: Path
) -> None:
    site.put(NAME, BODY)
    message = f"its sha256 is {SHA}, but models.m.sha256 in params.yaml is {OTHER_SHA}: change"
    assert message in complaint(bring, expect=OTHER_SHA)
    assert left(tmp_path) == []
    assert bring(expect=SHA).sha256 == SHA


def test_the_user_cannot_expect_another_file_than_the_published(site: Site, bring: Bring) -> None:
    site.put(NAME, BODY)
    with pytest.raises(SettingsError, match=rf"models\.m\.sha256: the published hash is {SHA}"):
        bring(sha256=SHA, expect=OTHER_SHA)
    assert site.gets(NAME) == []


def test_a_placed_file_is_checked_and_nothing_is_downloaded(
    site: Site, bring: Bring, tmp_path: Path
) -> None:
    url = site.put(NAME, BODY)
    placed = tmp_path / "mine.pth"
    placed.write_bytes(BODY)
    found = bring(file=placed, sha256=SHA)
    assert (found.path, found.sha256) == (placed, SHA)
    assert found.origin == f"file mine.pth, placed by the user, from {url}"
    assert site.seen == []


@pytest.mark.parametrize("published", [{"sha256": SHA}, {"bytes": 7}, {"md5_starts": MD5[:6]}])
def test_a_wrong_placed_file_is_named_and_left_alone(
    bring: Bring, tmp_path: Path, published: dict[str, Any]
) -> None:
    placed = tmp_path / "mine.pth"
    placed.write_bytes(OTHER)
    message = complaint(bring, file=placed, **published)
    assert message.startswith(f"{placed}: it")
    assert "removed" not in message
    assert placed.read_bytes() == OTHER


def test_a_placed_file_that_is_not_there(site: Site, bring: Bring, tmp_path: Path) -> None:
    message = complaint(bring, file=tmp_path / "mine.pth")
    assert message == (
        f"{tmp_path}/mine.pth: no such file, but models.m.file in params.yaml refers to it. "
        f"Download it from {site.url(NAME)} and place it there"
    )


def elsewhere(site: Site, body: bytes, *, other_content: bool = False) -> dict[str, Elsewhere]:
    sha256 = hashlib.sha256(body).hexdigest()
    url = site.put("mirror/m.pth", body)
    return {site.url(NAME): Elsewhere(url=url, sha256=sha256, other_content=other_content)}


@pytest.mark.parametrize("published", [{}, {"sha256": SHA}, {"md5_starts": MD5[:6]}])
def test_a_mirror_gives_the_official_file_under_its_official_name(
    site: Site, bring: Bring, published: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = bring(sources=elsewhere(site, BODY), gated=True, **published)
    mirror = site.url("mirror/m.pth")
    assert found.sha256 == SHA
    assert found.origin == f"{site.url(NAME)} from {mirror}"
    assert found.record.source == mirror
    assert ("nothing shows that" in caplog.text) == (published == {})


@pytest.mark.parametrize(
    ("published", "error"),
    [({"sha256": SHA}, SettingsError), ({"md5": MD5}, SourceError), ({"bytes": 7}, SourceError)],
)
def test_a_mirror_with_other_content_must_say_so(
    site: Site, bring: Bring, tmp_path: Path, published: dict[str, Any], error: type[Exception]
) -> None:
    other = elsewhere(site, b"other" * 100)
    with pytest.raises(error, match=r"published|instead of|another file"):
        bring(sources=other, **published)
    assert left(tmp_path) == []
    marked = {url: o.model_copy(update={"other_content": True}) for url, o in other.items()}
    assert bring(sources=marked, **published).origin.endswith("m.pth, not the official file")


def test_a_placed_file_and_another_address_contradict(site: Site, bring: Bring) -> None:
    with pytest.raises(SettingsError, match=r"models\.m\.file also says where it is; remove one"):
        bring(sources=elsewhere(site, BODY), file=Path("m.pth"))


def test_the_query_of_an_address_is_no_part_of_the_name(site: Site, tmp_path: Path) -> None:
    site.put("w.pth?signed=1", BODY)
    source = Source(kind="url", url="https://x")
    source = source.model_copy(update={"url": site.url("w.pth?signed=1")})
    found = obtain("m", source, "MIT", False, work=tmp_path / "work", patience=QUICK)
    assert found.path.name == "w.pth"


def test_dvc_keeps_the_record_and_git_holds_it(root: Path) -> None:
    outs = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["weights"]["outs"]
    assert outs[1] == {"metrics/weights/${item.model}.json": {"cache": False, "persist": True}}


@pytest.mark.parametrize(
    ("published", "warned"),
    [
        ({}, True),
        ({"bytes": len(BODY)}, True),
        ({"sha256_starts": SHA[:8]}, False),
        ({"md5": MD5}, False),
        ({"expect": SHA}, False),
    ],
)
def test_a_placed_file_that_no_hash_shows_to_be_the_official_one_is_said_so(
    bring: Bring, tmp_path: Path, caplog: pytest.LogCaptureFixture, published: Any, warned: bool
) -> None:
    (tmp_path / "mine.pth").write_bytes(BODY)
    with caplog.at_level(logging.WARNING):
        bring(file=tmp_path / "mine.pth", **published)
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert (
        any(re.search(r"nothing shows that .*mine\.pth is the official", t) for t in said) == warned
    )
