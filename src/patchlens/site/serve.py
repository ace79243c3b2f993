"""Serves the report site on localhost."""

from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from patchlens.errors import SettingsError
from patchlens.files import existing

HOST = "127.0.0.1"  # no other address: the site is only for this machine


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of `folder` on localhost, not yet running.

    Args:
        folder: the site.
        port: 0 for any free port.

    Raises:
        DataError: the folder has no site.
        SettingsError: the port is taken.
    """
    existing(folder / "index.html", "run `patchlens report` first")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
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
