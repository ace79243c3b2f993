"""COIL-100: 100 objects on a turntable, a photograph every 5 degrees.

Names and counts: Nene, Nayar and Murase, CUCS-006-96 (Columbia University, 1996); archive:
cs.columbia.edu/CAVE. A file is `obj<object>__<angle>.png`; its name is its label.
"""

import re
from pathlib import Path

from patchlens.datasets.below import listed
from patchlens.datasets.boxes import whole_image
from patchlens.datasets.catalogue import Entry
from patchlens.datasets.layout import ImageEntry, Layout, ObjectEntry
from patchlens.datasets.reading import top
from patchlens.errors import DataError

OBJECTS = 100
CLASSES = tuple(f"obj{number}" for number in range(1, OBJECTS + 1))
NAME = re.compile(r"obj(\d+)__(\d+)")


def read(root: Path, facts: Entry) -> Layout:
    """List the images in the order of object and angle.

    Raises:
        SourceError: there are no images.
        DataError: the name of an image is not an object and angle of COIL-100.
    """
    here = top(root, "obj*__*.png", how=facts.how)
    views = []
    for path in listed(here, "obj*.png"):
        match = NAME.fullmatch(path.stem)
        number, angle = (int(text) for text in match.groups()) if match else (0, 0)
        if not 1 <= number <= OBJECTS or angle >= 360:
            raise DataError(f"{path}: the name is not obj<1 to {OBJECTS}>__<angle below 360>.png")
        views.append((number, angle, path))
    return Layout(CLASSES, {}, [_image(root, number, path) for number, _, path in sorted(views)])


def _image(root: Path, number: int, path: Path) -> ImageEntry:
    view = ObjectEntry(f"obj{number}", number - 1, whole_image(path))
    return ImageEntry(path.stem, "all", path.relative_to(root).as_posix(), objects=(view,))
