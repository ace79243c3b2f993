"""Which module reads which kind of dataset."""

from collections.abc import Callable
from pathlib import Path

from patchlens.datasets import camvid, folder
from patchlens.datasets.layout import Layout
from patchlens.datasets.minicity import read as minicity

READERS: dict[str, Callable[[Path], Layout]] = {
    "minicity": minicity.read,
    "camvid": camvid.read,
    "folder": folder.read,
}
