"""Types for the names of datasets and models, which prevent swaps, and help with misspelt names."""

import difflib
from collections.abc import Iterable
from typing import NewType

DatasetName = NewType("DatasetName", str)  # a key of `datasets` in params.yaml
ModelName = NewType("ModelName", str)  # a key of `models`

SHOWN = 24  # names that a message lists; it counts the others


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The end of a message: the allowed names, and the closest one if it is similar enough."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"allowed: {', '.join(names[:SHOWN]) or 'none'}{more}{hint}"
