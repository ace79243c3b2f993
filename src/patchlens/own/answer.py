"""What `patchlens try` prints at its end: the answer, and where the pages are."""

from collections.abc import Iterator
from pathlib import Path

from patchlens import paths
from patchlens.names import DatasetName, ModelName
from patchlens.settings.load import load
from patchlens.site import reading
from patchlens.site.answers import answer
from patchlens.site.overview import chosen, film, without_labels
from patchlens.site.reading import Run
from patchlens.site.recommend import Recommendation, recommendations
from patchlens.stored import read_json
from patchlens.tasks.known import known

UNRANKED = (
    "Without labels nothing here ranks models for a labelled task: look at what the features see, "
    "then label at least two photographs, and run this again with --masks or --annotations."
)
CARRIED = (
    "Each model carried the objects of the labelled frame through the video: look which of them "
    "follows best."
)


def text() -> str:
    """The answer of the working folder, in lines.

    Raises:
        DataError: the results are incomplete.
    """
    run = reading.read(load(paths.PARAMS, known()))
    found = list(recommendations(run))
    lines = [line for one in found for line in _recommended(one)] or list(_others(run))
    page = "index.html" if found else film() or without_labels(run) or "index.html"
    place = Path.cwd() / paths.SITE / page
    return "\n".join(["", *lines, "", f"Look: {place}"])


def _recommended(found: Recommendation) -> list[str]:
    """A recommendation, with how fast extraction was here."""
    path = paths.cost(dataset=DatasetName(found.dataset), model=ModelName(found.model))
    rate = read_json(path)["images_per_second"] if path.is_file() else None
    speed = [f"Speed: {rate:g} images per second in this run."] if rate else []
    return [*found.lines(), *speed]


def _others(run: Run) -> Iterator[str]:
    if without_labels(run):
        yield UNRANKED
    headlines = chosen(run)
    if film():
        yield CARRIED + ("" if headlines else " One more labelled frame would give scores.")
    for headline in headlines:
        found = answer(headline, run.is_floor)
        yield f"{found.need} ({found.title}): {found.sentence}"
