"""Stage degrade: patch features of degraded copies of some query images, once for all variants."""

import shutil
from contextlib import closing
from functools import lru_cache

from PIL import Image

from patchlens import paths
from patchlens.features.cell import Cell
from patchlens.features.extract import Extractor, ImageSource, ReadImage
from patchlens.features.extraction import helpers, open_extraction
from patchlens.progress import log
from patchlens.settings.features import Features
from patchlens.tasks.identification.copies import copies
from patchlens.tasks.identification.settings import Identification


def run(cell: Cell) -> None:
    """Write data/degraded/<dataset>/<model>.safetensors: the headline layer of every copy."""
    opened = open_extraction(cell, features_of(cell))
    source, sources = copies_to_read(cell)
    seed = cell.settings.section(Identification).seed
    work = opened.work("degrade", sources, seed)
    out = paths.degraded(dataset=cell.dataset, model=cell.model)
    with closing(helpers(_opened, cell)) as others:
        header = opened.header("degraded", source.image_ids)
        opened.extractor.run(source, header, work, out, others)
    shutil.rmtree(work)
    log.info("%s: %d copies of %d images", cell, len(source.image_ids), len(sources))


def _opened(cell: Cell) -> tuple[Extractor, ReadImage]:
    return open_extraction(cell, features_of(cell)).extractor, copies_to_read(cell)[0].read


def features_of(cell: Cell) -> Features:
    """What is extracted of the copies: the headline layer only."""
    return cell.settings.features.model_copy(update={"layer_sweep": []})


def copies_to_read(cell: Cell) -> tuple[ImageSource, list[str]]:
    """All copies of the query images of a cell, and the images that they are made of."""
    asked, index = cell.settings.section(Identification), cell.index
    wanted = {copy.copy_id: copy for copy in copies(index.query["image_id"], asked)}

    @lru_cache(maxsize=2)  # the copies of an image follow one another, and several are made at once
    def clean(image_id: str) -> Image.Image:
        return index.image(image_id)

    def read(copy_id: str) -> Image.Image:
        copy = wanted[copy_id]
        return copy.of(clean(copy.image_id), asked.seed)

    sources = list(dict.fromkeys(copy.image_id for copy in wanted.values()))
    return ImageSource(list(wanted), read), sources
