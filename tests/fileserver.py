"""Files on pytest-httpserver, served well, badly, or not at all."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pytest_httpserver.httpserver import HTTPServerBase
from werkzeug import Request, Response

Answer = Callable[[Request, "File"], Response]


@dataclass
class File:
    """What lies at one address. `answers` serve the first GETs, `last` all that follow."""

    body: bytes
    answers: list[Answer]
    last: Answer
    etag: str | None
    date: str | None
    head: bool | Answer


class Headers(dict[str, str]):
    """The headers of a request; None for those that it does not have."""

    def __missing__(self, name: str) -> None:
        return None


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    headers: Headers


class Site(HTTPServerBase):
    """`put` files on it, ask it for their `url`, look at what was `seen`."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0, threaded=True)
        self.files: dict[str, File] = {}
        self.seen: list[Seen] = []
        self.open_now = self.most_open = 0
        self._lock = threading.Lock()

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

    def gets(self, name: str) -> list[Headers]:
        """The headers of every GET of a file, in order."""
        return [s.headers for s in self.seen if (s.method, s.path) == ("GET", f"/{name}")]

    def dispatch(self, request: Request) -> Response:
        path = request.full_path.rstrip("?")
        with self._lock:
            self.seen.append(Seen(request.method, path, Headers(request.headers)))
            file = self.files.get(path)
            if file is None:
                return Response(status=404)
            if request.method == "HEAD":
                if callable(file.head):
                    return file.head(request, file)
                length = {"Content-Length": str(len(file.body))}
                return Response(headers=length) if file.head else Response(status=405)
            answer = file.answers.pop(0) if file.answers else file.last
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
        response = answer(request, file)
        response.call_on_close(self._closed)
        return response

    def _closed(self) -> None:
        with self._lock:
            self.open_now -= 1

    def thread_target(self) -> None:
        self.server.serve_forever(poll_interval=0.02)  # else each stop takes half a second


def named(commit: str, etag: str, size: int) -> Answer:
    """The answer of the Hugging Face hub to HEAD."""
    headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Content-Length": str(size)}
    return lambda *_: Response(headers=headers)


def whole(request: Request, file: File) -> Response:
    """The file, or the rest of it that is asked for."""
    response = Response(file.body, mimetype="application/octet-stream")
    for name, value in (("ETag", file.etag), ("Last-Modified", file.date)):
        if value is not None:
            response.headers[name] = value
    return response.make_conditional(request, accept_ranges=True, complete_length=len(file.body))


def _instead(response: Response, body: Callable[[bytes], Iterable[bytes]]) -> Response:
    """The head of a response with another body than it promises."""
    response.response = body(response.get_data())
    return response


def cut(count: int) -> Answer:
    """Promise all, send `count` bytes, hang up."""
    return lambda request, file: _instead(whole(request, file), lambda body: [body[:count]])


def stall(count: int, release: threading.Event) -> Answer:
    """Promise all, send `count` bytes, then nothing until `release`."""

    def slowly(body: bytes) -> Iterable[bytes]:
        yield body[:count]
        release.wait(30)
        yield body[count:]

    return lambda request, file: _instead(whole(request, file), slowly)


def drip(request: Request, file: File) -> Response:
    """All of it, in 5 seconds."""

    def slowly(body: bytes) -> Iterable[bytes]:
        for start in range(0, len(body), len(body) // 100):
            yield body[start : start + len(body) // 100]
            time.sleep(0.05)

    return _instead(whole(request, file), slowly)


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with this status; `Retry_After="1"` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, file: Response(body, code, named)


def from_the_start(request: Request, file: File) -> Response:
    """The whole file whatever is asked for: a server that knows no ranges."""
    request.environ.pop("HTTP_RANGE", None)
    return whole(request, file)


def from_the_start_cut(count: int) -> Answer:
    """As `from_the_start`, but hang up after `count` bytes."""
    return lambda request, file: _instead(from_the_start(request, file), lambda b: [b[:count]])


def page(body: bytes = b"<!DOCTYPE html><form>Log in", kind: str = "text/html") -> Answer:
    """A web page with status 200, where a file should be."""
    return status(200, body, Content_Type=kind)


def without_length(count: int | None = None) -> Answer:
    """No length: the end of the connection is the end of the file. `count` bytes, or all."""

    def answer(request: Request, file: File) -> Response:
        wire = request.environ["werkzeug.socket"]  # werkzeug itself would send chunks
        wire.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + file.body[:count])
        wire.shutdown(1)
        return Response()

    return answer


def chunked(request: Request, file: File) -> Response:
    """The file in pieces, each with its own length."""
    return Response(file.body[start : start + 1000] for start in range(0, len(file.body), 1000))


def empty_chunks(request: Request, file: File) -> Response:
    """Nothing, in pieces."""
    return Response(iter(()))
