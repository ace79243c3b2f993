"""Archives of every kind, honest ones, damaged ones and hostile ones."""

import errno
import gzip
import io
import random
import shutil
import struct
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from memory import printed
from patchlens.datasets.unpack import Limits, is_archive, unpack
from patchlens.errors import DataError, MachineError

FILES = {"a/1.png": b"one" * 500, "a/b/2.png": b"two" * 1000, "readme": b""}
KINDS = {"x.zip": "zip", "x.tar": "w:", "x.tgz": "w:gz", "x.tar.bz2": "w:bz2", "x.tar.xz": "w:xz"}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("a")
        for name, body in files.items():
            archive.writestr(name, body)
    return path


def tarred(path: Path, files: dict[str, bytes], *odd: tarfile.TarInfo, mode: str = "w:") -> Path:
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
        for info in odd:
            archive.addfile(info)
    return path


def make(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    path = folder / name
    return zipped(path, files) if name == "x.zip" else tarred(path, files, mode=KINDS[name])


def found(folder: Path) -> dict[str, bytes]:
    paths = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_all_kinds_unpack(tmp_path: Path, out: Path, name: str) -> None:
    assert unpack(make(tmp_path, name, FILES), out) == 3
    assert found(out) == FILES
    assert is_archive(name.upper())


def test_the_kind_is_seen_from_the_bytes(tmp_path: Path, out: Path) -> None:
    unpack(make(tmp_path, "x.tgz", FILES).rename(tmp_path / "download"), out)
    assert found(out) == FILES
    assert not is_archive("gnd_roxford5k.pkl")


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_of_nothing(tmp_path: Path, out: Path, name: str) -> None:
    with pytest.raises(DataError, match="contains no files; it is not the expected archive"):
        unpack(make(tmp_path, name, {}), out)


def test_dots_and_backslashes_that_do_no_harm(tmp_path: Path, out: Path) -> None:
    unpack(tarred(tmp_path / "x.tar", {"./a/1": b"1", "a\\2": b"2", "..3": b"3"}), out)
    assert found(out) == {"a/1": b"1", "a/2": b"2", "..3": b"3"}


def test_a_later_archive_replaces_a_file_of_an_earlier_one(tmp_path: Path, out: Path) -> None:
    unpack(zipped(tmp_path / "one.zip", {"README": b"1", "a/1": b"1"}), out)
    unpack(zipped(tmp_path / "two.zip", {"README": b"2", "b/2": b"2"}), out)
    assert found(out) == {"README": b"2", "a/1": b"1", "b/2": b"2"}


def test_modes_and_owners_are_not_kept(tmp_path: Path, out: Path) -> None:
    info = tarfile.TarInfo("tool")
    info.mode, info.uid = 0o6777, 12345
    unpack(tarred(tmp_path / "x.tar", {}, info), out)
    assert (out / "tool").stat().st_mode & 0o6111 == 0
    assert (out / "tool").stat().st_uid == out.stat().st_uid


NASTY = [
    "/etc/evil",
    "../evil",
    "a/../../evil",
    "a/../b",
    "\\\\host\\evil",
    "..\\evil",
    "C:\\evil",
    "c:evil",
    "//host/evil",
]


@pytest.mark.parametrize("member", NASTY)
@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_no_member_leaves_the_folder(tmp_path: Path, out: Path, name: str, member: str) -> None:
    archive = make(tmp_path, name, {"good/1": b"", member: b"evil"})
    with pytest.raises(DataError) as caught:
        unpack(archive, out)
    assert str(caught.value).startswith(
        f"{archive}: member '{member}' would be written outside its folder"
    )
    if name == "x.zip":
        assert found(out) == {}  # a zip is looked through before anything is written
    everything = [p for p in tmp_path.rglob("*") if "evil" in p.name or p.name == "b"]
    assert everything == []
    assert not Path("/etc/evil").exists()


ODD = {
    "symbolic link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
}


@pytest.mark.parametrize("kind", ODD)
def test_links_and_devices_in_a_tar(tmp_path: Path, out: Path, kind: str) -> None:
    info = tarfile.TarInfo("a/odd")
    info.type, info.linkname = ODD[kind], "1.png"
    with pytest.raises(
        DataError, match="member 'a/odd' is not a plain file but a link, device or the like"
    ):
        unpack(tarred(tmp_path / "x.tar", FILES, info), out)
    assert not (out / "a/odd").exists()


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o060644, 0o140644])
def test_links_and_devices_in_a_zip(tmp_path: Path, out: Path, mode: int) -> None:
    info = zipfile.ZipInfo("a/odd")
    info.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("first", b"")
        archive.writestr(info, "../../etc/passwd")
    with pytest.raises(
        DataError, match="member 'a/odd' is not a plain file but a link, device or the like"
    ):
        unpack(tmp_path / "x.zip", out)
    assert found(out) == {}  # a zip is looked through before anything is written


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice(tmp_path: Path, out: Path, name: str) -> None:
    with pytest.raises(DataError, match="member 'a//1' occurs twice"):
        unpack(make(tmp_path, name, {"a/1": b"1", "a//1": b"2"}), out)


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_a_file_where_a_folder_is(tmp_path: Path, out: Path, name: str) -> None:
    with pytest.raises(DataError, match="member 'b/1' cannot be written"):
        unpack(make(tmp_path, name, {"b": b"1", "b/1": b"2"}), out)


def test_a_name_that_no_disk_takes(tmp_path: Path, out: Path) -> None:
    with pytest.raises(DataError, match=r"x' cannot be written \(File name too long\)"):
        unpack(tarred(tmp_path / "x.tar", {"x" * 300: b"1"}), out)


@pytest.mark.parametrize("name", KINDS)
def test_too_many_bytes(tmp_path: Path, out: Path, name: str) -> None:
    archive = make(tmp_path, name, {f"{n}": bytes(1 << 20) for n in range(8)})
    limits = Limits(growth=0, floor=3 << 20)
    with pytest.raises(DataError, match=r"more than 3\.15MB, out of proportion to its size"):
        unpack(archive, out, limits=limits)
    written = sum(len(body) for body in found(out).values())
    assert written == 0 if name == "x.zip" else written <= 3 << 20


def test_the_bound_grows_with_the_archive(tmp_path: Path, out: Path) -> None:
    body = random.Random(0).randbytes(1000) + bytes(200_000)
    archive = zipped(tmp_path / "x.zip", {"a/1": body})
    assert unpack(archive, out, limits=Limits(growth=200, floor=0)) == 1
    with pytest.raises(DataError, match="decompression bomb"):
        unpack(archive, out, limits=Limits(growth=20, floor=0))


@pytest.mark.parametrize("name", KINDS)
def test_too_many_members(tmp_path: Path, out: Path, name: str) -> None:
    # The three files and the folder a.
    archive = make(tmp_path, name, FILES)
    with pytest.raises(DataError, match="contains more than 3 members"):
        unpack(archive, out, limits=Limits(members=3))
    assert unpack(archive, out, limits=Limits(members=4)) == 3


def test_a_zip_that_understates_its_bytes(tmp_path: Path, out: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"bomb": bytes(5 << 20)})
    content = path.read_bytes()
    assert content.count(struct.pack("<I", 5 << 20)) == 2
    path.write_bytes(content.replace(struct.pack("<I", 5 << 20), struct.pack("<I", 10)))
    with pytest.raises(DataError, match="truncated or damaged"):
        unpack(path, out, limits=Limits(floor=1 << 20))
    # zipfile reads no more than is declared, which is what the limits count.
    assert sum(len(body) for body in found(out).values()) <= 10


def test_a_tar_that_overstates_a_header(tmp_path: Path, out: Path) -> None:
    # tarfile reads the long name of a member at once: this one claims 4 GB of zeros.
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4_000_000_000
    with gzip.open(tmp_path / "x.tgz", "wb") as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(DataError, match=r"damaged \(a header of 4000000000 bytes\)"):
        unpack(tmp_path / "x.tgz", out)


def test_a_tar_that_runs_in_circles(tmp_path: Path, out: Path) -> None:
    info = tarfile.TarInfo("a/1")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2)
    total = sum(header[:148]) + 8 * 32 + sum(header[156:512])
    header[148:156] = b"%06o\0 " % total
    good = [tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT) for name in ("b", "c", "d")]
    (tmp_path / "x.tar").write_bytes(b"".join(good) + bytes(header) + bytes(10240))
    with pytest.raises(DataError, match="a member of negative size"):
        unpack(tmp_path / "x.tar", out)


def test_sparse_files_are_refused(tmp_path: Path, out: Path) -> None:
    info = tarfile.TarInfo("a/1")
    info.type = tarfile.GNUTYPE_SPARSE
    with pytest.raises(DataError, match="member 'a/1' is not a plain file"):
        unpack(tarred(tmp_path / "x.tar", {}, info), out)


def test_an_encrypted_zip(tmp_path: Path, out: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a/1.png": b"1"})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.rindex(mark) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        unpack(path, out)
    assert str(caught.value) == (
        f"{path}: member 'a/1.png' is encrypted; unpack it yourself and set datasets.<name>.root "
        "in params.yaml to the folder"
    )


def test_a_compression_that_python_does_not_know(tmp_path: Path, out: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a/1.png": b"1"})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        content[content.rindex(mark) + offset] = 9  # deflate64
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read \(.*not supported\); unpack it"):
        unpack(path, out)


@pytest.mark.parametrize(
    ("name", "share"),
    # The last tenth of the plain tar is padding.
    [(n, s) for n in KINDS for s in (0.02, 0.5, 0.8, 0.999) if (n, s) != ("x.tar", 0.999)],
)
def test_a_truncated_archive(tmp_path: Path, out: Path, name: str, share: float) -> None:
    noise = random.Random(0)
    path = make(tmp_path, name, {f"a/{n}": noise.randbytes(3000) for n in range(9)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"truncated or damaged|is no zip or tar"):
        unpack(path, out)


@pytest.mark.parametrize("blocks", [1, 3, 4])
def test_a_tar_that_ends_between_two_members(tmp_path: Path, out: Path, blocks: int) -> None:
    # Folder, header and one block of each file: tarfile itself takes this for the end.
    path = tarred(tmp_path / "x.tar", {"1": b"1", "2": b"2"})
    path.write_bytes(path.read_bytes()[: 512 * blocks])
    with pytest.raises(DataError, match="truncated or damaged"):
        unpack(path, out)


@pytest.mark.parametrize("content", [b"", b"Rar!\x1a\x07\x00" + bytes(600), b"<html>" * 200])
def test_what_is_no_archive(tmp_path: Path, out: Path, content: bytes) -> None:
    (tmp_path / "x.rar").write_bytes(content)
    with pytest.raises(DataError) as caught:
        unpack(tmp_path / "x.rar", out)
    assert str(caught.value) == (
        f"{tmp_path / 'x.rar'}: is not a zip or tar archive; unpack it yourself and set "
        "datasets.<name>.root in params.yaml to the folder"
    )


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bytes_are_damage_or_do_no_harm(tmp_path: Path, out: Path, name: str) -> None:
    dice = random.Random(name)
    path = make(tmp_path, name, {f"a/{n}": dice.randbytes(400) for n in range(4)})
    whole = path.read_bytes()
    damaged = 0
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(3):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path.write_bytes(content)
        try:
            unpack(path, out)
        except DataError:
            damaged += 1
        shutil.rmtree(out)
        out.mkdir()
    assert damaged > (5 if name == "x.tar" else 30)  # a tar has no checksum over its content
    assert sorted(p.name for p in out.parent.iterdir()) == ["out"]


Usage = namedtuple("Usage", "total used free")


def test_a_zip_that_does_not_fit(tmp_path: Path, out: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 4499))
    with pytest.raises(
        MachineError, match=r"for the content of x\.zip: about 4\.50kB are needed, 4\.50k"
    ):
        unpack(zipped(tmp_path / "x.zip", FILES), out)
    assert found(out) == {}


@pytest.mark.parametrize(("name", "library"), [("x.zip", shutil), ("x.tar", tarfile)])
def test_a_disk_that_becomes_full(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: object
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    archive = make(tmp_path, name, {"1": b"1"})
    monkeypatch.setattr(library, "copyfileobj", full)
    with pytest.raises(MachineError, match=rf"{name}: the disk is full; free some space"):
        unpack(archive, out)


def test_a_link_that_lies_in_the_folder_is_not_followed(tmp_path: Path, out: Path) -> None:
    (out / "1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="member '1' would be written outside its folder"):
        unpack(tarred(tmp_path / "x.tar", {"1": b"1"}), out)
    assert not (tmp_path / "elsewhere").exists()


MEMORY = """
import sys
from pathlib import Path
from memory import peak
from patchlens.datasets.unpack import unpack
before = peak()
unpack(Path(sys.argv[1]), Path(sys.argv[2]))
print(peak() - before)
"""


@pytest.mark.parametrize("many", ["bytes", "members"])
def test_memory_does_not_grow_with_the_archive(tmp_path: Path, out: Path, many: str) -> None:
    body, odd = b"", []
    if many == "bytes":
        body = random.Random(0).randbytes(1 << 20) * 100
    else:
        odd = [tarfile.TarInfo(f"a/{number}") for number in range(30_000)]
        for info in odd:
            info.type = tarfile.DIRTYPE
    path = tarred(tmp_path / "x.tar", {"1": body}, *odd)
    kib = int(printed(MEMORY, str(path), str(out)))
    assert kib < 9_000  # to keep 30 000 members takes 14 000
