"""A real HTTP server on the loopback that serves files well, badly, or not at all."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler", "File"], None]


@dataclass
class File:
    """What lies at one address. `answers` serve the first GETs, `last` all that follow."""

    body: bytes
    answers: list[Answer]
    last: Answer
    etag: str | None
    date: str | None
    head: bool | Answer


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    headers: Message


@dataclass
class Site:
    """`put` files on it, ask it for their `url`, look at what was `seen`."""

    port: int
    files: dict[str, File] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(
        self,
        name: str,
        body: bytes,
        *answers: Answer,
        last: Answer | None = None,
        etag: str | None = '"one"',
        date: str | None = None,
        head: bool | Answer = True,
    ) -> str:
        self.files[f"/{name}"] = File(body, list(answers), last or whole, etag, date, head)
        return self.url(name)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def gets(self, name: str) -> list[Message]:
        """The headers of every GET of a file, in order."""
        return [s.headers for s in self.seen if (s.method, s.path) == ("GET", f"/{name}")]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_HEAD(self) -> None:
        self.site.seen.append(Seen("HEAD", self.path, self.headers))
        file = self.site.files.get(self.path)
        if file is not None and callable(file.head):
            return file.head(self, file)
        if file is None or not file.head:
            return self.say(405 if file else 404, {"Content-Length": "0"})
        return self.say(200, {"Content-Length": str(len(file.body))})

    def do_GET(self) -> None:
        with self.site.lock:
            self.site.seen.append(Seen("GET", self.path, self.headers))
            self.site.open_now += 1
            self.site.most_open = max(self.site.most_open, self.site.open_now)
            file = self.site.files.get(self.path)
            if file is None:
                answer, file = status(404), File(b"", [], whole, None, None, True)
            else:
                answer = file.answers.pop(0) if file.answers else file.last
        try:
            answer(self, file)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.site.lock:
                self.site.open_now -= 1

    def say(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        pass


def ranged(handler: Handler, file: File) -> bytes:
    """Send the head of a well-behaved answer; return the body that belongs to it."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    headers |= {"ETag": file.etag} if file.etag else {}
    headers |= {"Last-Modified": file.date} if file.date else {}
    asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
    if asked and condition in (None, file.etag, file.date):
        start, total = int(asked.removeprefix("bytes=").removesuffix("-")), len(file.body)
        if start >= total:
            handler.say(416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"})
            return b""
        headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        handler.say(206, headers | {"Content-Length": str(total - start)})
        return file.body[start:]
    handler.say(200, headers | {"Content-Length": str(len(file.body))})
    return file.body


def whole(handler: Handler, file: File) -> None:
    """The file, or the rest of it that is asked for."""
    handler.wfile.write(ranged(handler, file))


def cut(count: int) -> Answer:
    """Promise all, send `count` bytes, hang up."""

    def answer(handler: Handler, file: File) -> None:
        handler.wfile.write(ranged(handler, file)[:count])
        handler.hang_up()

    return answer


def stall(count: int, release: threading.Event) -> Answer:
    """Promise all, send `count` bytes, then nothing until `release`."""

    def answer(handler: Handler, file: File) -> None:
        body = ranged(handler, file)
        handler.wfile.write(body[:count])
        handler.wfile.flush()
        release.wait(30)
        handler.wfile.write(body[count:])

    return answer


def drip(handler: Handler, file: File) -> None:
    """All of it, in 5 seconds."""
    body = ranged(handler, file)
    for start in range(0, len(body), len(body) // 100):
        handler.wfile.write(body[start : start + len(body) // 100])
        handler.wfile.flush()
        time.sleep(0.05)


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with this status; `Retry_After="1"` becomes the header Retry-After."""

    def answer(handler: Handler, file: File) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.say(code, {"Content-Length": str(len(body))} | named)
        handler.wfile.write(body)

    return answer


def from_the_start(handler: Handler, file: File) -> None:
    """The whole file whatever is asked for: a server that knows no ranges."""
    del handler.headers["Range"]
    whole(handler, file)


def from_the_start_cut(count: int) -> Answer:
    """As `from_the_start`, but hang up after `count` bytes."""

    def answer(handler: Handler, file: File) -> None:
        del handler.headers["Range"]
        cut(count)(handler, file)

    return answer


def page(body: bytes = b"<!DOCTYPE html><form>Log in", kind: str = "text/html") -> Answer:
    """A web page with status 200, where a file should be."""
    return status(200, body, Content_Type=kind)


def without_length(count: int | None = None) -> Answer:
    """No length: the end of the connection is the end of the file. `count` bytes, or all."""

    def answer(handler: Handler, file: File) -> None:
        handler.say(200, {"Connection": "close"})
        handler.wfile.write(file.body[:count])
        handler.hang_up()

    return answer


def chunked(handler: Handler, file: File) -> None:
    """The file in pieces, each with its own length."""
    handler.say(200, {"Transfer-Encoding": "chunked"})
    for start in range(0, len(file.body), 1000):
        piece = file.body[start : start + 1000]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


def empty_chunks(handler: Handler, file: File) -> None:
    """Nothing, in pieces."""
    handler.say(200, {"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"0\r\n\r\n")


@contextmanager
def serving() -> Iterator[Site]:
    """A site that serves as long as the block runs."""
    kind = type("Bound", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    kind.site = site = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
