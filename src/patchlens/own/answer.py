"""What `patchlens try` prints at its end: the answer, and where the pages are."""

from pathlib import Path

from patchlens import paths
from patchlens.settings.load import load
from patchlens.site import reading
from patchlens.site.answers import answer
from patchlens.site.overview import chosen
from patchlens.site.recommend import recommendations
from patchlens.tasks.known import known


def text() -> str:
    """The answer of the working folder, in lines.

    Raises:
        DataError: the results are incomplete.
    """
    run = reading.read(load(paths.PARAMS, known()))
    lines = [line for found in recommendations(run) for line in found.lines()]
    if not lines:
        lines = [answer(headline, run.is_floor).sentence for headline in chosen(run)]
    return "\n".join(["", *lines, "", f"Look: {Path.cwd() / paths.SITE / 'index.html'}"])
