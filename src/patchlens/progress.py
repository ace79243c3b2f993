"""Progress bars and log lines: bars below the log on a terminal, plain lines elsewhere."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Never, TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("patchlens")
ROW = "PATCHLENS_ROW"  # environment: how far below the log the bars of this process are
QUIET = "PATCHLENS_QUIET"  # environment: -q, for the stages that a command starts
SELDOM = 60.0  # seconds between two lines of what would be a bar
CLEAN = "\r\x1b[J"  # erases the bars of all processes, which draw them again below


def set_up(quiet: bool) -> None:
    """Send log lines to stderr; `quiet` keeps warnings and errors only."""
    logging.basicConfig(format=f"{clean()}%(message)s", stream=sys.stderr, force=True)
    log.setLevel(logging.WARNING if quiet or QUIET in os.environ else logging.INFO)


def silent() -> bool:
    """Whether neither log lines nor bars are shown."""
    return log.getEffectiveLevel() > logging.INFO


def clean() -> str:
    """What to print before a line on stderr, so that no bar is left around it."""
    return CLEAN if sys.stderr.isatty() else ""


def track(items: Iterable[T], *, total: int | None, what: str, unit: str = "image") -> Iterator[T]:
    """Yield `items` and show a bar with rate and remaining time, or a line now and then."""
    with bar(total=total, what=what, unit=unit) as progress:
        for item in items:
            yield item
            progress.update(1)


def bar(*, total: int | None, what: str, unit: str = "image", scale: bool = False) -> "tqdm[Never]":
    """A bar that the caller updates; a line a minute if stderr is no terminal; silent with `-q`.

    `scale` abbreviates large numbers with k, M and G.
    """
    kind: Any = _Bar if sys.stderr.isatty() else _Lines
    more = {} if kind is _Bar else LINES
    shown = {"desc": what, "unit": f" {unit}", "unit_scale": scale, "disable": silent()}
    made: tqdm[Never] = kind(total=total, leave=False, **shown, **more)
    return made


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar in one write, so that those of several processes do not mix."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        down = abs(self.pos if pos is None else pos) + int(os.environ.get(ROW, "0"))
        text = str(self) if msg is None else msg
        sys.stderr.write("\n" * down + f"\r\x1b[K{text}\r" + "\x1b[A" * down)
        sys.stderr.flush()


class _Lines(tqdm):  # type: ignore[type-arg]
    """A line of the log in place of a bar."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if msg is None:
            log.info("%s", self)


LINES: dict[str, Any] = {
    "bar_format": "{desc}: {n_fmt}/{total_fmt}, {remaining} left",
    "delay": SELDOM,
    "mininterval": SELDOM,
    "maxinterval": SELDOM,
}
