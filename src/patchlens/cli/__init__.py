"""The command line: one command for each DVC stage, and interactive commands."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from patchlens.cli.commands import app

    return app
