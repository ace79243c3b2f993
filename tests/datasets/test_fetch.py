"""Fetching: from an entry to a folder in place, by download, by archives, by csDownload, or not."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fileserver import Site, cut, page, status
from patchlens.datasets import fetch
from patchlens.datasets.catalogue import Archive, Entry, find
from patchlens.datasets.fetch import obtain
from patchlens.errors import DataError, MachineError, SettingsError, SourceError
from patchlens.settings.datasets import Collected
from patchlens.settings.sources import MARK, Elsewhere
from patchlens.web.download import Patience

QUICK = Patience(tries=2, wait=0.001, timeout=5.0)
TOWN = Entry(
    title="Town 2001",
    reader="folder",
    tasks=["segmentation"],
    access="placed",
    licence="CC0",
    citation="Doe, 2001",
    homepage="http://town.org",
    how="Download it by hand",
    layout="photos/",
    encoding=["0 is road."],
)
BY_HAND = (
    "set in params.yaml datasets.town.archives to the folder with photos.zip (md5 {}), "
    "labels.tgz (md5 not published), truth.pkl (md5 not published), or datasets.town.root to the "
    "unpacked folder in the layout of docs/datasets/town.md"
)
WHOLE = {"photos/1.jpg": b"one", "photos/2.jpg": b"two", "masks/1.png": b"1", "truth.pkl": b"pkl"}


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, WHOLE[name])
    return stream.getvalue()


def tarred(name: str, body: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


PHOTOS, LABELS = zipped("photos/1.jpg", "photos/2.jpg"), tarred("1.png", b"1")
MD5 = hashlib.md5(PHOTOS).hexdigest()


def changed(facts: Entry, **fields: Any) -> Entry:
    """The same entry, validated anew, with other fields."""
    return Entry.model_validate(dict(facts) | fields)


@pytest.fixture
def card(site: Site) -> Entry:
    """A dataset of three files: with a checksum, into a folder, and no archive."""
    archives = [
        Archive(url=site.put("photos.zip", PHOTOS), md5=MD5),
        Archive(url=site.put("get/labels.tgz", LABELS), into="masks"),
        Archive(url=site.put("truth.pkl", b"pkl")),
    ]
    return changed(TOWN, access="open", archives=archives)


@pytest.fixture
def get(tmp_path: Path) -> Callable[..., Path]:
    def run(card: Entry, **options: Any) -> Path:
        target = tmp_path / "raw/town"
        obtain("town", card, target, tmp_path / "work", kind="town", patience=QUICK, **options)
        return target

    return run


def found(folder: Path) -> dict[str, bytes]:
    paths = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def test_an_open_dataset_is_fetched_and_unpacked(
    card: Entry, get: Any, site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "patchlens")
    assert found(get(card)) == WHOLE
    assert set(found(tmp_path / "work")) == {"photos.zip", "labels.tgz", "truth.pkl"}
    assert [p.name for p in (tmp_path / "raw").iterdir()] == ["town"]
    lines = caplog.messages
    assert lines[0] == "town: Town 2001. Licence: CC0. Cite: Doe, 2001"
    assert lines[-2] == f"town: 4 files in {tmp_path / 'raw/town'}"


def test_the_licence_is_stated_before_anything_is_asked_for(
    card: Entry, get: Any, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "patchlens")
    before: list[int] = []
    caplog.handler.addFilter(lambda record: not before.append(len(site.seen)))
    get(card)
    assert before[0] == 0
    assert before[-1] > 0


def test_a_second_run_downloads_nothing(card: Entry, get: Any, site: Site) -> None:
    shutil.rmtree(get(card))
    del site.seen[:]
    assert found(get(card)) == WHOLE
    assert site.seen == []


def test_an_old_folder_is_replaced(card: Entry, get: Any, tmp_path: Path) -> None:
    (tmp_path / "raw/town").mkdir(parents=True)
    (tmp_path / "raw/town/old").touch()
    assert found(get(card)) == WHOLE


@pytest.mark.parametrize("answer", [status(404), status(403), status(503), page(), cut(0)])
def test_what_cannot_be_fetched_says_what_else_to_do(
    card: Entry, get: Any, site: Site, tmp_path: Path, answer: Any
) -> None:
    site.put("photos.zip", PHOTOS, last=answer)
    with pytest.raises(SourceError) as caught:
        get(card)
    assert str(caught.value).startswith(f"{site.url('photos.zip')}: ")
    assert str(caught.value).endswith(
        ". Alternatively: Download it by hand (see http://town.org). Then " + BY_HAND.format(MD5)
    )
    assert not (tmp_path / "raw").exists()
    assert "photos.zip" not in found(tmp_path / "work")


def test_another_archive_than_published(card: Entry, get: Any, site: Site, tmp_path: Path) -> None:
    site.put("photos.zip", zipped("photos/1.jpg"))
    with pytest.raises(SourceError, match=f"the published one is {MD5}. The file was removed"):
        get(card)
    assert not (tmp_path / "raw").exists()
    assert "photos.zip" not in found(tmp_path / "work")


# Named: gzip notes the second in which it packs, and two workers would not find the same tests.
@pytest.mark.parametrize(
    "bad",
    [LABELS[:-9], tarred("../evil", b"1"), b"not a tar"],
    ids=["cut short", "outwards", "no tar"],
)
def test_a_bad_archive_without_checksum_is_fetched_anew(
    card: Entry, get: Any, site: Site, tmp_path: Path, bad: bytes
) -> None:
    site.put("get/labels.tgz", bad)
    with pytest.raises(DataError, match=r"labels\.tgz"):
        get(card)
    assert list((tmp_path / "raw").iterdir()) == []
    assert set(found(tmp_path)) == {"work/photos.zip", "work/truth.pkl"}
    site.put("get/labels.tgz", LABELS)
    assert found(get(card)) == WHOLE


@pytest.mark.parametrize("access", ["account", "placed"])
def test_what_is_not_open_prints_its_steps(card: Entry, get: Any, site: Site, access: Any) -> None:
    closed = changed(card, access=access, how="Register and click.")
    with pytest.raises(SourceError) as caught:
        get(closed)
    assert str(caught.value) == (
        "town: Town 2001 has no open download. Register and click (see http://town.org). Then "
        + BY_HAND.format(MD5)
    )
    assert site.seen == []


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The archives as a user has downloaded them."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, body in (("photos.zip", PHOTOS), ("labels.tgz", LABELS), ("truth.pkl", b"pkl")):
        (folder / name).write_bytes(body)
    return folder


def test_archives_of_the_user_are_unpacked(card: Entry, get: Any, own: Path, site: Site) -> None:
    before = found(own)
    assert found(get(changed(card, access="account"), archives=own)) == WHOLE
    assert found(own) == before
    assert site.seen == []


def test_archives_that_are_missing(card: Entry, get: Any, own: Path) -> None:
    (own / "photos.zip").unlink()
    (own / "truth.pkl").unlink()
    with pytest.raises(SourceError) as caught:
        get(card, archives=own)
    assert str(caught.value).startswith(
        f"datasets.town.archives in params.yaml: {own}: photos.zip, truth.pkl missing in it. "
    )
    assert str(caught.value).endswith(BY_HAND.format(MD5))


def test_an_archive_of_the_user_with_a_wrong_checksum(card: Entry, get: Any, own: Path) -> None:
    (own / "photos.zip").write_bytes(b"half")
    half = hashlib.md5(b"half").hexdigest()
    with pytest.raises(SourceError) as caught:
        get(card, archives=own)
    assert str(caught.value) == (
        f"{own / 'photos.zip'}: its md5 is {half}, but the published one is {MD5}; "
        "download it again"
    )
    assert (own / "photos.zip").read_bytes() == b"half"


def test_a_damaged_archive_of_the_user_is_not_touched(card: Entry, get: Any, own: Path) -> None:
    (own / "labels.tgz").write_bytes(LABELS[:-9])
    with pytest.raises(DataError, match="truncated or damaged"):
        get(card, archives=own)
    assert (own / "labels.tgz").exists()


def test_archives_of_a_dataset_that_has_none(get: Any, own: Path) -> None:
    with pytest.raises(
        SourceError, match=r"the catalogue has no archives of Town 2001\. Download it by"
    ):
        get(TOWN, archives=own)


KILLED = """
import os, signal, sys, zipfile
from pathlib import Path
from patchlens.datasets import fetch
from patchlens.datasets.catalogue import Archive, find

extract = zipfile.ZipFile.extract
def dying(self, info, folder):
    extract(self, info, folder)
    if info.filename == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
zipfile.ZipFile.extract = dying
work = Path(sys.argv[1])
archives = [Archive(url=f"http://x/{name}") for name in ("photos.zip", "truth.pkl")]
card = find("coil100").model_copy(update={"archives": archives})
fetch.obtain("town", card, work / "raw/town", work / "work", kind="town", archives=work / "mine")
"""


def test_a_killed_unpacking_leaves_nothing_at_the_target_and_starts_clean(
    tmp_path: Path, own: Path
) -> None:
    def run(last: str) -> int:
        command = [sys.executable, "-c", KILLED, str(tmp_path), last]
        return subprocess.run(command, check=False).returncode

    assert run("photos/1.jpg") == -9
    assert not (tmp_path / "raw/town").exists()
    partial = tmp_path / "raw/.town.partial"
    assert found(partial) == {"photos/1.jpg": b"one"}
    (partial / "photos/1.jpg").write_bytes(b"half")
    (partial / "rubbish").touch()
    assert run("") == 0
    assert found(tmp_path / "raw/town") == {k: v for k, v in WHOLE.items() if k[0] != "m"}
    assert not partial.exists()


def test_two_processes_do_not_fetch_into_one_folder(
    card: Entry, get: Any, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another dataset of the same kind shares the folder.
    def meanwhile(*_: Any) -> None:
        obtain("city", card, tmp_path / "raw/city", tmp_path / "work", kind="town", archives=own)

    monkeypatch.setattr("patchlens.datasets.fetch._fetched", meanwhile)
    with pytest.raises(SourceError) as caught:
        get(card)
    assert str(caught.value) == (
        f"{tmp_path / 'work'}: another process is downloading to this folder; wait until it has "
        "finished"
    )


FAKE = """#!{python}
import pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("-d") + 1])
names = [a for a in sys.argv[1:] if a.endswith(".zip")]
with open("{log}", "a") as log:
    print(" ".join(sys.argv[1:]).replace(str(folder), "DIR"), file=log)
if input() != "secret":
    sys.exit("Bad credentials.")
for name in names:
    if (folder / name).exists() and "-r" not in sys.argv:
        sys.exit("already exists")
    with open(folder / name, "ab") as file:
        file.write(pathlib.Path("{source}", name).read_bytes()[file.tell():])
"""


@pytest.fixture
def login(tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`login(text)`: `csDownload` is installed and the user types `text`."""
    command = tmp_path / "bin/csDownload"
    command.parent.mkdir()
    text = FAKE.format(python=sys.executable, log=tmp_path / "calls", source=own)
    command.write_text(text, encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    shutil.copy(own / "photos.zip", own / "more.zip")

    def types(text: str) -> None:
        run = subprocess.run
        monkeypatch.setattr(
            "patchlens.datasets.csdownload.subprocess.run",
            lambda *a, **k: run(*a, **k, input=f"{text}\n", text=True),
        )

    return types


@pytest.fixture
def city(card: Entry) -> Entry:
    archives = [
        Archive(url="http://x/?packageID=1", md5=MD5, roughly=len(PHOTOS), name=n)
        for n in ("photos.zip", "more.zip")
    ]
    # Two archives with one file in common: both of Cityscapes hold a README.
    return changed(card, access="csdownload", archives=archives)


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def test_csdownload_is_used_with_the_login_of_the_user(
    city: Entry, get: Any, login: Any, tmp_path: Path
) -> None:
    login("secret")
    assert set(found(get(city))) == {"photos/1.jpg", "photos/2.jpg"}
    get(city)
    assert calls(tmp_path) == ["-d DIR photos.zip more.zip"]


def test_csdownload_goes_on_with_what_is_partial(
    city: Entry, get: Any, login: Any, tmp_path: Path
) -> None:
    login("secret")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/more.zip").write_bytes(PHOTOS[:9])
    (tmp_path / "work/photos.zip").write_bytes(PHOTOS)
    get(city)
    assert calls(tmp_path) == ["-r -d DIR more.zip"]


def test_a_wrong_login(city: Entry, get: Any, login: Any, tmp_path: Path) -> None:
    login("guess")
    with pytest.raises(SourceError) as caught:
        get(city)
    assert str(caught.value) == (
        f"{tmp_path / 'work/photos.zip'}: missing; csDownload ended with exit code 1. Read "
        "its messages above, check your login on www.cityscapes-dataset.com, and run this again"
    )
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(("there", "stays"), [(9, True), (2 * len(PHOTOS), False)])
def test_a_partial_file_stays_while_it_grows(
    city: Entry, get: Any, login: Any, own: Path, tmp_path: Path, there: int, stays: bool
) -> None:
    # The connection breaks after some more bytes; but what is too long already never grows.
    login("secret")
    (own / "photos.zip").write_bytes(PHOTOS[:50])
    (own / "more.zip").unlink()
    (tmp_path / "work").mkdir()
    (tmp_path / "work/photos.zip").write_bytes((2 * PHOTOS)[:there])
    with pytest.raises(SourceError, match=r"photos\.zip: its md5 .*ended with exit code 1"):
        get(city)
    assert ("photos.zip" in found(tmp_path / "work")) == stays


def test_a_wrong_login_keeps_what_is_there(
    city: Entry, get: Any, login: Any, tmp_path: Path
) -> None:
    login("guess")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/photos.zip").write_bytes(PHOTOS[:-1])
    with pytest.raises(
        SourceError,
        match=r"exit code 1.*and run this again; if it does not resume photos\.zip, ",
    ):
        get(city)
    assert found(tmp_path / "work") == {"photos.zip": PHOTOS[:-1]}


@pytest.mark.parametrize(("free", "fits"), [(0, False), (2, False), (3, True)])
def test_space_is_looked_at_before_csdownload(
    city: Entry, get: Any, login: Any, tmp_path: Path, monkeypatch: Any, free: int, fits: bool
) -> None:
    login("secret")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/photos.zip").write_bytes(PHOTOS)  # needs nothing more for itself
    (tmp_path / "work/more.zip").write_bytes(PHOTOS[:1])
    usage = shutil.disk_usage(tmp_path)
    room = free * len(PHOTOS) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=room))
    if fits:
        get(city)
        return
    with pytest.raises(
        MachineError, match=r"not enough space for (the archives|the content of town)"
    ):
        get(city)
    assert (tmp_path / "calls").exists() == (free == 2)
    assert not (tmp_path / "raw").exists()


def test_space_is_looked_at_before_archives_of_the_user_are_unpacked(
    card: Entry, get: Any, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(PHOTOS) + len(LABELS) + 3
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size - 1))
    with pytest.raises(
        MachineError, match=f"space for the content of town: about {size}B are needed, {size - 1}B"
    ):
        get(card, archives=own)
    assert not (tmp_path / "raw").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size))
    assert found(get(card, archives=own)) == WHOLE


def test_what_csdownload_brings_is_checked(
    city: Entry, get: Any, login: Any, own: Path, tmp_path: Path
) -> None:
    login("secret")
    (own / "more.zip").write_bytes(b"a login page")
    with pytest.raises(
        SourceError, match=f"more.zip: its md5 is .*, but the published one is {MD5}"
    ):
        get(city)
    # It would append to the wrong file for ever.
    assert set(found(tmp_path / "work")) == {"photos.zip"}


def test_without_csdownload_cityscapes_prints_its_steps(
    get: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError) as caught:
        get(find("cityscapes"))
    for step in ("Register", "csDownload", "4237c19de34c8a376e9ba46b495d6f66", "town.archives"):
        assert step in str(caught.value)


def test_the_stage_brings_a_dataset_to_its_place(
    card: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch, "find", {"coil100": card}.__getitem__)
    settings = Collected.model_construct(kind="coil100", archives=None, root=None)
    fetch.run("objects", settings)
    assert found(Path("data/raw/objects")) == WHOLE
    assert set(found(Path(".work/fetch/coil100"))) == {"photos.zip", "labels.tgz", "truth.pkl"}
    mine = settings.model_copy(update={"archives": "nowhere"})
    with pytest.raises(SourceError, match=r"datasets\.objects\.archives in params\.yaml: nowhere"):
        fetch.run("objects", mine)


def elsewhere(site: Site, name: str, body: bytes, *, other_content: bool = False) -> Elsewhere:
    sha256 = hashlib.sha256(body).hexdigest()
    return Elsewhere(url=site.put(name, body), sha256=sha256, other_content=other_content)


def test_an_archive_from_another_address_must_be_the_published_one(
    card: Entry, get: Any, site: Site, tmp_path: Path
) -> None:
    address = card.archives[0].url
    other = {address: elsewhere(site, "mirror/p.zip", PHOTOS)}
    assert found(get(card, sources=other)) == WHOLE
    assert site.gets("photos.zip") == []
    wrong = {address: elsewhere(site, "mirror/q.zip", zipped("photos/1.jpg"))}
    with pytest.raises(SourceError, match=rf"mirror/q\.zip: its md5 is .* published one is {MD5}"):
        get(card, sources=wrong)


def test_other_content_is_taken_and_leaves_a_mark(card: Entry, get: Any, site: Site) -> None:
    body = zipped("photos/1.jpg")
    other = {card.archives[0].url: elsewhere(site, "p.zip", body, other_content=True)}
    content = found(get(card, sources=other))
    assert content.pop(MARK) == b"not the official file: photos.zip\n"
    assert content == {k: v for k, v in WHOLE.items() if k != "photos/2.jpg"}
    assert MARK not in found(get(card))


@pytest.mark.parametrize("access", ["account", "csdownload"])
def test_other_addresses_open_what_needs_an_account(
    card: Entry, get: Any, site: Site, access: str
) -> None:
    closed = changed(card, access=access)
    bodies = [PHOTOS, LABELS, b"pkl"]
    pairs = zip(card.archives, bodies, strict=True)
    other = {a.url: elsewhere(site, f"m/{a.file}", b) for a, b in pairs}
    assert found(get(closed, sources=other)) == WHOLE
    del other[card.archives[2].url]
    with pytest.raises(SourceError, match=r"no open download; 'sources' lacks .*truth\.pkl"):
        get(closed, sources=other)


def test_own_archives_and_another_address_contradict(
    card: Entry, get: Any, site: Site, tmp_path: Path
) -> None:
    other = {card.archives[0].url: elsewhere(site, "p.zip", PHOTOS)}
    with pytest.raises(SettingsError, match=r"both say where photos\.zip is; remove one"):
        get(card, archives=tmp_path, sources=other)
