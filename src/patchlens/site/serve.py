"""Serves the report site on localhost."""

import io
import json
import math
import os
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from patchlens import paths
from patchlens.errors import SettingsError
from patchlens.given import NOT_FILES, why_not
from patchlens.stored import read_bytes

NAMES = ("localhost", "127.0.0.1", "[::1]")  # of this machine, in the header Host
NO_FILE = tuple(f"is {kind}, not a file" for kind in set(NOT_FILES.values()) - {"a folder"})
HOST = "127.0.0.1"  # no other address: the site is only for this machine
PLACE = '<script type="application/json" id="speeds">{}</script>'  # in the first page


def server(folder: Path, port: int, cost: Path = paths.COST) -> ThreadingHTTPServer:
    """A server of `folder` on localhost, not yet running.

    The first page also shows how fast extraction was, as `cost` says when the page is asked for.

    Args:
        folder: the site.
        port: 0 for any free port.
        cost: the folder of what the stage extract measured; it may be missing.

    Raises:
        DataError: the folder has no site.
        SettingsError: the port is taken.
    """
    read_bytes(folder / "index.html", "run `patchlens report` first")
    handler = partial(_Handler, directory=str(folder), cost=cost)
    try:
        return ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise SettingsError(
            f"--port {port}: {error.strerror}; choose another port, or 0 for any free port"
        ) from error


def run(folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Serve until interrupted."""
    with server(folder, port) as running:
        say(f"http://{HOST}:{running.server_address[1]}/ (press Ctrl-C to stop)")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            say("")


def speeds(cost: Path) -> dict[str, dict[str, Any]]:
    """Dataset -> model -> images per second and the device; what cannot be read is left out."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(cost.glob("*/*.json")):
        try:
            speed = json.loads(path.read_text(encoding="utf-8"))
            rate, device = float(speed["images_per_second"]), str(speed["device"])
        except (OSError, ValueError, TypeError, KeyError):  # also where a run was resumed: null
            continue
        if math.isfinite(rate):
            of_dataset = found.setdefault(path.parent.name, {})
            of_dataset[path.stem] = {"images_per_second": rate, "device": device}
    return found


class _Handler(SimpleHTTPRequestHandler):
    """Files of the site, and in its first page what was measured in this folder."""

    def __init__(self, *args: Any, cost: Path, **kwargs: Any) -> None:
        self._cost = cost
        super().__init__(*args, **kwargs)  # answers the request

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        if (refusal := self._refusal()) is not None:
            self.send_error(*refusal)
            return None
        index = Path(self.directory, "index.html")
        if urlsplit(self.path).path not in ("/", "/index.html") or not index.is_file():
            return super().send_head()
        page = index.read_text(encoding="utf-8")
        # Names in JSON must not end the element that holds it.
        measured = json.dumps(speeds(self._cost)).replace("<", "\\u003c")
        content = page.replace(PLACE, PLACE.replace("{}", measured)).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        return io.BytesIO(content)

    def list_directory(self, path: str | PathLike[str]) -> io.BytesIO | None:
        """No list of a folder: the pages link to all that is meant to be seen."""
        self.send_error(HTTPStatus.NOT_FOUND, "File not found")
        return None

    def _refusal(self) -> tuple[HTTPStatus, str] | None:
        """Why a request gets no file, as a status and one line; None if it may have one."""
        port = cast(HTTPServer, self.server).server_port
        allowed = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())
        # Another name that leads to this machine is how a web page elsewhere would read the site.
        if self.headers.get("Host", "").strip().lower() not in allowed:
            why = f"This server answers to localhost:{port} only; use the same port in a tunnel"
            return HTTPStatus.MISDIRECTED_REQUEST, why
        if not unquote(urlsplit(self.path).path).isprintable():
            return HTTPStatus.BAD_REQUEST, "Control character in the path"
        if not self._is_part_of_the_site(Path(self.translate_path(self.path))):
            return HTTPStatus.NOT_FOUND, "File not found"
        return None

    def _is_part_of_the_site(self, asked: Path) -> bool:
        """Whether a path, and the first page of a folder, lead to a file of the site."""
        try:
            root = Path(os.path.realpath(self.directory))
            pages = [asked, *(asked / name for name in ("index.html", "index.htm"))]
            for path in pages if asked.is_dir() else [asked]:
                real = Path(os.path.realpath(path))
                if not real.is_relative_to(root) or (real.exists() and why_not(real) in NO_FILE):
                    return False
                parts = [*real.relative_to(root).parts, *path.relative_to(self.directory).parts]
                if any(part.startswith(".") for part in parts):
                    return False
        except (OSError, ValueError):  # a name that no file can have
            return False
        return True
