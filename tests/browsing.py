"""What tests in a browser share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page


@contextmanager
def listening(page: Page, **handlers: Callable[[Any], None]) -> Iterator[None]:
    """A page whose events of these names are handled, until the block ends."""
    on: Any = page
    for event, handler in handlers.items():
        on.on(event, handler)
    yield
    for event, handler in handlers.items():
        on.remove_listener(event, handler)
