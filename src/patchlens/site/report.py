"""Stage report: the site, made from the outputs of the other stages."""

from typing import TYPE_CHECKING

import pandas as pd

from patchlens import paths
from patchlens.display import grid
from patchlens.display.palette import looks
from patchlens.progress import log
from patchlens.site import build, media, overview, reading, reference, studies, tasks

LARGEST = 25e6  # bytes of a site that is easy to hand on
if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def run(settings: "Settings") -> None:
    """Write the site.

    Raises:
        DataError: tables, records or outputs of the stage explorer are missing.
    """
    found, palette = reading.read(settings), looks(list(settings.models))
    pages = [
        overview.page(found, palette),
        *tasks.pages(found, palette),
        *studies.pages(found, palette),
        *media.pages(found),
        *reference.pages(found),
    ]
    marks = grid.unofficial(pd.concat(found.tables.values()))
    size = build.write(pages, {"palette": palette, "marks": marks}, paths.SITE)
    if size > LARGEST:
        log.warning(
            "%s: %.0f MB is more than the %.0f MB that a site should have; leave out pictures with "
            "datasets.<name>.pictures: false",
            paths.SITE,
            size / 1e6,
            LARGEST / 1e6,
        )
    log.info("report: %d pages, %.1f MB in %s", len(pages), size / 1e6, paths.SITE)
