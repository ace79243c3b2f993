"""Serves the report site on localhost."""

import io
import json
import math
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from patchlens import paths
from patchlens.errors import SettingsError
from patchlens.files import existing

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
    existing(folder / "index.html", "run `patchlens report` first")
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
