"""Progress bars and log lines: a bar on a terminal, plain lines elsewhere, nothing with `-q`."""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Never, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("patchlens")


def set_up(quiet: bool) -> None:
    """Send log lines to stderr; `quiet` keeps warnings and errors only."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, force=True)
    log.setLevel(logging.WARNING if quiet else logging.INFO)


def track(items: Iterable[T], *, total: int | None, what: str, unit: str = "image") -> Iterator[T]:
    """Yield `items` and show a bar with rate and remaining time (only on a terminal)."""
    with bar(total=total, what=what, unit=unit) as progress:
        for item in items:
            yield item
            progress.update(1)


def bar(*, total: int | None, what: str, unit: str = "image", scale: bool = False) -> "tqdm[Never]":
    """A bar that the caller updates; silent with `-q` and if stderr is not a terminal.

    `scale` abbreviates large numbers with k, M and G.
    """
    silent = log.getEffectiveLevel() > logging.INFO or not sys.stderr.isatty()
    if silent:
        from tqdm import tqdm
    else:  # asyncio, for notebooks
        from tqdm.auto import tqdm
    return tqdm(
        total=total, desc=what, unit=f" {unit}", unit_scale=scale, disable=silent, leave=False
    )
