"""Helps with misspelt names."""

import difflib
from collections.abc import Iterable

SHOWN = 24  # names that a message lists before it only counts


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The allowed names, and the nearest one if one is near: text for the end of a message."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"allowed: {', '.join(names[:SHOWN]) or 'none'}{more}{hint}"
