"""All sources by kind: what fetch needs, without any module that reads a dataset."""

from patchlens.datasets.source import Source
from patchlens.datasets.sources import retrieved, segmented, videos

SOURCES: dict[str, Source] = {
    source.kind: source for part in (segmented, videos, retrieved) for source in part.SOURCES
}
