"""`patchlens serve` gives the files of the site, to this machine only, and nothing else."""

import http.client
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from patchlens.site.serve import server

Get = Callable[..., tuple[int, bytes]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("served")
    root = tmp_path / "site"
    for path, text in {
        "index.html": "first",
        "a/index.html": "second",
        "a/b.txt": "third",
        "list/c.txt": "fourth",
        ".hidden": "secret",
        ".git/config": "secret",
        "a/.env": "secret",
        "a b/ü.txt": "fifth",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    (tmp_path / "outside.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/index.html").write_text("secret")
    (root / "out.txt").symlink_to(tmp_path / "outside.txt")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "passwd").symlink_to("/etc/passwd")
    (root / "to_hidden").symlink_to(".hidden")
    (root / "d").mkdir()
    (root / "d/index.html").symlink_to(tmp_path / "outside.txt")
    (root / "in.txt").symlink_to("a/b.txt")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture(scope="module")
def get(site: Path) -> Iterator[Get]:
    """`get("/a", host="evil")`: status and content; {} in a host is the port."""
    with server(site, 0, site / "no cost") as running:
        Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        port = running.server_port

        def ask(
            path: str, host: str | None = "localhost:{}", method: str = "GET"
        ) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.putrequest(method, path, skip_host=True)
            if host is not None:
                connection.putheader("Host", host.replace("{}", str(port)))
            connection.endheaders()
            answer = connection.getresponse()
            found = answer.status, answer.read()
            connection.close()
            return found

        yield ask
        running.shutdown()


SEEN = {
    "/": b"first",
    "/index.html?x=1": b"first",
    "/a/": b"second",
    "/a/b.txt": b"third",
    "/in.txt": b"third",
    "/a%20b/%C3%BC.txt": b"fifth",
}


@pytest.mark.parametrize("path", SEEN)
@pytest.mark.parametrize("host", ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "LOCALHOST:{}"])
def test_the_site_is_served_to_this_machine(get: Get, path: str, host: str) -> None:
    assert get(path, host) == (200, SEEN[path])


HOSTS = [
    *("evil.org", "evil.org:{}", "localhost", "localhost:1", "127.0.0.1", "[::1]", "", None),
    *("localhost.evil.org:{}", "127.0.0.1.nip.io:{}", "0.0.0.0:{}", "localhost:{}@evil"),
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_another_host_is_refused(get: Get, host: str | None, method: str) -> None:
    for path in ("/", "/a/b.txt"):
        status, content = get(path, host, method)
        assert status == 421
        assert b"third" not in content
        if method == "GET":
            assert b"use the same port in a tunnel" in content


HIDDEN = [
    *("/.hidden", "/.git/config", "/a/.env", "/%2ehidden", "/a/%2Eenv", "/to_hidden", "/a//.env"),
    *("/out.txt", "/out", "/out/", "/out/index.html", "/passwd", "/d/", "/d/index.html", "/list/"),
    *("/../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt", "/a/../../outside.txt"),
    *("//etc/passwd", "/nothing", "/" + "a" * 5000, "/%ed%a0%80", "/%ff", "/a/b.txt/", "/loop"),
    *("/%252ehidden", "/fifo"),
]


@pytest.mark.parametrize("path", HIDDEN)
def test_what_is_not_of_the_site_is_not_found(
    get: Get, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    status, content = get(path)
    assert status in (404, 414)
    assert b"secret" not in content
    assert b"root:" not in content
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("path", ["/%00", "/a/b.txt%00", "/%0a", "/a%0d%0aX: y", "/%1b", "/%7f"])
def test_control_characters_are_refused_in_one_line(
    get: Get, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    status, _ = get(path.replace(" ", "%20"))
    assert status == 400
    assert "Traceback" not in capfd.readouterr().err
